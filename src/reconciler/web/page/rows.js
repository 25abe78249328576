// Backends and their slots as tables. An element is made when its slot is first shown, and
// from then on only its texts change. Text from Docker or HAProxy is only ever text.

import { STATES, count, place, span, stateWord } from "./words.js";

/** How many slots are laid out together. */
const PART = 50;

const backendTemplate = document.getElementById("backend-template").content.firstElementChild;
const rowTemplate = document.getElementById("row-template").content.firstElementChild;

export class Rows {
  /** `filter.isShown(row)` picks rows, `filter.isNarrow()` hides backends without any;
   * `open(row)` shows a slot's details. */
  constructor(model, parent, filter, open) {
    this._model = model;
    this._parent = parent;
    this._filter = filter;
    this._byButton = new WeakMap();
    parent.addEventListener("click", (event) => {
      const button = event.target.closest("tr")?.querySelector("button.slot");
      const isSelecting = String(getSelection()) !== "";
      if (button && !isSelecting) open(this._byButton.get(button));
    });
    parent.addEventListener("keydown", (event) => this._move(event));
    parent.addEventListener("animationend", (event) => event.target.classList.remove("news"));
  }

  button(row) {
    return row.element?.button ?? null;
  }

  /** Bring rows up to date until the frame is over; returns whether any are left. */
  paint(isOver) {
    const { dirtyRows, dirtyGroups } = this._model;
    for (const row of dirtyRows) {
      dirtyRows.delete(row);
      this._paintRow(row);
      if (isOver()) break;
    }
    for (const group of dirtyGroups) {
      dirtyGroups.delete(group);
      this._paintGroup(group);
    }
    return dirtyRows.size > 0;
  }

  /** The filter, or the time, is another. */
  touchAll() {
    for (const group of this._model.groups.values()) {
      for (const row of group.rows) this._model.dirtyRows.add(row);
      this._model.dirtyGroups.add(group);
    }
  }

  /** Have the ages painted that read otherwise by now. */
  touchAges() {
    const now = this._model.now();
    for (const row of this._model.rows.values()) {
      if (row.element?.isShown && row.element.texts.age !== age(row, now)) this._model.dirtyRows.add(row);
    }
  }

  _paintRow(row) {
    const isShown = !row.isGone && this._filter.isShown(row);
    if (row.isGone) {
      if (row.element?.isShown && row.group.rows.length) this._countShown(row, -1);
      row.element?.tr.remove();
      row.element = null;
      return;
    }
    if (!isShown && !row.element) return;
    row.element ??= this._made(row);
    const { element } = row;
    if (element.isShown !== isShown) {
      element.isShown = isShown;
      element.tr.hidden = !isShown;
      this._countShown(row, isShown ? 1 : -1);
    }
    if (isShown) this._write(row);
  }

  _write(row) {
    const { fields, element } = row;
    const now = this._model.now();
    if (element.state !== fields.state) {
      element.state = fields.state;
      element.tr.dataset.state = fields.state;
    }
    put(element, "stateWord", stateWord(fields));
    put(element, "container", fields.container ?? (fields.address ? "not a known container" : ""));
    put(element, "address", place(fields));
    put(element, "weight", fields.state === "free" ? "" : String(fields.weight));
    put(element, "sessions", text(fields.sessions));
    put(element, "rate", text(fields.requests_per_second));
    put(element, "check", fields.check ?? "");
    put(element, "age", age(row, now));
    if (row.isNews) {
      row.isNews = false;
      element.tr.classList.add("news");
    }
  }

  _made(row) {
    const tr = rowTemplate.cloneNode(true);
    const cells = tr.children;
    const button = cells[0].firstElementChild;
    button.textContent = row.slot;
    button.setAttribute("aria-haspopup", "dialog");
    const holders = {
      stateWord: cells[1].lastElementChild, container: cells[2], address: cells[3], weight: cells[4],
      sessions: cells[5], rate: cells[6], check: cells[7], age: cells[8],
    };
    const nodes = {};
    for (const [name, holder] of Object.entries(holders)) {
      nodes[name] = holder.appendChild(document.createTextNode(""));
    }
    tr.hidden = true;
    this._byButton.set(button, row);
    const element = { tr, button, nodes, texts: {}, state: "", isShown: false };
    this._insert(row, element);
    return element;
  }

  _insert(row, element) {
    const { group } = row;
    if (!group.isSorted) {
      group.rows.sort((one, other) => one.number - other.number);
      group.rows.forEach((one, at) => { one.at = at; });
      group.isSorted = true;
    }
    const body = this._bodyOf(row);
    let next = null;
    for (let at = row.at + 1; at < group.rows.length && part(group.rows[at]) === part(row); at += 1) {
      next = group.rows[at].element?.tr ?? null;
      if (next) break;
    }
    body.insertBefore(element.tr, next);
  }

  /** A table's rows are in parts: the browser lays out only the parts that are seen. */
  _bodyOf(row) {
    const { table, bodies } = this._groupElement(row.group);
    let body = bodies.get(part(row));
    if (!body) {
      body = document.createElement("tbody");
      body.setAttribute("role", "rowgroup");
      body.dataset.part = part(row);
      const later = [...table.tBodies].find((one) => Number(one.dataset.part) > part(row));
      table.insertBefore(body, later ?? null);
      bodies.set(part(row), body);
    }
    return body;
  }

