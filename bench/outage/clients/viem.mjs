// The ordinary flows with viem, as it comes but for its retries.

import { createRequire } from 'node:module';
import { COUNTER, FRIEND, KEY, POOR_KEY, failure, heads, outcome, pause, run, shape, step, until } from './flow.mjs';

await run(async ({ http, ws, lab }) => {
  const require = createRequire(`${lab}/clients/package.json`);
  const viem = require('viem');
  const { privateKeyToAccount } = require('viem/accounts');
  const transport = viem.http(http, { retryCount: 0, batch: { wait: 5 } });
  const bare = viem.createPublicClient({ transport });
  const chainId = await bare.getChainId();
  step('network', chainId);
  const chain = viem.defineChain({
    id: chainId, name: 'lab', nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 }, rpcUrls: { default: { http: [http] } },
  });
  const account = privateKeyToAccount(KEY);
  const client = viem.createPublicClient({ chain, transport, pollingInterval: 300, cacheTime: 0 });
  const wallet = viem.createWalletClient({ chain, transport, account });
  const socket = viem.createPublicClient({ chain, transport: viem.webSocket(ws, { retryCount: 0 }) });
  const wait = (hash, confirmations = 1) => client.waitForTransactionReceipt({ hash, confirmations, retryCount: 0 });

  step('fees', shape(await client.estimateFeesPerGas()));
  step('rich', (await client.getBalance({ address: account.address })) > 10n ** 18n);

  const seen = [];
  const listening = await socket.transport.subscribe({ params: ['newHeads'], onData: ({ result }) => seen.push(result), onError: () => {} });

  const deployed = await wait(await wallet.deployContract({ abi: COUNTER.abi, bytecode: COUNTER.bytecode, args: [40n] }));
  const address = deployed.contractAddress;
  const at = { address, abi: COUNTER.abi };
  const read = (functionName, more = {}) => client.readContract({ ...at, functionName, ...more });
  const add = (value, more = {}) => wallet.writeContract({ ...at, functionName: 'add', args: [value], ...more });
  step('deployed', { status: deployed.status, gas: deployed.gasUsed, code: (await client.getCode({ address })).length, shape: shape(deployed) });
  await pause('deployed');

  step('call', [await read('count'), viem.isAddressEqual(await read('owner'), account.address)]);
  step('estimate', await client.estimateContractGas({ ...at, functionName: 'add', args: [5n], account }));
  const why = (e) => [e.name, e.cause?.data?.errorName, e.cause?.data?.args, e.cause?.reason];
  step('static', await failure(client.simulateContract({ ...at, functionName: 'add', args: [500n], account }), why));
  step('reverts', await failure(read('refuse'), why));

  const events = [];
  const unwatch = socket.watchContractEvent({ ...at, eventName: 'Added', onLogs: (logs) => events.push(...logs.map((l) => [l.args.value, l.args.total, l.removed])) });
  const filter = await client.createContractEventFilter({ ...at, eventName: 'Added' });
  const blocks = await client.createBlockFilter();
  // watchContractEvent subscribes by itself; only an answer of the socket tells that it has.
  await socket.getChainId();

  const first = await wait(await add(5n));
  step('sent', { status: first.status, gas: first.gasUsed, logs: first.logs.length });
  const base = await client.getTransactionCount({ address: account.address });
  const two = await add(7n, { nonce: base });
  const three = await add(8n, { nonce: base + 1, value: 3n, gas: 60000n });
  step('pending', (await client.getTransactionCount({ address: account.address, blockTag: 'pending' })) - base <= 2);
  await pause('sending');
  const receipts = [await wait(two), await wait(three)];
  step('waited', receipts.map((r) => [r.status, r.logs.length, r.logs[0].blockHash === r.blockHash]));
  step('count', [await read('count'), await client.getBalance({ address })]);
  const gift = await wait(await wallet.sendTransaction({ to: FRIEND, value: 12345n }), 2);
  step('gift', [gift.status, gift.gasUsed, (await client.getBalance({ address: FRIEND })) % 12345n]);
  step('nonces', (await client.getTransactionCount({ address: account.address })) - base);

  const args = ({ args: { value, total } }) => [value, total];
  step('filter', (await client.getFilterChanges({ filter })).map(args));
  step('filter-again', await client.getFilterChanges({ filter }));
  step('filter-all', (await client.getFilterLogs({ filter })).map(args));
  step('block-filter', (await client.getFilterChanges({ filter: blocks })).length >= 3);
  step('uninstalled', [await client.uninstallFilter({ filter }), await client.uninstallFilter({ filter: blocks })]);
  const logs = () => client.getContractEvents({ ...at, eventName: 'Added', fromBlock: deployed.blockNumber, toBlock: 'latest' });
  step('logs', (await logs()).map((l) => [...args(l), l.removed]));
  step('by-sender', (await client.getContractEvents({ ...at, eventName: 'Added', args: { by: account.address }, fromBlock: deployed.blockNumber })).map(args));
  await until('events', () => events.length >= 3);
  step('events', events);
  await pause('logged');

  const blockNumber = first.blockNumber;
  const [number, block, receipt, transaction, past, storage] = await Promise.all([
    client.getBlockNumber(), client.getBlock({ blockNumber, includeTransactions: true }),
    client.getTransactionReceipt({ hash: first.transactionHash }), client.getTransaction({ hash: first.transactionHash }),
    read('count', { blockNumber }), client.getStorageAt({ address, slot: '0x0', blockNumber }),
  ]);
  step('batch', {
    ahead: number >= blockNumber, block: shape(block), mine: block.transactions.some((t) => t.hash === first.transactionHash),
    receipt: receipt.blockHash === first.blockHash, transaction: [transaction.blockNumber === blockNumber, shape(transaction)], past, storage,
  });
  step('finalized', await outcome(client.getBlock({ blockTag: 'finalized' }).then((b) => b.number <= number), (e) => [e.name, e.cause?.code]));

  step('unknown', await failure(client.request({ method: 'eth_noSuchThing' }), (e) => [e.name, e.code]));
  const poor = viem.createWalletClient({ chain, transport, account: privateKeyToAccount(POOR_KEY) });
  const name = (e) => [e.name, e.cause?.name];
  step('poor', await failure(poor.sendTransaction({ to: FRIEND, value: 1n, gas: 21000n }), name));
  step('stale', await failure(wallet.sendTransaction({ to: FRIEND, value: 1n, nonce: 0, gas: 21000n }), name));

  const last = await wait(await add(9n));
  step('last', [last.status, await read('count')]);
  await until('the last event', () => events.length >= 4);
  await pause('mined');
  const after = await client.getTransactionReceipt({ hash: last.transactionHash }).catch((e) => ({ status: e.name }));
  step('after', { receipt: after.status, count: await read('count'), logs: (await logs()).map(args) });
  step('events-after', events.slice(3));
  unwatch();
  await listening.unsubscribe();
  step('heads', heads(seen));
});
