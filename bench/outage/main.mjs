// Reads the command line, runs the scenarios one after another, prints what they found.

import { parseArgs } from 'node:util';
import { Lab } from './lab.mjs';
import { Stage } from './stage.mjs';
import { printReport } from './report.mjs';
import { chain } from './chain/scenario.mjs';
import { clients } from './clients/scenario.mjs';
import { matrix } from './matrix/scenario.mjs';
import { modes } from './mock/modes.mjs';
import { netns } from './netns/scenario.mjs';
import { trouble } from './trouble/scenario.mjs';
import { upgrade } from './upgrade.mjs';
import { roles } from './roles.mjs';
import { venue } from './venue/scenario.mjs';
import { hostile } from './hostile.mjs';
import { idle } from './idle.mjs';

const SCENARIOS = { chain, modes, matrix, clients, netns, trouble, upgrade, roles, venue, hostile, idle };

const HELP = `Usage: bench/outage/run [SCENARIO ...] [OPTIONS]

Breaks things under a running Seawall while an open-loop load goes through it, and checks every answer.

Scenarios (default: all, in this order)
  chain     one real chain node behind three provider processes that are killed, frozen and restarted
  modes     three scripted nodes, one of them misbehaving in each known way in turn
  matrix    each known way to misbehave, by 1, 2 and 3 of 3 nodes, for each kind of request: a table
  clients   ethers, viem, web3.py and cast do what they do at one healthy node, through a failover and a reorganisation
  netns     gateway and nodes in network namespaces, the links between them cut, muted, reset, down (needs root)
  trouble   Seawall's own troubles: bad estates, a full disk, a stalled fsync, a stderr nobody reads
  upgrade   another process takes over, 20 times, under load; then one of two gateways is killed
  roles     the roles in processes of their own; those that watch and respond are killed, again and again, under load
  venue     10,000 orders, cancels and closes over HTTP and as many over sockets, at a venue that takes them and then fails:
            what clients are told, held against its ledger
  hostile   heads, bodies and HTTP/2 frames without end, a hundred connections at a time: memory, and clients beside
  idle      memory held by idle connections

Options
  --rate N           requests a second (chain 1000, modes 200, matrix 80, trouble 500, upgrade 1000, roles 1000, venue 150)
  --seconds N        length of the run (chain 300), of one mode (12), of one cell's fault (5), of one trouble (60),
                     of netns at least (0: its script once)
  --fault-every N    seconds between faults in chain (10)
  --transactions N   transactions sent in chain (500)
  --workers N        load threads in chain (2)
  --connections N    idle connections (5000)
  --only A,B         only these modes, cells (as in "hang 2/3") or troubles
  --smoke            a short run of each: lower rate, fewer seconds
  --direct           chain, modes: without Seawall, straight to one provider (shows that the harness can fail)
  --seawall PATH     the binary (target/release/seawall)
  --mocknode PATH    the scripted node (default: built from bench/mocknode into target/mocknode)
  --lab DIR          where scripts/setup.sh put the chain node and the client library (target/lab)
  --keep             keep the scratch directory (estate, journal, logs) and say where it is
  --json             print the result as JSON
  --help             this text

Exit codes: 0 every bar held; 1 a bar was missed; 2 the run could not be made.
Everything listens on loopback; every process started is killed however the run ends.`;

const OPTIONS = {
  rate: { type: 'string' }, seconds: { type: 'string' }, 'fault-every': { type: 'string' },
  transactions: { type: 'string' }, workers: { type: 'string' }, connections: { type: 'string' },
  only: { type: 'string' }, seawall: { type: 'string' }, mocknode: { type: 'string' }, lab: { type: 'string' },
  smoke: { type: 'boolean' }, direct: { type: 'boolean' }, keep: { type: 'boolean' },
  json: { type: 'boolean' }, help: { type: 'boolean' },
};

export async function main(argv) {
  let settings;
  try {
    settings = read(argv);
  } catch (error) {
    console.error(`${error.message}\nTry: bench/outage/run --help`);
    process.exit(2);
  }
  if (settings.help) {
    console.log(HELP);
    return;
  }
  process.exit(await runAll(settings));
}

/** The command line as numbers, names and switches; throws on what it does not understand. */
function read(argv) {
  const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
  for (const name of positionals) {
    if (!Object.hasOwn(SCENARIOS, name)) throw new Error(`no scenario \`${name}\``);
  }
  const number = (name) => {
    if (values[name] === undefined) return undefined;
    const n = Number(values[name]);
    if (!Number.isInteger(n) || n <= 0) throw new Error(`--${name} needs a whole number above 0`);
    return n;
  };
  return {
    ...values,
    scenarios: positionals.length > 0 ? positionals : Object.keys(SCENARIOS),
    only: values.only?.split(','),
    rate: number('rate'), seconds: number('seconds'), faultEvery: number('fault-every'),
    transactions: number('transactions'), workers: number('workers'), connections: number('connections'),
  };
}

async function runAll(settings) {
  const stage = new Stage({ keep: settings.keep });
  const say = (line) => console.error(line);
  const results = {};
  try {
    const lab = new Lab(settings);
    for (const name of settings.scenarios) {
      results[name] = await SCENARIOS[name]({ lab, stage, settings, say });
      stage.clear();
    }
  } catch (error) {
    console.error(`outage: ${error.stack ?? error}`);
    return 2;
  } finally {
    stage.end();
    if (settings.keep) say(`kept: ${stage.dir}`);
  }
  if (settings.json) console.log(JSON.stringify(results, null, 2));
  else for (const [name, result] of Object.entries(results)) printReport(name, result);
  return Object.values(results).every((r) => r.missed.length === 0) ? 0 : 1;
}
