// Changes for those who listen: one short message, and not another one for some seconds.

import { KINDS, count, sentence } from "./words.js";

const PAUSE_MS = 4_000;
const MOST = 3;

export class Announcer {
  constructor(element) {
    this._element = element;
    this._waiting = [];
    this._timer = 0;
    this._last = -Infinity;
  }

  add(entries) {
    if (!entries.length) return;
    this._waiting.push(...entries);
    const wait = Math.max(200, this._last + PAUSE_MS - performance.now());
    this._timer ||= setTimeout(() => this._say(), wait);
  }

  _say() {
    this._timer = 0;
    this._last = performance.now();
    const all = this._waiting.splice(0);
    this._element.textContent = all.length <= MOST ? `${all.map(sentence).join("; ")}.` : summary(all);
  }
}

function summary(all) {
  const numbers = new Map();
  for (const { kind } of all) numbers.set(kind, (numbers.get(kind) ?? 0) + 1);
  const parts = [...numbers].map(([kind, number]) => `${number} ${KINDS[kind]?.[0] ?? kind}`);
  return `${count(all.length, "change")}: ${parts.join(", ")}.`;
}
