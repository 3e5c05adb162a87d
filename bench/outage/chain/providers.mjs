// Three provider processes in front of one chain node, and the script of what happens to them.

import { fileURLToPath } from 'node:url';
import { connect } from 'node:net';
import { until } from '../clock.mjs';
import { freePorts } from '../stage.mjs';

const FORWARDER = fileURLToPath(new URL('../forwarder.mjs', import.meta.url));

/** One round, by place in the rotation; the third provider is touched only while another one lives. */
const ROUND = [
  [0, 'kill'], [0, 'restart'], [1, 'freeze'], [1, 'continue'],
  [2, 'kill'], [0, 'freeze'], [2, 'restart'], [0, 'continue'],
];

/** The fault at each step: round after round, every provider in every place. Never all three at once. */
export function faultAt(step) {
  const [place, action] = ROUND[step % ROUND.length];
  return { provider: (place + Math.floor(step / ROUND.length)) % 3, action };
}

export class Providers {
  #stage;
  #target;
  #children = [];

  constructor(stage, target) {
    this.#stage = stage;
    this.#target = target;
    this.names = ['a', 'b', 'c'];
  }

  async start() {
    this.ports = await freePorts(this.names.length);
    await Promise.all(this.names.map((_, i) => this.#spawn(i)));
  }

  url(i) {
    return `http://127.0.0.1:${this.ports[i]}`;
  }

  /** Does what the step of the script says. */
  async fault({ provider, action }) {
    const child = this.#children[provider];
    if (action === 'kill') child.kill('SIGKILL');
    else if (action === 'freeze') child.kill('SIGSTOP');
    else if (action === 'continue') child.kill('SIGCONT');
    else await this.#spawn(provider);
  }

  async #spawn(i) {
    await this.#children[i]?.ended;
    const args = [FORWARDER, String(this.ports[i]), String(this.#target)];
    this.#children[i] = this.#stage.start(`provider-${this.names[i]}`, process.execPath, args);
    await until(`provider ${this.names[i]}`, 5000, () => accepts(this.ports[i]), 10);
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