  _countShown(row, step) {
    const { group } = row;
    group.shown = (group.shown ?? 0) + step;
    this._model.dirtyGroups.add(group);
    const body = this._bodyOf(row);
    body.shown = (body.shown ?? 0) + step;
    // As high as its rows, also while it is not laid out.
    body.style.setProperty("--rows", String(body.shown));
    body.hidden = body.shown === 0;
  }

  /** One slot of each table is reached by Tab; from there by arrows. */
  _enterBy(table, button) {
    if (table.entry) table.entry.tabIndex = -1;
    table.entry = button;
    button.tabIndex = 0;
  }

  _keepEntry(group, table) {
    if (table.entry?.isConnected && !table.entry.closest("tr").hidden) return;
    const first = group.rows.find((row) => row.element?.isShown);
    if (first) this._enterBy(table, first.element.button);
  }

  _move(event) {
    const button = event.target.closest?.("button.slot");
    if (!button || event.altKey || event.ctrlKey || event.metaKey) return;
    const table = button.closest("table");
    const shown = [...table.querySelectorAll("tbody tr:not([hidden])")];
    const at = shown.indexOf(button.closest("tr"));
    const across = acrossOf(shown);
    const steps = {
      ArrowDown: at + across, ArrowUp: at - across, ArrowRight: at + 1, ArrowLeft: at - 1,
      Home: 0, End: shown.length - 1, PageDown: Math.min(at + 20, shown.length - 1), PageUp: Math.max(at - 20, 0),
    };
    const to = shown[steps[event.key]];
    if (!to) return;
    event.preventDefault();
    const next = to.querySelector("button.slot");
    this._enterBy(table, next);
    next.focus();
  }

  _groupElement(group) {
    if (!group.element) {
      const section = backendTemplate.cloneNode(true);
      const title = section.querySelector("h2");
      title.textContent = group.backend;
      title.id = `backend-${group.index}-${group.backend}`;
      section.setAttribute("aria-labelledby", title.id);
      group.element = {
        section, bodies: new Map(), of: section.querySelector(".of"),
        summary: section.querySelector(".summary"), badge: section.querySelector(".badge"),
        bar: section.querySelector(".bar"), caption: section.querySelector("caption"),
        table: section.querySelector("table"), note: section.querySelector(".hidden-note"), segments: {},
      };
      const later = [...this._model.groups.values()].filter((one) => one.element && one !== group &&
        inOrder(group, one) < 0).sort(inOrder)[0];
      this._parent.insertBefore(section, later?.element.section ?? null);
    }
    return group.element;
  }

  _paintGroup(group) {
    if (!group.rows.length) {
      group.element?.section.remove();
      return;
    }
    const element = this._groupElement(group);
    const { counts } = group;
    const total = group.rows.length;
    const free = counts.free ?? 0;
    const unplaced = this._model.unplacedOf(group);
    const haproxy = this._model.small.haproxies.get(group.index)?.haproxy ?? "";
    const parts = STATES.filter((state) => counts[state] && state !== "free").map((state) => `${counts[state]} ${state}`);
    const summary = `${total - free} of ${count(total, "slot")} used${parts.length ? `: ${parts.join(", ")}` : ""}`;
    write(element.of, this._model.small.haproxies.size > 1 ? haproxy : "");
    write(element.summary, `${summary} · head-room ${free} (${Math.floor((100 * free) / total)} %)`);
    write(element.caption, `Slots of backend ${group.backend} in ${haproxy}`);
    element.badge.hidden = !unplaced;
    write(element.badge, unplaced ? `${unplaced} without a slot` : "");
    this._paintBar(element, counts, total, summary);
    const shown = group.shown ?? 0;
    element.section.hidden = !shown && this._filter.isNarrow();
    element.table.hidden = !shown;
    if (shown) this._keepEntry(group, element.table);
    write(element.note, shown === total ? "" : `${count(total - shown, "slot")} not shown`);
  }

  _paintBar(element, counts, total, summary) {
    element.bar.setAttribute("aria-label", summary);
    for (const state of ["ready", "drain", "maint", "down", "free"]) {
      const share = counts[state] ?? 0;
      let segment = element.segments[state];
      if (!segment) {
        segment = element.segments[state] = document.createElement("span");
        segment.dataset.state = state;
        element.bar.append(segment);
      }
      segment.style.flexGrow = String(share / total);
      segment.hidden = !share;
    }
  }
}

/** Put a text where it is another: nothing else touches the document. */
function put(element, name, value) {
  if (element.texts[name] === value) return;
  element.texts[name] = value;
  element.nodes[name].data = value;
}

function write(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function text(number) {
  return number === undefined ? "" : String(number);
}

function age(row, now) {
  return row.fields.since === undefined || row.fields.state === "free" ? "" : span(now - row.fields.since);
}

function part(row) {
  return Math.floor((row.number - 1) / PART);
}

/** How many rows stand beside each other: one, but for tiles. */
function acrossOf(shown) {
  const { top } = shown[0].getBoundingClientRect();
  const below = shown.findIndex((tr) => tr.getBoundingClientRect().top > top);
  return below < 1 ? shown.length : below;
}

function inOrder(one, other) {
  return one.index - other.index || (one.backend < other.backend ? -1 : 1);
}
