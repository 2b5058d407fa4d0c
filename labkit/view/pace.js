// When to paint: once a frame at most, and so seldom that the page can answer people most of the time.

const SHARE = 0.25; // of the time, at most, is spent on painting …
const LATEST = 500; // … but nobody waits longer than so many milliseconds for it

export class Pace {
  /** `paint()` paints what there is then. */
  constructor(paint) {
    this.paint = paint;
    this.painted = -Infinity;
    this.cost = 0;
    this.timer = null;
    this.frame = null;
  }

  /** Paint in the next frame, but not within `rest` milliseconds after the last time. */
  ask(rest = 0) {
    if (this.frame !== null) return;
    const early = this.painted + Math.max(rest, Math.min(LATEST, this.cost / SHARE)) - performance.now();
    if (early <= 0) {
      clearTimeout(this.timer);
      this.timer = null;
      this.frame = requestAnimationFrame(() => this.now());
    } else {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        this.ask();
      }, early);
    }
  }

  now() {
    this.frame = null;
    const began = performance.now();
    this.paint();
    this.painted = performance.now();
    this.cost = this.painted - began;
  }

  close() {
    clearTimeout(this.timer);
    if (this.frame !== null) cancelAnimationFrame(this.frame);
  }
}
