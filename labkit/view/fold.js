// Facts folded onto a shape: the state of every node after any number of facts. The same as labkit/happened.py.

import { LIVES } from "./lives.js";

export const GLYPHS = {
  planned: "○", sent: "◔", received: "◑", running: "▶", retrying: "↻", succeeded: "✓", failed: "✗",
  revoked: "⊖", rejected: "⊗", lost: "⚡", "never ran": "⊘", unknown: "?",
};

// Notes of tasks that failed after their bodies, and of those whose errbacks could not be sent (labkit/graph.py).
export const RETURNED = "its body returned; what came after it could not be sent or stored";
export const UNTOLD = "Celery could not report its failure";

const FOLLOWS = new Set(["result", "order", "callback"]);
const PART = 100; // facts, after which `seekFor` looks at the time
const LONG = 300; // milliseconds after which it goes all the way: somebody may scrub faster than it folds
const UNDER_WAY = new Set(["sent", "received", "running", "retrying"]);
const FINAL = new Set(["succeeded", "failed", "revoked", "rejected", "lost", "never ran"]);

const DID = {
  failed: "failed", revoked: "was revoked", rejected: "ended without a result", lost: "was lost",
  "never ran": "did not run",
};

// Facts that do not tell of which run of the body: they belong to the last one until then.
const LOOSE = new Set(["unregistered", "rejected", "redelivered", "doubled", "stranded", "lost"]);

function byRun(life) {
  if (!life.some((fact) => fact.retries)) return life;
  let last = 0;
  const runs = life.map((fact) => {
    const run = fact.retries || (LOOSE.has(fact.kind) ? last : 0);
    last = Math.max(last, run);
    return { run, fact };
  });
  return runs.sort((one, other) => one.run - other.run).map(({ fact }) => fact);
}

/** The nodes of a shape after the first facts. `seek` moves; only what the facts between touch is folded again. */
export class Fold {
  constructor(shape, facts) {
    this.shape = shape;
    this.facts = facts;
    this.cursor = 0;
    this.late = Infinity; // since when it is not where it is to go
    this.base = shape.nodes.map((told, index) => this.fresh(told, index));
    this.nodes = this.base.map((node) => ({ ...node, attempts: [] }));
    this.unplanned = this.base.filter(({ index }) => (shape.nodes[index].born ?? -1) >= 0).map(({ index }) => index);
    this.byTask = new Map();
    this.inline = new Map();
    shape.nodes.forEach((told, index) => {
      if (told.task !== undefined) this.push(this.byTask, told.task, index);
      if (told.inline !== undefined) this.push(this.inline, told.inline, index);
    });
    this.incoming = new Map();
    for (const edge of shape.edges) this.push(this.incoming, edge[1], edge);
    this.first = shape.nodes.length;
    this.replaced = new Map(); // a node -> those that were put in its place
    this.outgoing = new Map();
    for (const [source, target, kind] of shape.edges) {
      if (kind === "replaced") this.push(this.replaced, source, target);
      else if (kind === "result" || kind === "order") this.push(this.outgoing, source, target);
    }
    this.replaces = new Map([...this.replaced].flatMap(([source, targets]) => targets.map((each) => [each, source])));
    this.leaves = shape.frames.map((_, place) => this.inside(this.first + place));
    this.before = new Map();
    this.behind = new Map(); // a node -> those that wait for it, each with the kind of its edge
    for (let index = 0; index < this.first; index += 1) {
      for (const [kind, source] of this.awaited(index)) if (FOLLOWS.has(kind)) this.push(this.behind, source, [kind, index]);
    }
    this.maps = shape.frames.filter((frame) => frame.kind === "map" || frame.kind === "starmap");
    this.update(new Set(), 0);
  }

  push(map, key, value) {
    if (map.has(key)) map.get(key).push(value);
    else map.set(key, [value]);
  }

