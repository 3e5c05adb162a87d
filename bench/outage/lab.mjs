// Where the real components are: the chain node, the client library, the scripted node, Seawall itself.

import { execFileSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

export class Lab {
  #settings;

  constructor(settings) {
    this.#settings = settings;
    this.dir = resolve(settings.lab ?? join(ROOT, 'target/lab'));
  }

  /** The Seawall binary. */
  get seawall() {
    return program(this.#settings.seawall ?? join(ROOT, 'target/release/seawall'), 'cargo build --release');
  }

  /** The chain node: the platform's own binary, since its wrapper cannot be killed as one process. */
  get anvil() {
    const scope = join(this.dir, 'node_modules/@foundry-rs');
    let packages = [];
    try {
      packages = readdirSync(scope).filter((name) => name.startsWith('anvil-'));
    } catch {
      // Reported just below, with what to do.
    }
    if (packages.length !== 1) throw new Error(`no chain node under ${scope}: run scripts/setup.sh`);
    return program(join(scope, packages[0], 'bin/anvil'), 'scripts/setup.sh');
  }

  /** A chain node that has peers, built on first use. */
  get geth() {
    execFileSync(join(ROOT, 'scripts/lab/nodes.sh'), ['geth'], { stdio: ['ignore', 'inherit', 'inherit'] });
    return program(join(ROOT, 'target/lab/bin/geth'), 'scripts/lab/nodes.sh geth');
  }

  /** The scripted node, built on first use. */
  get mocknode() {
    if (this.#settings.mocknode) return program(this.#settings.mocknode, '--mocknode PATH');
    const target = join(ROOT, 'target/mocknode');
    const manifest = join(ROOT, 'bench/mocknode/Cargo.toml');
    execFileSync('cargo', ['build', '--quiet', '--release', '--manifest-path', manifest], {
      env: { ...process.env, CARGO_TARGET_DIR: target },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    return program(join(target, 'release/mocknode'), 'cargo build in bench/mocknode');
  }
}

/** The client library, for the main thread and the load threads alike. */
export function ethersOf(labDir) {
  return createRequire(join(labDir, 'package.json'))('ethers');
}

function program(path, cure) {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Error(`${path} is not there: ${cure}`);
  }
  return resolve(path);
}
