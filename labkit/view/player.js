// The cursor over the facts: it follows what happens, or plays, steps and jumps through what happened.

const SHOWN = 300; // milliseconds that a change is shown at speed 1 …
const LONGEST = 20_000; // … unless the whole would take longer than this

/** `moved()` is called after each change of the cursor, of `playing` or of `following`. */
export class Player {
  constructor(facts, moved) {
    this.facts = facts;
    this.moved = moved;
    this.cursor = 0;
    this.following = true;
    this.speed = 1;
    this.timer = null;
  }

  get playing() {
    return this.timer !== null;
  }

  get last() {
    return this.facts.sorted[this.cursor - 1] ?? null;
  }

  get now() {
    return this.last?.at ?? 0;
  }

  /** More facts have come. */
  grown() {
    if (this.following) this.cursor = this.facts.length;
  }

  go(cursor) {
    this.cursor = this.whole(Math.max(0, Math.min(this.facts.length, cursor)), cursor < this.cursor);
    this.following = false;
    this.moved();
  }

  /** What the backend answers, asked for all tasks at once, is one step. */
  whole(cursor, back) {
    const answer = (place) => this.facts.sorted[place]?.kind === "answered";
    let place = cursor;
    while (answer(place - 1) && answer(place)) place += back ? -1 : 1;
    return place;
  }

  follow() {
    this.stop();
    this.following = true;
    this.cursor = this.facts.length;
    this.moved();
  }

  /** To the moment `at`, in seconds. */
  goTime(at) {
    let low = 0;
    let high = this.facts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.facts.sorted[middle].at <= at) low = middle + 1;
      else high = middle;
    }
    this.stop();
    this.go(low);
  }

  step(by) {
    this.stop();
    this.go(this.cursor + by);
  }

  /** On to the next end of a task. */
  stepTask() {
    this.stop();
    const ends = ["succeeded", "failed", "retried", "ended", "revoked", "rejected", "unregistered", "lost"];
    let place = this.cursor;
    while (place < this.facts.length && !ends.includes(this.facts.sorted[place].kind)) place += 1;
    this.go(place + 1);
  }

  play() {
    if (this.playing) return;
    if (this.cursor >= this.facts.length) this.cursor = 0;
    this.following = false;
    const began = { at: performance.now(), cursor: this.cursor };
    let speed = this.speed;
    const tick = () => {
      if (speed !== this.speed) {
        Object.assign(began, { at: performance.now(), cursor: this.cursor });
        speed = this.speed;
      }
      const each = Math.min(SHOWN, LONGEST / Math.max(1, this.facts.length)) / speed;
      const cursor = Math.min(this.facts.length, began.cursor + Math.floor((performance.now() - began.at) / each));
      this.timer = cursor < this.facts.length ? setTimeout(tick, Math.max(16, Math.min(each, 100))) : null;
      if (cursor !== this.cursor || this.timer === null) {
        this.cursor = cursor;
        this.moved();
      }
    };
    this.timer = setTimeout(tick, 0);
    this.moved();
  }

  stop() {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }
}
