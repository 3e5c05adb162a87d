// The roles of one estate in processes of their own: those that watch and respond are killed under load, again and again.

import { now, openLoop, sleep, until } from './clock.mjs';
import { CHAIN_ID, Nodes } from './mock/nodes.mjs';
import { Clients } from './readers.mjs';
import { Http } from './rpc.mjs';
import { TOKEN, recordsIn, startSeawall } from './seawall.mjs';
import { freePorts } from './stage.mjs';

const KILLS = 5;
const PAUSE_MS = 1000;
/** What is changed by way of one process is in force in the other within this. */
const IN_FORCE_MS = 3_000;
const ROLES = ['watch', 'respond'];

export async function roles({ lab, stage, settings, say }) {
  const rate = settings.rate ?? (settings.smoke ? 200 : 1000);
  const kills = settings.smoke ? 2 : KILLS;
  const nodes = new Nodes();
  await nodes.start({ lab, stage });
  const options = { name: 'roles', chainId: CHAIN_ID, upstreams: nodes.upstreams, role: 'gateway' };
  const seawall = await startSeawall({ lab, stage }, options);
  const others = new Map();
  const http = new Http();
  for (const [i, port] of (await freePorts(ROLES.length)).entries()) others.set(ROLES[i], new Other({ role: ROLES[i], port, seawall, lab, stage, http }));
  for (const other of others.values()) await other.start();

  const clients = new Clients([seawall.url]);
  let over = false;
  const loop = openLoop({ rate, seconds: 600, startAt: now() + 100, fire: (i) => clients.fire(i), stopped: () => over });
  const changes = [];
  for (let n = 1; n <= kills; n += 1) {
    for (const other of others.values()) {
      await sleep(PAUSE_MS);
      await other.kill();
      await sleep(PAUSE_MS);
      await other.start();
    }
    const out = n % 2 === 1;
    changes.push(await change({ seawall, http, at: others.get('respond').admin, out }));
    say(`killed ${n} of ${kills} times: ${clients.told()}`);
  }
  // Seen by the gateway, judged by the other process.
  const journal = `${seawall.journal}-watch`;
  const down = (r) => r.kind === 'verdict' && r.component === 'upstream:chain/b' && r.payload?.status === 'down';
  await nodes.behave(1, 'hang');
  const began = now();
  await until('the process that watches finds the node down', 30_000, async () => (await recordsIn(lab.seawall, journal)).some(down), 200);
  const judgedMs = Math.round(now() - began);
  await nodes.behave(1, 'ok');
  over = true;
  await loop;
  await clients.settled();
  const verdicts = await recordsIn(lab.seawall, journal);
  for (const other of others.values()) await other.stop();
  await seawall.stop();
  http.close();
  nodes.close();
  const judged = verdicts.filter((r) => r.kind === 'verdict' && r.payload?.status === 'up').length;
  const result = { rate, kills: kills * ROLES.length, ...clients.counts, in_force_ms: Math.max(...changes), verdicts: judged, found_down_ms: judgedMs, missed: [] };
  if (result.failed > 0) result.missed.push(`${result.failed} requests failed`, ...clients.examples);
  if (result.in_force_ms > IN_FORCE_MS) result.missed.push(`a change was in force after ${result.in_force_ms} ms`);
  // Each process that watches begins with knowing nothing, and finds everybody well.
  if (judged < kills) result.missed.push(`only ${judged} verdicts that something is up`);
  return result;
}

/** An upstream is taken out of service by way of the other process, or put back; how long the gateway takes to heed it. */
async function change({ seawall, http, at, out }) {
  const began = now();
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
  const path = `v1/pools/chain/upstreams/a/${out ? 'cordon' : 'uncordon'}`;
  const answer = await http.send('POST', `${at}/${path}`, { body: '{"reason":"outage harness"}', headers });
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`);
  await until('the gateway heeds it', 30_000, async () => (await seawall.pool()).upstreams[0].cordoned === out, 20);
  return Math.round(now() - began);
}

class Other {
  #child;
  #start;

  constructor({ role, port, seawall, lab, stage, http }) {
    this.admin = `http://127.0.0.1:${port}`;
    this.#start = async () => {
      const args = ['run', seawall.file, '--role', role, '--admin', `127.0.0.1:${port}`];
      this.#child = stage.start(role, lab.seawall, args, { env: { OUTAGE_ADMIN_TOKEN: TOKEN } });
      await until(`the role ${role} runs`, 15_000, async () => (await http.send('GET', `${this.admin}/healthz`)).status === 200);
    };
  }

  start() {
    return this.#start();
  }

  async kill() {
    this.#child.kill('SIGKILL');
    await this.#child.ended;
  }

  async stop() {
    this.#child.kill('SIGTERM');
    await this.#child.ended;
  }
}