  fresh(told, index) {
    return {
      index, name: told.name, call: told.call, role: told.role ?? "task", state: "planned", present: true,
      value: null, items: null, error: null, reason: null, note: null, attempts: [], answer: null,
      sent: null, received: null, started: null, finished: null, worker: null, order: null,
    };
  }

  inside(member) {
    if (member < this.first) return [member];
    return this.shape.frames[member - this.first].members.flatMap((each) => this.inside(each));
  }

  /**
   * Fold the first `goal` facts, or go `most` facts towards them: whether it is there. `changed`: from this place on the
   * facts are others than before.
   */
  seek(goal, changed = Infinity, most = Infinity) {
    const cursor = goal > this.cursor ? Math.min(goal, this.cursor + most) : Math.max(goal, this.cursor - most);
    const from = Math.min(cursor, this.cursor, changed);
    const until = changed < this.cursor ? this.facts.length : Math.max(cursor, this.cursor);
    const touched = new Set();
    for (let place = from; place < Math.min(until, this.facts.length); place += 1) {
      const { task } = this.facts.sorted[place];
      if (task !== undefined) touched.add(task);
    }
    this.cursor = cursor;
    this.update(touched);
    return cursor === goal;
  }

  /** `seek` for so many milliseconds, or to the end if that was put off for long: whether it is there. */
  seekFor(time, goal, changed) {
    const now = performance.now();
    const until = now > this.late + LONG ? Infinity : now + time;
    let there = this.seek(goal, changed, PART);
    while (!there && performance.now() < until) there = this.seek(goal, Infinity, PART);
    this.late = there ? Infinity : Math.min(this.late, now);
    return there;
  }

  update(touched) {
    for (const index of this.unplanned) {
      const { born, task } = this.shape.nodes[index];
      const fact = this.facts.arrived[born];
      const present = fact !== undefined && fact.place < this.cursor;
      // A replacement that comes up, with somebody else's message, tells what became of the task it replaces.
      if (present !== this.nodes[index].present) {
        if (task !== undefined) touched.add(task);
        const before = this.shape.nodes[this.replaces.get(index)]?.task;
        if (before !== undefined) touched.add(before);
      }
      this.nodes[index].present = present;
    }
    for (const task of touched) this.task(task);
    for (const task of touched) this.bodiesEnd(this.byTask.get(task) ?? []);
    this.conclude();
    this.fromMaps();
  }

  task(task) {
    const indices = this.byTask.get(task) ?? [];
    const inline = this.inline.get(task) ?? [];
    for (const index of [...indices, ...inline]) {
      this.nodes[index] = { ...this.base[index], attempts: [], present: this.nodes[index].present };
    }
    const facts = [];
    for (const fact of this.facts.of.get(task) ?? []) {
      if (fact.place >= this.cursor) break;
      facts.push(fact);
      if (fact.kind !== "unsent") continue;
      const out = facts.findLastIndex((each) => each.kind === "published" && (each.retries ?? 0) === (fact.retries ?? 0));
      if (out >= 0) facts.splice(out, 1);
    }
    const nodeOf = (fact) => {
      const depths = this.facts.runs.get(task) ?? [0];
      return this.nodes[indices[Math.min(Math.max(0, depths.indexOf(fact.depth)), indices.length - 1)]];
    };
    if (indices.length) {
      for (const fact of facts) {
        if (fact.kind === "published") this.send(nodeOf(fact), fact);
      }
      const life = facts.filter((fact) => fact.kind in LIVES);
      for (const fact of byRun(life)) LIVES[fact.kind](nodeOf(fact), fact);
      for (const index of indices) {
        if (this.nodes[index].state !== "rejected" || !this.replaced.get(index)?.some((each) => this.nodes[each].present)) continue;
        Object.assign(this.nodes[index], { state: "succeeded", note: "replaced itself", reason: null });
      }
      const present = indices.filter((index) => this.nodes[index].present);
      for (const index of present.slice(0, -1)) {
        if (this.nodes[index].state === "running" || !this.replaced.has(index)) continue; // one that runs still sends that
        Object.assign(this.nodes[index], { state: "succeeded", note: "replaced itself", reason: null });
      }
    }
    let called = 0;
    for (const fact of facts) {
      if (fact.kind === "errback") this.calledInline(inline[Math.min(called++, inline.length - 1)], fact);
      if (fact.kind === "answered") for (const index of indices) this.answered(this.nodes[index], fact);
    }
    for (const index of [...indices, ...inline]) this.nodes[index].own = this.nodes[index].state;
  }

