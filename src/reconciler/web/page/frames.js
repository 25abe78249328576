// Work in animation frames, a little in each, so that nothing anybody does has to wait.

const BUDGET_MS = 8;

/** Calls `work(isOver)` in the next frame, again and again until it returns false.
 *
 * `isOver()` tells whether the frame's share is used up. While the tab is hidden nothing runs. */
export class Frames {
  constructor(work) {
    this._work = work;
    this._asked = 0;
  }

  ask() {
    this._asked ||= requestAnimationFrame(() => this._run());
  }

  _run() {
    this._asked = 0;
    const until = performance.now() + BUDGET_MS;
    if (this._work(() => performance.now() >= until)) this.ask();
  }
}
