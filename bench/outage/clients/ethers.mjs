// The ordinary flows with ethers, as it comes but for its retries.

import { createRequire } from 'node:module';
import { COUNTER, FRIEND, KEY, POOR_KEY, failure, heads, outcome, pause, run, shape, step, until } from './flow.mjs';

await run(async ({ http, ws, lab }) => {
  const ethers = createRequire(`${lab}/package.json`)('ethers');
  const request = new ethers.FetchRequest(http);
  request.setThrottleParams({ maxAttempts: 1 });
  const provider = new ethers.JsonRpcProvider(request, undefined, { polling: true, pollingInterval: 300 });
  const wallet = new ethers.NonceManager(new ethers.Wallet(KEY, provider));
  const me = await wallet.getAddress();

  step('network', (await provider.getNetwork()).chainId);
  step('fees', shape(await provider.getFeeData()));
  step('rich', (await provider.getBalance(me)) > 10n ** 18n);

  const socket = new ethers.WebSocketProvider(ws);
  const seen = [];
  await socket.on('block', (number) => seen.push({ number }));

  const factory = new ethers.ContractFactory(COUNTER.abi, COUNTER.bytecode, wallet);
  const counter = await factory.deploy(40n);
  await counter.waitForDeployment();
  const address = await counter.getAddress();
  const deployed = await counter.deploymentTransaction().wait();
  step('deployed', { status: deployed.status, gas: deployed.gasUsed, code: (await provider.getCode(address)).length, shape: shape(deployed) });
  await pause('deployed');

  step('call', [await counter.count(), await counter.owner() === me]);
  step('estimate', await counter.add.estimateGas(5n));
  step('static', await failure(counter.add.staticCall(500n), (e) => [e.code, e.revert?.name, e.revert?.args]));
  step('reverts', await failure(counter.refuse(), (e) => [e.code, e.reason]));

  const events = [];
  const listening = new ethers.Contract(address, COUNTER.abi, socket);
  await listening.on('Added', (by, value, total, e) => events.push([by === me, value, total, e.log.removed]));
  const filter = await provider.send('eth_newFilter', [{ address }]);
  const blocks = await provider.send('eth_newBlockFilter', []);

  const first = await (await counter.add(5n)).wait();
  step('sent', { status: first.status, gas: first.gasUsed, logs: first.logs.length });
  const base = await provider.getTransactionCount(me, 'latest');
  const [two, three] = [await counter.add(7n), await counter.add(8n, { value: 3n })];
  step('pending', (await provider.getTransactionCount(me, 'pending')) - base <= 2);
  await pause('sending');
  const receipts = [await two.wait(), await three.wait()];
  step('waited', receipts.map((r) => [r.status, r.logs.length, r.logs[0].blockHash === r.blockHash]));
  step('count', [await counter.count(), await provider.getBalance(address)]);
  const gift = await (await wallet.sendTransaction({ to: FRIEND, value: 12345n })).wait(2);
  step('gift', [gift.status, gift.gasUsed, (await provider.getBalance(FRIEND)) % 12345n]);
  step('nonces', (await provider.getTransactionCount(me)) - base);

  const args = (log) => counter.interface.parseLog(log).args.slice(1);
  step('filter', (await provider.send('eth_getFilterChanges', [filter])).map(args));
  step('filter-again', await provider.send('eth_getFilterChanges', [filter]));
  step('filter-all', (await provider.send('eth_getFilterLogs', [filter])).map(args));
  step('block-filter', (await provider.send('eth_getFilterChanges', [blocks])).length >= 3);
  step('uninstalled', [await provider.send('eth_uninstallFilter', [filter]), await provider.send('eth_uninstallFilter', [blocks])]);
  const range = { fromBlock: deployed.blockNumber, toBlock: 'latest' };
  step('query', (await counter.queryFilter(counter.filters.Added(me), range.fromBlock, range.toBlock)).map((e) => e.args.slice(1)));
  step('logs', (await provider.getLogs({ address, ...range })).map((l) => [args(l), l.removed]));
  await until('events', () => events.length >= 3);
  step('events', events);
  await pause('logged');

  // Asked for together, the library makes one batch of them.
  const [number, block, receipt, transaction, past, storage] = await Promise.all([
    provider.getBlockNumber(), provider.getBlock(first.blockNumber, true), provider.getTransactionReceipt(first.hash),
    provider.getTransaction(first.hash), counter.count({ blockTag: first.blockNumber }), provider.getStorage(address, 0, first.blockNumber),
  ]);
  step('batch', {
    ahead: number >= first.blockNumber, block: shape(block.toJSON()), mine: block.transactions.includes(first.hash),
    receipt: receipt.blockHash === first.blockHash, transaction: [transaction.blockNumber === first.blockNumber, shape(transaction.toJSON())],
    past, storage,
  });
  step('finalized', await outcome(provider.getBlock('finalized').then((b) => b !== null && b.number <= number), (e) => e.error?.code));

  step('unknown', await failure(provider.send('eth_noSuchThing', []), (e) => e.error?.code));
  step('poor', await failure(new ethers.Wallet(POOR_KEY, provider).sendTransaction({ to: FRIEND, value: 1n, gasLimit: 21000n }), (e) => e.code));
  step('stale', await failure(
    new ethers.Wallet(KEY, provider).sendTransaction({ to: FRIEND, value: 1n, nonce: 0, gasLimit: 21000n }), (e) => e.code,
  ));

  const last = await (await counter.add(9n)).wait();
  step('last', [last.status, await counter.count()]);
  await until('the last event', () => events.length >= 4);
  await pause('mined');
  const after = await provider.getTransactionReceipt(last.hash);
  step('after', { receipt: after?.status ?? null, count: await counter.count(), logs: (await provider.getLogs({ address, ...range })).map(args) });
  step('events-after', events.slice(3));
  await socket.removeAllListeners();
  step('heads', heads(seen));
});
