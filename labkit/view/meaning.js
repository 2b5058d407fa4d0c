// Facts, nodes and frames in words.

import { RETURNED, UNTOLD } from "./fold.js";

function listed(names) {
  if (names.length < 4) return names.join(", ");
  return `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
}

/** The sentence for the fact at `place`; `fold` stands right after it, and `before` are the states right before. */
export function meaning(fact, fold, before = null) {
  if (!fact) return "Nothing has happened yet: this is the plan.";
  const numbers = (fold.byTask.get(fact.task) ?? []).filter((index) => fold.nodes[index].present);
  const depths = fold.facts.runs.get(fact.task) ?? [0];
  const index = numbers[Math.min(Math.max(0, depths.indexOf(fact.depth)), numbers.length - 1)];
  const node = index === undefined ? null : fold.nodes[index];
  const name = node ? `#${index + 1}` : "a task";
  const by = node?.worker ?? fact.worker ?? "kernel";
  const worker = by === "kernel" ? "the worker" : by;
  switch (fact.kind) {
    case "published": {
      if (fact.retries) return `${name} was sent once more, to be tried again.`;
      const parent = fold.byTask.get(fact.parent)?.[0];
      const sender = parent === undefined || parent === index ? "" : ` by #${parent + 1}`;
      return `${name} ${fact.call} was sent${sender}: its message is in the queue “${fact.queue}”.`;
    }
    case "unsent":
      return `The message of ${name} could not be sent.`;
    case "received":
      if (fact.redelivered) return `${worker} fetched ${name} again: nobody had acknowledged it.`;
      return `${worker} fetched ${name} from the queue, and has not acknowledged it yet.`;
    case "started":
      if (node && fold.shape.nodes[index].late) return `${worker} runs ${name}, and acknowledges it only afterwards.`;
      return `${worker} acknowledged ${name} before running it.`;
    case "succeeded":
      return `${name} returned ${fact.value ?? "None"}.`;
    case "failed":
      return `${name} failed: ${fact.error}.${lost(fold, before)}`;
    case "retried":
      return `${name} failed (${fact.error}) and will be tried again${fact.delay ? ` in ${fact.delay} s` : ""}.`;
    case "ended":
      return `${name} raised ${fact.state === "IGNORED" ? "Ignore" : "Reject"}: no result is stored.${lost(fold, before)}`;
    case "revoked":
      return `${name} was not run: ${fact.why}.${lost(fold, before)}`;
    case "unregistered":
      return `No worker knows the task of ${name}.${lost(fold, before)}`;
    case "rejected":
      return `${name} was refused: ${fact.why}.${lost(fold, before)}`;
    case "lost":
      return `${name} is lost: ${fact.why}.${lost(fold, before)}`;
    case "doubled":
      return `The message of ${name} was delivered twice: a fault made it so.`;
    case "stranded":
      return `The worker of ${name} was killed before it acknowledged: the broker keeps the message, and delivers it again.`;
    case "redelivered":
      return `The message of ${name} was delivered again.`;
    case "errback":
      return `The errback ${fact.name} was called where ${name} failed, without a message.`;
    case "answered":
      return `Asked now, the result backend answers ${answers(fold)}.`;
    case "printed":
      return `${name} printed: ${fact.text}`;
    case "logged":
      return `${name} logged: ${fact.text}`;
    case "fault":
      return `A fault: ${fact.text}.`;
    default:
      return `${name}: ${fact.kind}${fact.text ? `: ${fact.text}` : ""}.`;
  }
}

function answers(fold) {
  const found = new Map();
  for (const node of fold.nodes) {
    if (!node.answer) continue;
    if (found.has(node.answer)) found.get(node.answer).push(node);
    else found.set(node.answer, [node]);
  }
  const said = [...found].map(([state, nodes]) => {
    const ghosts = nodes.filter((node) => node.state === "never ran").length;
    const never = ghosts && state !== "PENDING" ? `, ${ghosts === nodes.length ? "" : `${ghosts} of them `}never ran` : "";
    return `${state} for ${nodes.length < 4 ? listed(nodes.map((node) => `#${node.index + 1}`)) : nodes.length}${never}`;
  });
  return said.join("; ");
}

function lost(fold, before) {
  if (!before) return "";
  const now = fold.nodes.filter((node) => node.present && node.state === "never ran" && before[node.index] !== "never ran");
  const names = now.filter((node) => node.role !== "errback").map((node) => `#${node.index + 1}`);
  return names.length ? ` So ${listed(names)} will never run.` : "";
}

/** A time as people read it: "3 ms", "1.2 s". */
export function duration(seconds) {
  if (seconds < 0.0995) return `${Math.max(seconds * 1000, 0).toFixed(seconds < 0.00995 ? 1 : 0)} ms`;
  return seconds < 10 ? `${seconds.toFixed(2)} s` : `${seconds.toFixed(0)} s`;
}

// What is said, in front of the error, of a task that failed beside its body.
const FIRST = { [RETURNED]: "returned, then ", [UNTOLD]: "not reported: " };

/** An error without a word that tells nothing: the same as in labkit/labels.py. */
function brief(error) {
  return error.replaceAll(" positional argument", " argument");
}

