// What a screen reader is told: not more often than one can listen.

const CALM = 1000; // milliseconds between two announcements

export class Speech {
  constructor(region) {
    this.region = region;
    this.at = 0;
    this.cursor = 0;
    this.timer = null;
  }

  /** Say this now. */
  say(text) {
    this.region.textContent = text;
  }

  /** The cursor has moved: say `sentence()` when there is time, and how much was passed over. */
  follow(cursor, sentence) {
    this.now = cursor;
    if (this.cursor === cursor || this.timer !== null) return;
    const wait = Math.max(0, this.at + CALM - performance.now());
    this.timer = setTimeout(() => {
      const missed = Math.abs(this.now - this.cursor) - 1;
      Object.assign(this, { at: performance.now(), cursor: this.now, timer: null });
      this.say(`${sentence()}${missed > 0 ? ` (and ${missed} more)` : ""}`);
    }, wait);
  }

  close() {
    clearTimeout(this.timer);
  }
}