  /** A body has returned when what comes after it is published; Celery tells of its success a little later. */
  bodiesEnd(indices) {
    for (const index of indices) {
      for (const pair of this.awaited(index)) this.bodyEnds(pair[0], pair[1], index);
      for (const pair of this.behind.get(index) ?? []) this.bodyEnds(pair[0], index, pair[1]);
    }
  }

  bodyEnds(kind, from, to) {
    const [source, { sent }] = [this.nodes[from], this.nodes[to]];
    if (!FOLLOWS.has(kind) || sent === null || source.started === null || source.finished === null) return;
    if (sent < source.started || sent >= source.finished) return;
    source.finished = sent;
    const last = source.attempts.at(-1);
    if (last) last.seconds = Math.max(0, sent - last.at);
  }

  send(node, fact) {
    if (node.sent === null) Object.assign(node, { sent: fact.at, state: "sent", call: fact.call, order: fact.place });
    else if (!fact.retries) node.note = "sent more than once";
  }

  calledInline(index, fact) {
    if (index === undefined) return;
    Object.assign(this.nodes[index], {
      state: fact.error === undefined ? "succeeded" : "failed", error: fact.error ?? null,
      note: `called with ${fact.exception}`, started: fact.at, finished: fact.at,
    });
  }

  answered(node, fact) {
    node.answer = fact.state;
    if (fact.error !== undefined && node.state === "planned") node.error = fact.error;
    if (!fact.final || FINAL.has(node.state)) return;
    if (fact.state === "SUCCESS") {
      Object.assign(node, { state: "succeeded", value: fact.value ?? null, note: "as the backend answers" });
    } else if (node.state !== "planned") {
      node.state = fact.state === "REVOKED" ? "revoked" : "failed";
      node.error = node.reason = fact.error ?? null;
    }
    if (node.state === "revoked") node.error = null;
  }

  // What will never run, and why.
  conclude() {
    let waiting = [];
    for (const node of this.nodes) {
      const own = node.own ?? "planned";
      if (node.state === "never ran" && own === "planned") Object.assign(node, { state: "planned", reason: null });
      if (node.present && own === "planned" && node.role !== "map") waiting.push(node);
    }
    for (let moved = true; waiting.length && moved; ) {
      const left = [];
      for (const node of waiting) {
        const reason = this.whyNot(node);
        if (reason === null) left.push(node);
        else Object.assign(node, { state: "never ran", reason });
      }
      moved = left.length < waiting.length;
      waiting = left;
    }
  }

  sources(source) {
    if (source < this.first) return [source];
    const into = (this.incoming.get(source) ?? []).map((edge) => edge[0]).filter((each) => each < this.first);
    return into.length ? into : this.leaves[source - this.first];
  }

  /** What a node waits for, each with the kind of its edge: thousands for a chord's body, so worked out once. */
  awaited(index) {
    if (!this.before.has(index)) {
      const into = this.incoming.get(index) ?? [];
      this.before.set(index, into.flatMap(([source, , kind]) => this.sources(source).map((each) => [kind, each])));
    }
    return this.before.get(index);
  }

