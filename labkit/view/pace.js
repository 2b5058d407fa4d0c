// When to paint: once a frame at most, and so seldom that the page can answer people most of the time.

const SHARE = 0.25; // of the time, at most, is spent on painting …
const LATEST = 500; // … but nobody waits longer than so many milliseconds for it
const FULL = 4; // milliseconds of painting after which another view of the page has to wait for the next frame

const spent = { frame: null, time: 0 }; // by all views of the page, which share this script

export class Pace {
  /** `paint()` paints what there is then, and returns whether it has more to do in the next frame. */
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
    const frame = document.timeline.currentTime;
    if (spent.frame !== frame) Object.assign(spent, { frame, time: 0 });
    if (spent.time > FULL) {
      this.frame = requestAnimationFrame(() => this.now());
      return;
    }
    this.frame = null;
    const began = performance.now();
    const more = this.paint();
    this.painted = performance.now();
    this.cost = this.painted - began;
    spent.time += this.cost;
    if (more) this.frame = requestAnimationFrame(() => this.now());
  }


  close() {
    clearTimeout(this.timer);
    if (this.frame !== null) cancelAnimationFrame(this.frame);
  }
}
