// The daemon's stream, with a watch on it: a connection that is silent for long is dead, even
// where the browser has not noticed, and one that was refused is tried again by us, because a
// browser gives up on any answer but 200.

const SILENT_MS = 10_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 4_000;

export class Stream {
  /** `hear(name, payload)` gets every message; `state(isLive)` is called when that changes. */
  constructor(address, hear, state) {
    this._address = address;
    this._hear = hear;
    this._state = state;
    this._pause = FIRST_PAUSE_MS;
    this._source = null;
    this._watch = 0;
    this._retry = 0;
    this.isLive = false;
    /** When the last message came, on this machine's clock, in milliseconds; 0 for never. */
    this.heardAt = 0;
  }

  open() {
    this._close();
    const source = new EventSource(this._address);
    this._source = source;
    for (const name of ["map", "change", "whole"]) {
      source.addEventListener(name, (message) => this._got(name, message));
    }
    source.addEventListener("error", () => this._lost());
    this._keepWatch();
  }

  _got(name, message) {
    this.heardAt = Date.now();
    this._pause = FIRST_PAUSE_MS;
    this._hear(name, JSON.parse(message.data));
    if (name === "whole") this._state(true);
    this._keepWatch();
  }

  _keepWatch() {
    clearTimeout(this._watch);
    this._watch = setTimeout(() => this._lost(), SILENT_MS);
  }

  _lost() {
    this._close();
    this._state(false);
    clearTimeout(this._retry);
    this._retry = setTimeout(() => this.open(), this._pause * (0.75 + Math.random() / 2));
    this._pause = Math.min(2 * this._pause, LONGEST_PAUSE_MS);
  }

  _close() {
    clearTimeout(this._watch);
    this._source?.close();
    this._source = null;
  }
}
