// Valid and invalid estates in turn, twice a second, half of them renamed into place, each with a SIGHUP.

import { renameSync, writeFileSync } from 'node:fs';
import { now, sleep, until } from '../clock.mjs';
import { estateText } from '../seawall.mjs';

const EVERY_MS = 500;
const TAKEN_MS = 10_000;
const LAST_WEIGHT = 77;

/** What is wrong with each invalid estate. */
const BROKEN = [
  (text) => text.replace('[pools.chain]', '[pools.chain'),
  (text) => text.replace('kind = "evm"', 'kind = "evm"\nno_such_key = 1'),
  () => '',
  (text) => text.replace(/provider = "\w+"/, 'provider = "nobody"'),
  (text) => text.slice(0, text.length / 2),
];

export function reloads() {
  return { options: {}, during, after };
}

async function during(seawall, seconds) {
  const end = now() + seconds * 1000;
  let count = 0;
  for (; now() < end; count += 1) {
    const valid = weighted(seawall.estate, 50 + (count % 40));
    const text = count % 2 === 0 ? BROKEN[(count / 2) % BROKEN.length](valid) : valid;
    if (count % 4 < 2) {
      writeFileSync(`${seawall.file}.new`, text);
      renameSync(`${seawall.file}.new`, seawall.file);
    } else {
      writeFileSync(seawall.file, text);
    }
    seawall.child.kill('SIGHUP');
    await sleep(EVERY_MS);
  }
  const kinds = (await seawall.records()).map((r) => r.kind);
  const [taken, refused] = ['reload', 'reload_refused'].map((kind) => kinds.filter((k) => k === kind).length);
  return { ok: taken > 0 && refused > 0, said: `${count} estates, in the journal ${taken} taken and ${refused} refused` };
}

/** The last valid estate is the one in force. */
async function after(seawall) {
  writeFileSync(seawall.file, weighted(seawall.estate, LAST_WEIGHT));
  seawall.child.kill('SIGHUP');
  try {
    await until('the last estate', TAKEN_MS, async () => (await seawall.pool()).upstreams[0].weight === LAST_WEIGHT);
    return { ok: true, said: 'the last valid one is in force' };
  } catch (error) {
    return { ok: false, said: error.message };
  }
}

function weighted(estate, weight) {
  return estateText({ ...estate, upstreams: estate.upstreams.map((u) => ({ ...u, weight })) });
}
