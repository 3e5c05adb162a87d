// A Seawall under test: its estate, its process, what it says of itself.

import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sleep, until } from './clock.mjs';
import { Http } from './rpc.mjs';
import { freePorts } from './stage.mjs';

/** What a request that changes something must show. */
export const TOKEN = 'outage-harness';
const READY_MS = 15_000;
const RECORDS_READ = 2000;

/** The estate as text. `upstreams` are `{ name, provider, url, weight }`, `pool` lines more of the one pool. */
export function estateText({ host = '127.0.0.1', gateway, admin, journal, chainId, blockTime = '1s', pool = [], upstreams, log = 'info', drain }) {
  const providers = [...new Set(upstreams.map((u) => u.provider))];
  return [
    '[estate]', 'name = "outage"', '',
    '[listen]', `gateway = "${host}:${gateway}"`, `admin = "${host}:${admin}"`,
    'admin_token = "env:OUTAGE_ADMIN_TOKEN"', '',
    '[journal]', `dir = "${journal}"`, '',
    '[log]', `level = "${log}"`, '',
    ...(drain ? ['[limits]', `drain = "${drain}"`, ''] : []),
    ...providers.flatMap((p) => [`[providers.${p}]`, '']),
    '[pools.chain]', 'kind = "evm"', `chain_id = ${chainId}`, `block_time = "${blockTime}"`, 'route = "/"', ...pool, '',
    ...upstreams.flatMap((u) => [
      '[[pools.chain.upstreams]]', `name = "${u.name}"`, `url = "${u.url}"`, `provider = "${u.provider}"`,
      `weight = ${u.weight ?? 100}`, '',
    ]),
  ].join('\n');
}

/**
 * Starts Seawall on free ports, in front of `upstreams`, and waits until it says that it is ready. `within` is the
 * network namespace it runs in, if another.
 */
export async function startSeawall({ lab, stage }, options) {
  const [gateway, admin] = await freePorts(2);
  const dir = stage.subdir(options.name);
  const journal = options.journal ?? join(dir, 'journal');
  const estate = { gateway, admin, journal, ...options };
  const file = join(dir, 'seawall.toml');
  writeFileSync(file, estateText(estate));
  const [command, ...args] = [...(options.within ? ['ip', 'netns', 'exec', options.within] : []), lab.seawall, 'run', file,
    ...(options.role ? ['--role', options.role] : [])];
  const child = stage.start('seawall', command, args, {
    stderr: options.stderr,
    env: { OUTAGE_ADMIN_TOKEN: TOKEN, ...options.env },
  });
  const seawall = new Seawall({ binary: lab.seawall, child, file, estate, journal, host: options.host ?? '127.0.0.1', gateway, admin });
  await seawall.ready();
  return seawall;
}

class Seawall {
  #http = new Http();
  #binary;

  constructor({ binary, child, file, estate, journal, host, gateway, admin }) {
    this.#binary = binary;
    Object.assign(this, { child, file, estate, journal });
    this.url = `http://${host}:${gateway}/`;
    this.admin = `http://${host}:${admin}`;
  }

  async ready() {
    let ended;
    this.child.ended.then((how) => (ended = how));
    await until('Seawall ready', READY_MS, async () => {
      if (ended) throw new Error(`it ended: ${ended}`);
      return (await this.#get('/readyz')).status === 200;
    }).catch((error) => {
      throw new Error(`${error.message}\n${readFileSync(this.child.log, 'utf8').slice(-4000)}`);
    });
  }

  /** What `/v1/pools` says of the one pool. */
  async pool() {
    return JSON.parse((await this.#get('/v1/pools')).text).pools[0];
  }

  /** What `/v1/journal` says. */
  async journalStatus() {
    return JSON.parse((await this.#get('/v1/journal')).text);
  }

  /** The samples of `/metrics`: `[{ name, labels, value }]`. */
  async metrics() {
    return parseMetrics((await this.#get('/metrics')).text);
  }

  /** Takes an upstream out of service, or puts it back. */
  cordon(upstream, word = 'cordon') {
    return this.#http.send('POST', `${this.admin}/v1/pools/chain/upstreams/${upstream}/${word}`, {
      body: '{"reason":"outage harness"}',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    });
  }

  /** The newest records of the journal, oldest first, read by Seawall's own command. */
  async records() {
    return recordsIn(this.#binary, this.journal);
  }

  /** Whether the journal verifies: `{ ok, said }`. */
  async verify() {
    try {
      return { ok: true, said: (await this.#log('verify')).trim() };
    } catch (error) {
      return { ok: false, said: `${error.stdout ?? ''}${error.stderr ?? error.message}`.trim() };
    }
  }

  /** Resident memory in KiB. */
  residentKib() {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]);
  }

  /** CPU time used so far, in seconds, by the kernel's 100 ticks a second. */
  cpuSeconds() {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** SIGTERM, and how it ended. */
  async stop() {
    this.child.kill('SIGTERM');
    const how = await Promise.race([this.child.ended, sleep(40_000, 'still there after 40 s')]);
    this.child.kill('SIGKILL');
    this.#http.close();
    return how;
  }

  #get(path) {
    return this.#http.send('GET', this.admin + path);
  }

  #log(command, ...args) {
    return log(this.#binary, this.journal, command, ...args);
  }
}

/** The newest records of the journal in that directory, oldest first. */
export async function recordsIn(binary, journal) {
  const text = await log(binary, journal, 'tail', '--json', '-n', String(RECORDS_READ));
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

async function log(binary, journal, command, ...args) {
  const run = promisify(execFile)(binary, ['log', command, '--dir', journal, ...args], {
    maxBuffer: 256 * 1024 * 1024,
    timeout: 60_000,
  });
  return (await run).stdout;
}

function parseMetrics(text) {
  const samples = [];
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1], m[2]]));
    samples.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return samples;
}
