// One slot in full, beside the map; it follows what happens to the slot while it is open.

import { count, dateAndTime, place, span, stateWord } from "./words.js";
import { entryItem } from "./timeline.js";

const HISTORY = 20;

export class Details {
  constructor(model, panel, giveBackFocus) {
    this._model = model;
    this._panel = panel;
    this._giveBackFocus = giveBackFocus;
    this._row = null;
    this._shown = "";
    this._title = panel.querySelector("#details-title");
    this._fields = panel.querySelector("#details-fields");
    this._history = panel.querySelector("#details-history");
    this._none = panel.querySelector("#details-none");
    panel.querySelector("#details-close").addEventListener("click", () => this.close());
  }

  get isOpen() {
    return this._row !== null;
  }

  open(row) {
    this._row = row;
    this._shown = "";
    this._panel.hidden = false;
    this.paint();
    this._title.focus();
  }

  close() {
    const row = this._row;
    this._row = null;
    this._panel.hidden = true;
    if (row) this._giveBackFocus(row);
  }

  /** Bring it up to date, where it shows something else by now. */
  paint() {
    if (!this._row) return;
    // A slot that went and came back is another row.
    const row = this._model.rows.get(this._row.key) ?? this._row;
    this._row = row;
    const { group, slot, fields } = row;
    const haproxy = this._model.small.haproxies.get(group.index)?.haproxy ?? "";
    const mine = this._model.entries.filter((one) => one.slot === slot && one.backend === group.backend &&
      (!one.haproxy || one.haproxy === haproxy));
    const told = this._told(row, haproxy);
    const shown = JSON.stringify([row.key, told, mine.length, mine.at(-1)?.id]);
    if (shown === this._shown) return;
    this._shown = shown;
    this._title.textContent = `${group.backend}/${slot}`;
    this._panel.dataset.state = row.isGone ? "" : fields.state;
    this._fields.replaceChildren(...told.flatMap(([name, value]) => [named("dt", name), named("dd", value)]));
    this._history.replaceChildren(...mine.slice(-HISTORY).reverse().map(entryItem));
    this._none.hidden = mine.length > 0;
    this._history.hidden = mine.length === 0;
  }

  _told(row, haproxy) {
    const { fields } = row;
    if (row.isGone) return [["State", "HAProxy has no such slot any more"], ["HAProxy", haproxy]];
    const since = fields.since === undefined ? "" :
      `${dateAndTime(fields.since)} (for ${span(this._model.now() - fields.since)})`;
    return [
      ["State", stateWord(fields)],
      ["Held", fields.held ? "yes: taken out of rotation by hand; `reconciler ready` ends it" : ""],
      ["Container", fields.container ?? ""],
      ["Container id", fields.container_id ?? ""],
      ["Service", fields.service ?? ""],
      ["Project", fields.project ?? ""],
      ["Address", place(fields)],
      ["Weight", String(fields.weight)],
      ["Sessions", fields.sessions === undefined ? "not known at the moment" : String(fields.sessions)],
      ["Requests", fields.requests_per_second === undefined ? "" : `${count(fields.requests_per_second, "request")} in the last second`],
      ["Check", fields.check ?? ""],
      ["Since", since],
      ["HAProxy", haproxy],
    ].filter(([, value]) => value !== "");
  }
}

function named(name, value) {
  const element = document.createElement(name);
  element.textContent = value;
  return element;
}
