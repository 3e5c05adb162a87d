// The journal's file system is full, to the last byte. It is a small one of its own, so this needs root.

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../clock.mjs';
import { degradedSince, healed } from './journal.mjs';

const SIZE = '16m';

export function diskFull({ stage }) {
  const mount = join(stage.dir, 'small');
  mkdirSync(mount);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'outage', mount], { stdio: 'pipe' });
  } catch (error) {
    throw new Error(`disk-full needs the right to mount a small file system: ${error.stderr}`);
  }
  process.once('exit', () => {
    try {
      execFileSync('umount', ['-l', mount], { stdio: 'ignore' });
    } catch {
      // Gone already.
    }
  });
  const filler = join(mount, 'filler');
  return {
    options: { journal: join(mount, 'journal') },
    async during(seawall, seconds) {
      fill(filler);
      const degraded = degradedSince(seawall, seconds);
      await sleep(seconds * 1000);
      return degraded;
    },
    async after(seawall) {
      rmSync(filler);
      return healed(seawall);
    },
  };
}

function fill(path) {
  const fd = openSync(path, 'w');
  for (let size = 1 << 20; size >= 1; size >>= 1) {
    const block = Buffer.alloc(size);
    try {
      for (;;) writeSync(fd, block);
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    }
  }
  closeSync(fd);
}
