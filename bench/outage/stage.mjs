// The processes and files of a run. Whatever ends the run, even a kill -9 of this process, ends them too:
// a small shell in a session of its own holds the list of living pids and acts when its input closes.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const REAPER = `trap '' INT TERM HUP
pids=
while read -r line; do pids=$line; done
[ -z "$pids" ] || kill -9 $pids 2>/dev/null
umount -l "$0/small" 2>/dev/null
[ ! -d /run/netns ] || for ns in $(ls /run/netns | grep "^\${0##*-}-"); do ip netns delete "$ns"; done
[ -n "$1" ] || rm -rf "$0"`;

export class Stage {
  #alive = new Map();
  /** Processes that others started. */
  #adopted = new Set();
  #reaper;
  #logs = 0;

  constructor({ keep }) {
    this.dir = mkdtempSync(join(tmpdir(), 'seawall-outage-'));
    this.#reaper = spawn('sh', ['-c', REAPER, this.dir, keep ? 'keep' : ''], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#reaper.stdin.on('error', () => {}); // it is gone only when we are
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));
    process.once('exit', () => this.clear());
  }

  /** Beginning of the names of what this run alone has and the machine shares, such as network namespaces. */
  get mark() {
    return this.dir.split('-').at(-1);
  }

  /** A fresh directory under the scratch directory. */
  subdir(name) {
    const path = join(this.dir, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Starts a process, its output in a log file unless `stderr` gives a descriptor. */
  start(name, command, args, { env, stderr } = {}) {
    const log = join(this.dir, `${String((this.#logs += 1)).padStart(3, '0')}-${name}.log`);
    const fd = openSync(log, 'a');
    const child = spawn(command, args, {
      stdio: ['ignore', fd, stderr ?? fd],
      env: { ...process.env, ...env },
    });
    closeSync(fd);
    child.log = log;
    child.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(String(error)));
      child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
    });
    child.ended.then(() => {
      this.#alive.delete(child);
      this.#tellReaper();
    });
    this.#alive.set(child, name);
    this.#tellReaper();
    return child;
  }

  /** Has a process that another one started end with the run. */
  adopt(pid) {
    this.#adopted.add(pid);
    this.#tellReaper();
  }

  /** Kills everything started so far. */
  clear() {
    for (const pid of this.#adopted) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {} // it has ended
    }
    this.#adopted.clear();
    for (const child of this.#alive.keys()) child.kill('SIGKILL');
  }

  /** Ends the run: the reaper removes what is left. */
  end() {
    this.clear();
    this.#reaper.stdin.end();
  }

  #tellReaper() {
    const pids = [...[...this.#alive.keys()].map((child) => child.pid).filter(Boolean), ...this.#adopted];
    this.#reaper.stdin.write(`${pids.join(' ')}\n`);
  }
}

/** Ports that were free a moment ago. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((s) => new Promise((resolve) => s.once('listening', resolve))));
  const ports = servers.map((s) => s.address().port);
  await Promise.all(servers.map((s) => new Promise((resolve) => s.close(resolve))));
  return ports;
}