/** What came of a node, in a few words: its value, its error, or why it never ran. */
export function outcome(node, plan = "") {
  const parts = [];
  if (node.state === "planned") parts.push(plan);
  else if (node.state === "succeeded") parts.push(node.value ?? "");
  else if (node.state === "failed") parts.push(`${FIRST[node.note] ?? ""}${brief(node.error ?? "failed")}`);
  else {
    let why = node.reason;
    if (!why && !["sent", "received", "running"].includes(node.state)) why = node.error;
    if (node.state === "retrying") why = node.attempts.at(-1)?.why ?? why;
    parts.push(why ? `${node.state}: ${why}` : node.state);
  }
  if (node.note && !(node.note in FIRST)) parts.push(node.note);
  if (node.attempts.length > 1 && !node.note?.endsWith("more than once")) parts.push(`(attempt ${node.attempts.length})`);
  return parts.filter(Boolean).join(" ");
}

/** How long a node waited and ran, all its runs taken together. `now` ends what has not ended. */
export function times(node, now) {
  if (node.sent === null && node.started === null) return "";
  const ran = node.attempts.reduce((sum, each) => sum + (each.seconds ?? Math.max(0, now - each.at)), 0);
  const waited = node.sent === null ? "" : `waited ${duration(Math.max(0, (node.finished ?? now) - node.sent - ran))}`;
  if (node.started === null) return waited;
  return `${waited}${waited ? " · " : ""}ran ${duration(ran)}`;
}

/** Everything about a node, one thing a line. */
export function details(node, told, now) {
  const lines = [`#${node.index + 1} ${node.call}`, `${node.state}${node.answer ? ` · Celery answers ${node.answer}` : ""}`];
  const came = outcome(node, told.plan);
  if (came && came !== node.state) lines.push(came);
  const took = times(node, now);
  if (took) lines.push(took);
  if (node.worker) lines.push(`worker ${node.worker}`);
  if (told.id) lines.push(`id ${told.id}`);
  return lines;
}

const MANY = ["map", "starmap", "chunks"]; // frames that count calls

/** What each frame counts: its parallel parts, each a list of nodes. The same as `_count` in labkit/stacks.py. */
export function partsOf(shape) {
  const first = shape.nodes.length;
  const inside = (member) => (member < first ? [member] : shape.frames[member - first].members.flatMap(inside));
  const box = new Map(shape.boxes.flatMap(({ nodes }, place) => nodes.map((node) => [node, place])));
  const around = new Map(shape.frames.flatMap(({ members }, place) => members.map((each) => [each, first + place])));
  const depth = (member) => (around.has(member) ? 1 + depth(around.get(member)) : 0);
  const together = new Map(); // frames whose nodes share their boxes are drawn as one
  const counted = shape.frames.map(({ kind }, place) => {
    const boxes = new Set(inside(first + place).map((each) => box.get(each)));
    const drawn = [depth(first + place), kind, ...[...boxes].sort()].join(" ");
    together.set(drawn, [...(together.get(drawn) ?? []), ...partsIn(shape, place, inside)]);
    return drawn;
  });
  return counted.map((drawn) => together.get(drawn));
}

/** A frame inside is in one part, whatever is in it, and so are nodes that follow each other. */
function partsIn(shape, place, inside) {
  const frame = shape.nodes.length + place;
  if (MANY.includes(shape.frames[place].kind)) {
    return inside(frame).filter((each) => shape.nodes[each].role === "map").map((each) => [each]);
  }
  const links = ["callback", "errback"];
  const here = new Set(inside(frame));
  const hang = ([source, target, kind]) => links.includes(kind) && [source, target].every((end) => inside(end).some((each) => here.has(each)));
  const all = !shape.edges.some(hang); // a group that is a callback itself counts its tasks
  const counted = [...here].filter((each) => all || !links.includes(shape.nodes[each].role));
  const root = new Map(counted.map((each) => [each, each]));
  const find = (each) => {
    while (root.get(each) !== each) each = root.get(each);
    return each;
  };
  const join = (nodes) => nodes.filter((each) => root.has(each)).forEach((each, _, [one]) => root.set(find(each), find(one)));
  for (const member of shape.frames[place].members) join(inside(member));
  for (const [source, target, kind] of shape.edges) {
    if (kind === "errback" || source === frame || target === frame) continue;
    const ends = [source, target].map((end) => inside(end).filter((each) => root.has(each)));
    if (ends[0].length && ends[1].length) join(ends.flat());
  }
  const parts = new Map();
  for (const each of counted) parts.set(find(each), [...(parts.get(find(each)) ?? []), each]);
  return [...parts.values()];
}

/** The title of a frame of this kind: how many of its parts succeeded. */
export function progress(kind, parts, fold) {
  if (kind === "replaced") return kind;
  let [done, began, unknown] = [0, false, false]; // without a set for each part: there may be thousands
  for (const part of parts) {
    let all = part.length > 0;
    for (const each of part) {
      const { state } = fold.nodes[each];
      all &&= state === "succeeded";
      began ||= state !== "planned";
      unknown ||= state === "unknown";
    }
    if (all) done += 1;
  }
  const far = began ? `${unknown ? "?" : done} of ` : "";
  const calls = MANY.includes(kind) ? (parts.length === 1 ? " call" : " calls") : "";
  return `${kind} · ${far}${parts.length}${calls}`;
}