  whyNot(node) {
    const { nodes } = this;
    const awaited = this.awaited(node.index);
    // Thousands, for a chord's body: copied only where one of them is not there.
    const isThere = (pair) => nodes[pair[1]].present;
    const sources = awaited.every(isThere) ? awaited : awaited.filter(isThere);
    if (!sources.length) return null;
    if (sources[0][0] === "errback") return this.errbackNotCalled(sources.map(([, index]) => nodes[index]));
    for (const pair of sources) {
      const source = nodes[pair[1]];
      if (FINAL.has(source.state) && source.state !== "succeeded") {
        const [kind] = pair;
        const said = `#${source.index + 1} ${DID[source.state]}`;
        if (source.note === RETURNED && source.role !== "header") {
          return `#${source.index + 1} returned, but what comes after it could not be sent`;
        }
        if (kind === "callback" && source.state !== "never ran") return `${said}; a callback runs on success only`;
        return source.role === "header" ? `header ${said}` : said;
      }
    }
    if (sources.length < awaited.length || sources.some((pair) => nodes[pair[1]].state !== "succeeded")) return null;
    if (node.error !== null) return `it could not be sent: ${node.error}`;
    if (sources.some(([, index]) => nodes[index].note === "as the backend answers")) return null;
    if ((this.shape.nodes[node.index].born ?? -1) >= 0 && this.stillSending(node.index)) return null;
    const replaced = sources.find(([, index]) => nodes[index].note === "replaced itself");
    if (replaced) return this.replacement(node, nodes[replaced[1]]);
    return `#${sources.at(-1)[1] + 1} ended without sending it`;
  }

  /** Whether a task that led to this node still runs: not all headers of a body that it sends may be known. */
  stillSending(index) {
    const seen = new Set([index]);
    for (const each of seen) {
      for (const [, source] of this.awaited(each)) {
        if (!this.nodes[source].present) continue;
        if (UNDER_WAY.has(this.nodes[source].state)) return true;
        seen.add(source);
      }
    }
    return false;
  }

  /** Why what comes after a replaced task will not run, if one of those in its place did not succeed. */
  replacement(waiting, replaced) {
    const places = new Set(this.replaced.get(replaced.index));
    for (const each of places) for (const more of this.outgoing.get(each) ?? []) places.add(more);
    const nodes = [...places].map((each) => this.nodes[each]).filter((node) => node?.present && node !== waiting);
    const bad = nodes.find((node) => FINAL.has(node.state) && node.state !== "succeeded");
    if (bad) return `#${bad.index + 1} ${DID[bad.state]}`;
    return nodes.every((node) => node.state === "succeeded") ? `#${replaced.index + 1} ended without sending it` : null;
  }

  errbackNotCalled(sources) {
    if (sources.some((source) => !FINAL.has(source.state))) return null;
    const failed = sources.find((source) => source.state === "failed");
    if (failed) return `#${failed.index + 1} failed, but Celery ${failed.note === UNTOLD ? "could not send" : "did not call"} it`;
    const did = sources[0].state === "never ran" ? DID["never ran"] : "did not fail";
    return sources.length > 1 ? "none of its tasks failed" : `#${sources[0].index + 1} ${did}`;
  }

  // The items of a map share the fate of its one message.
  fromMaps() {
    for (const frame of this.maps) {
      const message = this.nodes[frame.members[0]];
      const items = frame.members.slice(1).filter((each) => each < this.first).map((each) => this.nodes[each]);
      items.filter((item) => item.role === "map").forEach((item, place) => {
        Object.assign(item, { state: "planned", value: null, reason: null });
        if (message.state === "succeeded") {
          Object.assign(item, { state: "succeeded", value: message.items?.[place] ?? null });
        } else if (message.state === "failed") {
          Object.assign(item, { state: "unknown", reason: "one item failed, and Celery does not tell which" });
        } else if (FINAL.has(message.state)) {
          Object.assign(item, { state: "never ran", reason: `#${message.index + 1} ${DID[message.state]}` });
        }
      });
    }
  }

  /** How many nodes are in each state. */
  counts(indices = this.nodes.keys()) {
    const counted = {};
    for (const index of indices) {
      const { state, present } = this.nodes[index];
      if (present) counted[state] = (counted[state] ?? 0) + 1;
    }
    return counted;
  }
}
