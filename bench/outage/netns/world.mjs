// Four machines on one: the gateway and three nodes, each in a network namespace, wired by veth pairs. Needs root, and
// Debian's iproute2 and nftables.

import { execFileSync } from 'node:child_process';

/** Addresses for tests of networks (RFC 2544): nothing real is there. */
const net = (wire, end) => `198.18.${wire}.${end}`;
const BITS = 30;
const CLIENT_WIRE = 20;
const CHAIN_WIRE = 10;

/** What may happen to the link between the gateway and a node; each is rules at the node's end, or none. */
const RULES = {
  // Nothing arrives and nothing comes back: a cable cut somewhere on the way.
  blackhole: ['add rule inet fault in iifname "gw" drop', 'add rule inet fault out oifname "gw" drop'],
  // Requests arrive, answers are lost.
  mute: ['add rule inet fault out oifname "gw" drop'],
  // Requests are lost; the node's own packets still come.
  deaf: ['add rule inet fault in iifname "gw" drop'],
  // A firewall that answers in the node's place.
  rst: ['add rule inet fault in iifname "gw" meta l4proto tcp reject with tcp reset'],
  // Every third packet is lost, either way.
  lossy: ['add rule inet fault in iifname "gw" numgen random mod 100 < 30 drop', 'add rule inet fault out oifname "gw" numgen random mod 100 < 30 drop'],
};

export class World {
  #mark;

  constructor(mark, names) {
    this.#mark = mark;
    this.names = names;
  }

  /** Makes the namespaces and wires; a run that was broken off before is the reaper's to clear. */
  build() {
    run('ip', 'netns', 'add', this.gateway);
    inside(this.gateway, 'ip', 'link', 'set', 'dev', 'lo', 'up');
    this.#wire(CLIENT_WIRE, null, `${this.#mark}-gw`, this.gateway, 'client');
    this.names.forEach((name, i) => {
      const ns = this.node(i);
      run('ip', 'netns', 'add', ns);
      inside(ns, 'ip', 'link', 'set', 'dev', 'lo', 'up');
      this.#wire(i + 1, this.gateway, name, ns, 'gw');
      this.#wire(CHAIN_WIRE + i, null, `${this.#mark}-${name}`, ns, 'chain');
    });
  }

  get gateway() {
    return `${this.#mark}-gateway`;
  }

  node(i) {
    return `${this.#mark}-node-${this.names[i]}`;
  }

  /** Where the clients find the gateway. */
  get gatewayHost() {
    return net(CLIENT_WIRE, 2);
  }

  /** Where the gateway finds node `i`. */
  nodeHost(i) {
    return net(i + 1, 2);
  }

  /** Where node `i` finds its chain. */
  chainHost(i) {
    return net(CHAIN_WIRE + i, 1);
  }

  /** Breaks the link of node `i`, by rules or by taking it down. */
  break(i, how) {
    if (how === 'down') return inside(this.node(i), 'ip', 'link', 'set', 'dev', 'gw', 'down');
    const chains = ['in', 'out'].map((c) => `add chain inet fault ${c} { type filter hook ${c}put priority 0; }`);
    return nft(this.node(i), ['add table inet fault', ...chains, ...RULES[how]]);
  }

  mend(i, how) {
    if (how === 'down') inside(this.node(i), 'ip', 'link', 'set', 'dev', 'gw', 'up');
    else nft(this.node(i), ['delete table inet fault']);
  }

  clear() {
    for (const ns of [this.gateway, ...this.names.map((_, i) => this.node(i))]) run('ip', 'netns', 'delete', ns);
  }

  /** A veth pair: `.1` at one end, in the first namespace or outside, `.2` at the other. */
  #wire(number, ns1, if1, ns2, if2) {
    run('ip', 'link', 'add', 'name', if1, ...(ns1 ? ['netns', ns1] : []), 'type', 'veth', 'peer', 'name', if2, 'netns', ns2);
    [[ns1, if1, 1], [ns2, if2, 2]].forEach(([ns, name, end]) => {
      const at = (...args) => (ns ? inside(ns, ...args) : run(...args));
      at('ip', 'address', 'add', `${net(number, end)}/${BITS}`, 'dev', name);
      at('ip', 'link', 'set', 'dev', name, 'up');
    });
  }
}

function nft(ns, lines) {
  inside(ns, 'nft', lines.join('; '));
}

function inside(ns, ...command) {
  return run('ip', 'netns', 'exec', ns, ...command);
}

function run(command, ...args) {
  try {
    return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`network namespaces need root, iproute2 and nftables: ${command} ${args.join(' ')}: ${error.stderr ?? error.message}`);
  }
}
