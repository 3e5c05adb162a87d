// What the answers to a request of the mixed load are worth.

/** A refusal of Seawall's own: it says why, and claims nothing. */
const REFUSAL = /^SW\d{4}$/;
const QUOTED = 300;
const NEAR = 40;

/**
 * Holds the answers to `calls` against their tests, in the window `lo..=hi`. `what` is `ok`, `wrong`, `failed` or
 * `refused`; the worst of a batch is what it is worth. `oldest` and `newest` are the heads it told of, if any.
 */
export function examine(calls, answers, window, forks) {
  if (!Array.isArray(answers) || answers.length !== calls.length) {
    return { what: 'failed', detail: `${calls.length} calls, not as many answers: ${quote(answers)}` };
  }
  const byId = new Map(answers.map((a) => [a?.id, a]));
  const found = calls.map((call, i) => one(call, byId.get(i + 1), { ...window, forks }));
  const heads = found.flatMap((f) => f.told ?? []);
  const worst = ['wrong', 'failed', 'refused', 'ok'].map((what) => found.find((f) => f.what === what)).find(Boolean);
  return { ...worst, oldest: Math.min(...heads), newest: Math.max(...heads) };
}

function one(call, answer, window) {
  const named = `${call.kind} ${JSON.stringify(call.params)}`;
  if (!answer) return { what: 'failed', detail: `${named}: no answer of that id` };
  if (answer.error) {
    const what = isRefusal(answer) ? 'refused' : 'failed';
    return { what, detail: `${named}: ${quote(answer.error)}` };
  }
  const told = call.tells?.(answer.result);
  if (call.right(answer.result, window)) return { what: 'ok', told };
  return { what: 'wrong', told, call, got: answer.result, detail: wrong(named, call, answer, window) };
}

export function isRefusal(answer) {
  return REFUSAL.test(answer?.error?.data?.code ?? '');
}

function wrong(named, call, { result }, { lo, hi }) {
  return `${named} in ${lo}..${hi}: ${trueAt(call, result, lo, hi)}; got ${quote(result)}`;
}

/** The block at which a wrong answer would have been right, if there is one near. */
function trueAt(call, got, lo, hi) {
  for (let n = hi + NEAR; n >= lo - NEAR; n -= 1) if (call.right(got, { lo: n, hi: n })) return `true at ${n}`;
  return 'true at no block near';
}

function quote(value) {
  return String(JSON.stringify(value)).slice(0, QUOTED);
}
