// Whether the journal says of itself that it is in trouble, and that it is well again.

import { until } from '../clock.mjs';

const HEALED_MS = 30_000;

/** Waits, at most as long as the trouble lasts, until the journal tells that it cannot write: `stalled` or `degraded`. */
export async function degradedSince(seawall, seconds) {
  try {
    const status = await until('journal degraded', seconds * 1000, async () => {
      const now = await seawall.journalStatus();
      return ['stalled', 'degraded'].includes(now.state) && now;
    });
    return { ok: true, said: `degraded: ${status.last_error}` };
  } catch {
    return { ok: false, said: `never degraded: ${await told(seawall)}` };
  }
}

export async function healed(seawall) {
  try {
    const status = await until('journal healthy', HEALED_MS, async () => {
      const now = await seawall.journalStatus();
      return now.state !== 'degraded' && now;
    });
    return { ok: true, said: `healthy again, ${status.lost} records lost` };
  } catch {
    return { ok: false, said: `not healthy again: ${await told(seawall)}` };
  }
}

function told(seawall) {
  return seawall.journalStatus().then(JSON.stringify, (error) => `/v1/journal: ${error.message}`);
}
