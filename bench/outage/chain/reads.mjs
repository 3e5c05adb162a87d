// The reads of the chain scenario: how each is made with the client library, and which answers are right.

const LOG_SPAN = 6;

/** Weight, and how to make the read; `view` is what this client has learned so far. Answers are plain data. */
export const READS = [
  [28, 'balance', async ({ provider, contract }) => (await provider.getBalance(contract)).toString()],
  [15, 'number', ({ provider }) => provider.getBlockNumber()],
  [10, 'latest', async ({ provider }) => blockOf(await provider.getBlock('latest'))],
  [6, 'block-at', async ({ provider, asked }) => blockOf(await provider.getBlock(asked.number))],
  [6, 'block-of', async ({ provider, asked }) => blockOf(await provider.getBlock(asked.hash))],
  [19, 'call', ({ provider, contract }) => provider.call({ to: contract, data: '0x' })],
  [6, 'logs', async ({ provider, contract, asked }) => {
    const fromBlock = Math.max(0, asked.number - LOG_SPAN);
    return (await provider.getLogs({ address: contract, fromBlock, toBlock: 'latest' })).map((l) => l.data).join();
  }],
  [5, 'receipt', async ({ provider, asked }) => (await provider.getTransactionReceipt(asked.mined))?.blockHash ?? null],
  [5, 'gas', async ({ provider, estimate }) => (await provider.estimateGas(estimate)).toString()],
];

function blockOf(block) {
  return block && { number: block.number, hash: block.hash };
}

/**
 * Whether `answer` is right, given every block's values and the window of blocks `lo..=hi` that a read at
 * `latest` may have seen.
 */
export function isRight(kind, answer, { asked, lo, hi, history, minedIn }) {
  const some = (test) => {
    for (let n = lo; n <= hi; n += 1) if (history.blocks.has(n) && test(history.blocks.get(n), n)) return true;
    return false;
  };
  switch (kind) {
    case 'balance': return some((block) => block.balance === answer);
    case 'number': return answer >= lo && answer <= hi;
    case 'latest': return some((block, n) => answer?.number === n && answer.hash === block.hash);
    case 'block-at':
    case 'block-of': return answer?.number === asked.number && answer.hash === history.blocks.get(asked.number).hash;
    case 'call': return some((block) => block.count === answer);
    case 'logs': return some((_, n) => logs(history, Math.max(0, asked.number - LOG_SPAN), n) === answer);
    case 'receipt': return answer !== null && answer === minedIn.get(asked.mined);
    case 'gas': return some((block) => block.gas === answer);
    default: throw new Error(`no read \`${kind}\``);
  }
}

function logs(history, from, to) {
  const out = [];
  for (let n = from; n <= to; n += 1) out.push(...(history.blocks.get(n)?.logs ?? []));
  return out.join();
}
