// Compiles Counter.sol to Counter.json: `npm install solc@0.8.30` anywhere, then `node compile.mjs DIR` with that
// directory. Paris, so that old and new chains alike take the code.

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const solc = createRequire(`${process.argv[2]}/package.json`)('solc');
const at = (name) => new URL(name, import.meta.url);
const input = {
  language: 'Solidity',
  sources: { 'Counter.sol': { content: readFileSync(at('Counter.sol'), 'utf8') } },
  settings: {
    evmVersion: 'paris',
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: 'none', appendCBOR: false },
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const failed = (output.errors ?? []).filter((e) => e.severity === 'error');
if (failed.length > 0) throw new Error(failed.map((e) => e.formattedMessage).join('\n'));
const { abi, evm } = output.contracts['Counter.sol'].Counter;
writeFileSync(at('Counter.json'), `${JSON.stringify({ compiler: solc.version(), abi, bytecode: `0x${evm.bytecode.object}` }, null, 1)}\n`);
