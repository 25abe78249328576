// What happened, newest first: an element for each entry, added and taken away one by one.

import { KINDS, clock, dateAndTime, entryPlace } from "./words.js";

export class Timeline {
  constructor(list, none, isShown) {
    this._list = list;
    this._none = none;
    this._isShown = isShown;
    this._items = new Map();
  }

  /** Show these entries, oldest first, and no others. */
  show(entries) {
    const wanted = new Map(entries.filter(this._isShown).map((entry) => [entry, true]));
    for (const [entry, item] of this._items) {
      if (wanted.has(entry)) continue;
      item.remove();
      this._items.delete(entry);
    }
    let next = null;
    for (const entry of [...wanted.keys()].reverse()) {
      let item = this._items.get(entry);
      if (!item) {
        item = entryItem(entry);
        this._items.set(entry, item);
        this._list.insertBefore(item, next ? next.nextSibling : this._list.firstChild);
      }
      next = item;
    }
    this._none.hidden = this._items.size > 0;
    this._list.hidden = this._items.size === 0;
  }
}

export function entryItem(entry) {
  const [verb, group] = KINDS[entry.kind] ?? [entry.kind, "slots"];
  const item = document.createElement("li");
  item.dataset.group = group;
  item.dataset.kind = entry.kind;
  const time = part("time", clock(entry.at));
  time.dateTime = new Date(entry.at * 1000).toISOString();
  time.title = dateAndTime(entry.at);
  const line = part("p", "");
  line.append(part("b", entryPlace(entry)), " ", part("span", verb, "kind"));
  if (entry.container) line.append(" ", part("span", entry.container, "who"));
  item.append(time, line);
  const more = [entry.reason, entry.latency_ms === undefined ? "" : `${entry.latency_ms} ms after its event`];
  const rest = more.filter(Boolean).join(" · ");
  if (rest) item.append(part("p", rest, "why"));
  return item;
}

function part(name, value, kind) {
  const element = document.createElement(name);
  element.textContent = value;
  if (kind) element.className = kind;
  return element;
}
