// What each kind of fact does to the node that it is about. The same as labkit/happened.py.

const AGAIN = "it was delivered once more before this run had ended";

// What a body raised that ended so.
const RAISED = { IGNORED: "Ignore", REJECTED: "Reject", RETRY: "Retry by hand, which sends nothing" };

function stop(node, fact, why = null) {
  node.finished = fact.at;
  const last = node.attempts.at(-1);
  if (last) {
    last.why = why;
    last.seconds = Math.max(0, fact.at - last.at);
  }
}

/** By kind of fact: it changes the node. */
export const LIVES = {
  received(node, fact) {
    node.received ??= fact.at;
    node.worker = fact.worker ?? node.worker;
    if (node.state === "planned" || node.state === "sent") node.state = "received";
    node.fetched = true; // also of a retry that waits at the worker for its time
  },
  started(node, fact) {
    const last = node.attempts.at(-1);
    if (last && last.seconds === null) {
      last.why = AGAIN;
      if (!/(made it so|more than once)$/.test(node.note ?? "")) node.note = `ran ${node.attempts.length + 1} times`;
    }
    node.started ??= fact.at;
    node.attempts.push({ at: fact.at, why: null, seconds: null, delay: null });
    node.worker = node.worker ?? fact.worker;
    node.state = "running";
  },
  succeeded(node, fact) {
    stop(node, fact);
    const value = fact.value ?? null;
    Object.assign(node, { state: "succeeded", error: null });
    if (!node.stored) Object.assign(node, { stored: true, value, items: fact.items ?? null });
    else if (value !== node.value) node.note ??= "ran again; the first value stays";
  },
  failed(node, fact) {
    stop(node, fact);
    Object.assign(node, { state: "failed", error: fact.error ?? null, note: fact.note ?? node.note });
  },
  retried(node, fact) {
    stop(node, fact, fact.error ?? null);
    const last = node.attempts.at(-1);
    if (last) last.delay = fact.delay ?? null;
    Object.assign(node, { state: "retrying", finished: null, fetched: false });
  },
  ended(node, fact) {
    stop(node, fact);
    node.state = "rejected";
    node.reason = `raised ${RAISED[fact.state]}, so it ended without a result`;
    if (fact.requeued) Object.assign(node, { state: "sent", reason: null, note: "rejected, and back in the queue" });
  },
  revoked(node, fact) {
    const again = node.attempts.length ? `before run ${node.attempts.length + 1}` : "before it was run";
    const reason = fact.why?.replace("before it was run", again) ?? null;
    Object.assign(node, { state: "revoked", finished: fact.at, reason });
  },
  unregistered(node, fact) {
    Object.assign(node, { state: "failed", finished: fact.at, note: "no worker knows this task" });
    node.error = `NotRegistered: '${node.name}'`;
  },
  rejected(node, fact) {
    Object.assign(node, { state: "rejected", finished: fact.at, reason: fact.why ?? null });
  },
  redelivered(node) {
    node.note = "delivered again";
  },
  doubled(node) {
    node.note = "its message was delivered twice: a fault made it so";
  },
  stranded(node) {
    Object.assign(node, { state: "sent", note: "its worker was killed before it acknowledged: the broker keeps the message" });
  },
  lost(node, fact) {
    Object.assign(node, { state: "lost", finished: fact.at, reason: fact.why ?? null });
  },
};
