// Time: one clock that all threads of this machine share, and the open-loop schedule.

import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds of the monotonic clock; the same in every thread and process. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

export { sleep };

/** Tries `probe` until it gives something true; throws what it last threw, or `what`, after `ms`. */
export async function until(what, ms, probe, pause = 50) {
  const end = now() + ms;
  for (;;) {
    let failure;
    try {
      const value = await probe();
      if (value) return value;
    } catch (error) {
      failure = error;
    }
    if (now() > end) throw new Error(`${what}: not within ${ms} ms${failure ? ` (${failure.message})` : ''}`);
    await sleep(pause);
  }
}

/**
 * Calls `fire(index, due)` for `rate * seconds` slots at even distances from `startAt` on, never waiting for
 * what `fire` starts. A slot that comes late is still fired; its lateness is returned, and a latency is to be
 * measured from `due`, so that a stall of the load itself is never hidden. `stopped()` ends it early.
 */
export async function openLoop({ rate, seconds, startAt, fire, stopped = () => false }) {
  const total = Math.round(rate * seconds);
  const lags = new Float64Array(total);
  let next = 0;
  while (next < total && !stopped()) {
    const t = now();
    for (; next < total; next += 1) {
      const due = startAt + (next * 1000) / rate;
      if (due > t) break;
      lags[next] = now() - due;
      fire(next, due);
    }
    await sleep(1);
  }
  return lags.subarray(0, next);
}
