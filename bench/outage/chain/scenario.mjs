// One real chain node behind three provider processes, Seawall in front, an ethers client on top: every ten
// seconds a provider is killed, frozen or restarted, and nobody is to notice.

import { Worker } from 'node:worker_threads';
import { now, sleep, until } from '../clock.mjs';
import { ethersOf } from '../lab.mjs';
import { Http } from '../rpc.mjs';
import { startSeawall } from '../seawall.mjs';
import { freePorts } from '../stage.mjs';
import { ADD, DEPLOY } from './contract.mjs';
import { judge } from './judge.mjs';
import { Providers, faultAt } from './providers.mjs';
import { Heads, history } from './truth.mjs';
import { audit, sign } from './writes.mjs';

const CHAIN_ID = 31337;
const ACCOUNTS = 5;
const START_IN_MS = 1500;
const MINED_AFTER_MS = 3500;

export async function chain({ lab, stage, settings, say }) {
  const rate = settings.rate ?? (settings.smoke ? 100 : 1000);
  const seconds = settings.seconds ?? (settings.smoke ? 20 : 300);
  const faultEvery = settings.faultEvery ?? (settings.smoke ? 3 : 10);
  const count = settings.transactions ?? (settings.smoke ? 40 : 500);
  const workers = settings.workers ?? (settings.smoke ? 1 : 2);
  const http = new Http();

  const node = await startNode(lab, stage, http);
  const providers = new Providers(stage, node.port);
  await providers.start();
  const contract = await deploy(http, node.url);
  const upstreams = ['ann', 'bob', 'cyd'].map((provider, i) => ({ name: providers.names[i], provider, url: providers.url(i) }));
  const seawall = settings.direct ? null : await startSeawall({ lab, stage }, { name: 'chain', chainId: CHAIN_ID, upstreams });
  const url = seawall?.url ?? providers.url(0);
  say(`chain: ${rate}/s for ${seconds} s at ${settings.direct ? 'one provider, without Seawall' : 'Seawall'}, a fault every ${faultEvery} s`);

  const lists = await sign(ethersOf(lab.dir), {
    count, accounts: ACCOUNTS, chainId: CHAIN_ID, contract: contract.address,
    nonceOf: async (address) => Number(await http.call(node.url, 'eth_getTransactionCount', [address, 'latest'])),
  });
  const startAt = now() + START_IN_MS;
  const threads = Array.from({ length: workers }, (_, i) => new Load(lab, i, {
    url, rate: rate / workers, seconds, startAt, seed: 7919 * (i + 1), contract: contract.address,
    estimate: contract.estimate, chainId: CHAIN_ID, first: contract.first,
    raw: lists.filter((_, a) => a % workers === i).map((l) => l.transactions),
  }));
  const heads = new Heads(node.url, (number) => tellHead(http, node.url, number, threads));
  await heads.start();
  const first = heads.newest;

  const cpu = seawall?.cpuSeconds();
  const faults = await injectFaults({ providers, faultEvery, seconds, startAt, say });
  await Promise.all(threads.map((t) => t.done));
  const cpuUsed = seawall ? seawall.cpuSeconds() - cpu : null;
  await sleep(MINED_AFTER_MS);
  await heads.stop();

  const truth = await history(node.url, { first, last: heads.newest, contract: contract.address, estimate: contract.estimate });
  const entries = threads.map((t) => t.entries);
  const writes = await audit(http, node.url, lists, truth, entries.flat().filter((e) => e.kind === 'send'));
  const result = judge({ entries, lags: threads.flatMap((t) => [...t.lags]), heads, truth, faults, writes, startAt });
  if (seawall) {
    result.seawall = { cpu_us_per_request: Math.round((cpuUsed * 1e6) / result.requests), rss_kib: seawall.residentKib() };
    result.seawall.journal = (await seawall.verify()).said.split('\n').at(-1);
    result.seawall.stopped = await seawall.stop();
  }
  http.close();
  return result;
}

async function startNode(lab, stage, http) {
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}/`;
  stage.start('anvil', lab.anvil, ['--port', String(port), '--block-time', '1', '--chain-id', String(CHAIN_ID), '--silent']);
  await until('the chain node', 10_000, () => http.call(url, 'eth_chainId'));
  return { port, url };
}

/** Deploys the contract and calls it once, so that every block read later has an answer. */
async function deploy(http, url) {
  const [from] = await http.call(url, 'eth_accounts');
  const mined = async (transaction) => {
    const hash = await http.call(url, 'eth_sendTransaction', [{ from, ...transaction }]);
    return until('a transaction of the set-up', 10_000, () => http.call(url, 'eth_getTransactionReceipt', [hash]));
  };
  const address = (await mined({ data: DEPLOY })).contractAddress;
  const call = { to: address, data: ADD, value: '0x1' };
  const receipt = await mined(call);
  const first = { number: Number(receipt.blockNumber), hash: receipt.blockHash, mined: receipt.transactionHash };
  await until('a block on top', 10_000, async () => Number(await http.call(url, 'eth_blockNumber')) > first.number + 2);
  return { address, first, estimate: { from, ...call } };
}

/** Tells the clients of a block once it is two blocks old: what they then ask for, every provider has. */
async function tellHead(http, url, number, threads) {
  const block = await http.call(url, 'eth_getBlockByNumber', [`0x${Math.max(0, number - 2).toString(16)}`, false]);
  const head = { number: Number(block.number), hash: block.hash };
  for (const thread of threads) thread.tell({ head, mined: block.transactions });
}

async function injectFaults({ providers, faultEvery, seconds, startAt, say }) {
  const faults = [];
  for (let step = 0; (step + 1) * faultEvery < seconds; step += 1) {
    await sleep(Math.max(0, startAt + (step + 1) * faultEvery * 1000 - now()));
    const fault = faultAt(step);
    const at = now();
    await providers.fault(fault);
    faults.push({ at, what: `${fault.action} ${providers.names[fault.provider]}` });
    say(`chain: ${Math.round((at - startAt) / 1000)} s: ${faults.at(-1).what}`);
  }
  return faults;
}

/** A load thread, and what it has reported. */
class Load {
  entries = [];

  constructor(lab, index, data) {
    this.worker = new Worker(new URL('load.mjs', import.meta.url), { workerData: { ...data, labDir: lab.dir } });
    this.done = new Promise((resolve, reject) => {
      this.worker.on('message', ({ finished, lags }) => {
        if (finished) for (const entry of finished) this.entries.push(entry);
        if (!lags) return;
        this.lags = lags;
        resolve(this.worker.terminate()); // requests that hang would keep it
      });
      this.worker.once('error', reject);
      this.worker.once('exit', () => reject(new Error(`load thread ${index} ended early`)));
    });
  }

  tell(news) {
    this.worker.postMessage(news);
  }
}
