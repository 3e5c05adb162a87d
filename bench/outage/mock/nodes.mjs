// Scripted nodes, and a load thread in front of them.

import { Worker } from 'node:worker_threads';
import { until } from '../clock.mjs';
import { Http } from '../rpc.mjs';
import { freePorts } from '../stage.mjs';
import { BLOCK_MS } from './digest.mjs';

export const CHAIN_ID = 1;

export class Nodes {
  #http = new Http();

  /** One node for each of `owners`, named a, b, c …, each at one of `hosts` if they are given. */
  constructor(owners = ['ann', 'bob', 'cyd'], hosts = owners.map(() => '127.0.0.1')) {
    this.owners = owners;
    this.hosts = hosts;
    this.names = owners.map((_, i) => 'abcdefgh'[i]);
  }

  async start({ lab, stage }) {
    this.ports = await freePorts(this.names.length);
    const options = ['--block-ms', String(BLOCK_MS), '--chain-id', String(CHAIN_ID)];
    stage.start('mocknode', lab.mocknode, [...this.ports.map((port, i) => `${this.hosts[i]}:${port}`), ...options]);
    await until('the scripted nodes', 10_000, () => this.#http.call(this.url(0), 'eth_chainId'));
  }

  url(i) {
    return `http://${this.hosts[i]}:${this.ports[i]}/`;
  }

  /** For the estate: each owner's upstreams. */
  get upstreams() {
    return this.owners.map((provider, i) => ({ name: this.names[i], provider, url: this.url(i) }));
  }

  async behave(i, mode) {
    await this.#http.send('POST', `${this.url(i)}_mode`, { body: mode });
  }

  /** How often each transaction was accepted, over all nodes. */
  async accepted() {
    return JSON.parse((await this.#http.send('GET', `${this.url(0)}_stats`)).text).accepted;
  }

  close() {
    this.#http.close();
  }
}

/** Starts the mixed load in a thread of its own: `found` is what it will have found, `stop()` ends it early. */
export function load(lab, data) {
  const worker = new Worker(new URL('load.mjs', import.meta.url), { workerData: { ...data, labDir: lab.dir } });
  const found = new Promise((resolve, reject) => {
    worker.once('message', (result) => resolve(worker.terminate().then(() => result)));
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('load thread ended early')));
  });
  return { found, stop: () => worker.postMessage('stop') };
}
