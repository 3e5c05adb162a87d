// The transactions of a run: signed beforehand, and counted on the chain afterwards.

import { ADD } from './contract.mjs';

const MNEMONIC = 'test test test test test test test test test test test junk';
const GAS = 100_000n;
const FEE = 100_000_000_000n;

/** `count` transactions spread over `accounts` dev accounts, each account's in nonce order. */
export async function sign(ethers, { count, accounts, chainId, contract, nonceOf }) {
  const phrase = ethers.Mnemonic.fromPhrase(MNEMONIC);
  const lists = [];
  for (let a = 0; a < accounts; a += 1) {
    const wallet = ethers.HDNodeWallet.fromMnemonic(phrase, `m/44'/60'/0'/0/${a + 1}`);
    const base = await nonceOf(wallet.address);
    const mine = Math.floor(count / accounts) + (a < count % accounts ? 1 : 0);
    const list = { address: wallet.address, base, transactions: [] };
    for (let i = 0; i < mine; i += 1) {
      const text = await wallet.signTransaction({
        type: 2, chainId, nonce: base + i, to: contract, value: 1n, data: ADD,
        gasLimit: GAS, maxFeePerGas: FEE, maxPriorityFeePerGas: 1n,
      });
      list.transactions.push({ text, hash: ethers.keccak256(text) });
    }
    lists.push(list);
  }
  return lists;
}

/** What became of them, by the chain's own blocks, receipts and nonces. */
export async function audit(http, url, lists, history, sends) {
  const times = new Map();
  for (const block of history.blocks.values()) {
    for (const hash of block.transactions) times.set(hash, (times.get(hash) ?? 0) + 1);
  }
  const told = new Map();
  for (const send of sends) if (send.answer) told.set(send.answer, (told.get(send.answer) ?? 0) + 1);
  const result = { sent: 0, reported: 0, mined: 0, duplicated: 0, reverted: 0, nonces: 'as expected' };
  for (const { address, base, transactions } of lists) {
    for (const { hash } of transactions) {
      result.sent += 1;
      if (told.get(hash) === 1) result.reported += 1;
      const receipt = await http.call(url, 'eth_getTransactionReceipt', [hash]);
      if (receipt && times.get(hash) === 1) result.mined += 1;
      if ((times.get(hash) ?? 0) > 1 || (told.get(hash) ?? 0) > 1) result.duplicated += 1;
      if (receipt && receipt.status !== '0x1') result.reverted += 1;
    }
    const nonce = Number(await http.call(url, 'eth_getTransactionCount', [address, 'latest']));
    if (nonce !== base + transactions.length) {
      result.nonces = `${address} is at ${nonce}, not ${base + transactions.length}`;
    }
  }
  return result;
}
