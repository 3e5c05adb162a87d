// Stderr is a pipe that was full before Seawall started and that nobody ever reads, with debug logging on.

import { execFileSync } from 'node:child_process';
import { constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../clock.mjs';

export function stderrUnread({ dir }) {
  const pipe = join(dir, 'stderr');
  execFileSync('mkfifo', [pipe]);
  // Opened for both, so that it has a reader that does not read; blocking, as a real one would be.
  const stderr = openSync(pipe, constants.O_RDWR);
  const full = fill(pipe);
  return {
    options: { stderr, log: 'debug' },
    async during(_seawall, seconds) {
      await sleep(seconds * 1000);
      return { ok: fill(pipe) === 0, said: `pipe full with ${full} bytes` };
    },
    async after() {
      return null;
    },
  };
}

/** Writes until the pipe takes no more; how many bytes it took. */
function fill(pipe) {
  const fd = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
  let taken = 0;
  for (const size of [4096, 1]) {
    try {
      for (;;) taken += writeSync(fd, Buffer.alloc(size, '.'));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
  return taken;
}
