// What a screen reader is told: not more often than one can listen. And what the lab says, as long as it stands there.

const CALM = 1000; // milliseconds between two announcements
const READABLE = 1500; // milliseconds that what the lab says stands at least …
const FEW = 3; // … and then until so many facts have come

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

/** What the lab says, in the place of the sentence. */
export class Notice {
  /** `changed()`: it may have been there for long enough. */
  constructor(changed) {
    this.changed = changed;
    this.drop();
  }

  say(text, cursor) {
    clearTimeout(this.timer);
    Object.assign(this, { text, cursor, isNew: true });
    this.timer = setTimeout(() => {
      this.isNew = false;
      this.changed();
    }, READABLE);
  }

  drop() {
    clearTimeout(this.timer);
    this.text = null;
  }

  /** What stands there while `cursor` facts are shown. */
  at(cursor, live) {
    if (this.text !== null && !this.isNew && cursor > this.cursor + (live ? FEW : 0)) this.drop();
    return this.text;
  }
}
