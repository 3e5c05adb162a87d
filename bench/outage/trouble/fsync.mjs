// Every fsync and fdatasync of the process stalls: a shim, preloaded, holds them while a file exists.

import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '../clock.mjs';
import { degradedSince, healed } from './journal.mjs';

const SOURCE = fileURLToPath(new URL('stall.c', import.meta.url));

export function fsyncStalled({ dir }) {
  const shim = join(dir, 'stall.so');
  const flag = join(dir, 'stalled');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, SOURCE, '-ldl']);
  return {
    options: { env: { LD_PRELOAD: shim, OUTAGE_STALL: flag } },
    async during(seawall, seconds) {
      writeFileSync(flag, '');
      const degraded = degradedSince(seawall, seconds);
      await sleep(seconds * 1000);
      return degraded;
    },
    async after(seawall) {
      rmSync(flag);
      return healed(seawall);
    },
  };
}
