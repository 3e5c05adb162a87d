// Every way to misbehave, by one, two and all of three nodes, for each kind of request: a table with a verdict a cell.

import { now, sleep } from '../clock.mjs';
import { ethersOf } from '../lab.mjs';
import { CHAIN_ID, Nodes } from '../mock/nodes.mjs';
import { BLOCK_MS, headAt } from '../mock/digest.mjs';
import { startSeawall } from '../seawall.mjs';
import { cells } from './cells.mjs';
import { Clients } from './client.mjs';
import { Subscriber } from './subscriber.mjs';

/** Cells that run side by side, each with nodes and a Seawall of its own. */
const LANES = 3;
const RATE = 50;
const BEFORE_S = 1;
const DURING_S = 5;
/** After the end of a fault of all: how long refusals go on being excused, and then what must be well. */
const GRACE_MS = 2500;
const WELL_MS = 1500;

export async function matrix({ lab, stage, settings, say }) {
  const seconds = settings.seconds ?? (settings.smoke ? 4 : DURING_S);
  const rate = settings.rate ?? RATE;
  const left = cells(settings);
  const result = { matrix: [], examples: [], missed: [] };
  const rows = new Map();
  const order = left.map((c) => c.name);
  const lane = async () => {
    const nodes = new Map();
    for (let cell = left.shift(); cell; cell = left.shift()) {
      const key = cell.owners.join();
      if (!nodes.has(key)) nodes.set(key, await started({ lab, stage }, new Nodes(cell.owners)));
      const row = await oneCell({ lab, stage, nodes: nodes.get(key), cell, rate, seconds });
      rows.set(cell.name, row);
      say(`matrix: ${cell.name}: ${Object.entries(row.kinds).map(([kind, k]) => `${kind} ${k.verdict}`).join('  ')}`);
    }
    for (const each of nodes.values()) each.close();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const { cell, kinds, examples } of order.map((name) => rows.get(name))) {
    for (const [kind, counts] of Object.entries(kinds)) {
      result.matrix.push({ mode: cell.mode, nodes: cell.nodes, bar: barOf(cell), kind, told: cell.instead?.name, ...counts });
      if (!counts.holds) result.missed.push(`${cell.name}, ${kind}: ${counts.verdict}`);
    }
    result.examples.push(...examples.map((e) => ({ cell: cell.name, ...e })));
  }
  return result;
}

async function started(context, nodes) {
  await nodes.start(context);
  return nodes;
}

async function oneCell({ lab, stage, nodes, cell, rate, seconds }) {
  const name = `matrix-${cell.name.replace(/\W+/g, '-')}`;
  const seawall = await startSeawall({ lab, stage }, { name, chainId: CHAIN_ID, upstreams: nodes.upstreams, log: 'warn' });
  let began = Infinity;
  let over = Infinity;
  let since = Infinity;
  const grace = cell.must ? 0 : GRACE_MS + (cell.instead.after ?? 0) * BLOCK_MS;
  const excuse = (sent) => {
    const excused = !cell.must && began < Infinity && sent < over + grace;
    return { refused: excused, instead: excused ? cell.instead : null, since };
  };
  const clients = new Clients({ ethers: ethersOf(lab.dir), url: seawall.url, seed: 7919 * (1 + cell.bad.length), excuse });
  const subscriber = new Subscriber({ lab, url: seawall.url, excuse });
  const running = clients.run(rate);
  await sleep(BEFORE_S * 1000);
  since = headAt(Date.now());
  began = now();
  await Promise.all(cell.bad.map((i) => nodes.behave(i, cell.mode)));
  await sleep(seconds * 1000);
  await Promise.all(cell.bad.map((i) => nodes.behave(i, 'ok')));
  over = now();
  await sleep(grace + WELL_MS);
  subscriber.end();
  clients.stop();
  await running;
  clients.checkWrites(await nodes.accepted());
  await seawall.stop();
  const tallies = { ...clients.tallies, subscription: subscriber.tally };
  const kinds = Object.fromEntries(Object.entries(tallies).map(([kind, counts]) => [kind, judged(counts, cell)]));
  return { cell, kinds, examples: [...clients.examples, ...subscriber.examples] };
}

function barOf(cell) {
  return cell.must ? 'unnoticed' : `refused, or ${cell.instead.name}`;
}

/** Whether the cell holds, and in a word what it shows. */
function judged(counts, cell) {
  const { failed, wrong, backwards, refused, instead } = counts;
  const bad = Object.entries({ failed, wrong, backwards }).filter(([, n]) => n > 0);
  if (bad.length > 0) return { ...counts, holds: false, verdict: bad.map(([what, n]) => `${n} ${what}`).join(', ') };
  const told = [refused > 0 && 'refused', instead > 0 && cell.instead.name].filter(Boolean);
  return { ...counts, holds: cell.must ? told.length === 0 : true, verdict: told.join(', ') || 'unnoticed' };
}
