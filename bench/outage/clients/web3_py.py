"""The ordinary flows with web3.py, as it comes but for its retries: what is read and sent over HTTP, what is listened to over WebSocket."""

import asyncio
import json
import pathlib
import sys
import time
import traceback

from web3 import AsyncWeb3, HTTPProvider, Web3
from web3.exceptions import TransactionNotFound
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.persistent import WebSocketProvider

HERE = pathlib.Path(__file__).parent
COUNTER = json.loads((HERE / "Counter.json").read_text())
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
FRIEND = "0x00000000000000000000000000000000005eA3A1"
POOR_KEY = "0x" + "37" * 32
PATIENCE_S = 20


def step(name, value):
    print(json.dumps({"step": name, "value": value}, default=str), flush=True)


async def pause(at):
    print(json.dumps({"pause": at}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)


def shape(thing):
    return {key: type(thing[key]).__name__ for key in sorted(thing)}


def failure(make, tell):
    return outcome(lambda: (make(), "no failure")[1], tell)


def outcome(make, tell):
    """What it gives, or how it fails: not every chain knows finality."""
    try:
        return make()
    except Exception as error:  # what it is, is told
        return tell(error)


def heads(seen):
    """Each block once, none left out."""
    numbers = [h["number"] for h in seen]
    known = {h["hash"] for h in seen} | {h["parentHash"] for h in seen[:1]}
    return {
        "some": len(seen) > 3,
        "twice": len(seen) - len({h["hash"] for h in seen}),
        "gaps": sum(n > max(numbers[:i]) + 1 for i, n in enumerate(numbers) if i),
        "unlinked": sum(h["parentHash"] not in known for h in seen),
    }


async def until(what, probe):
    end = time.monotonic() + PATIENCE_S
    while not probe():
        if time.monotonic() > end:
            raise TimeoutError(what)
        await asyncio.sleep(0.1)


class Listener:
    """New heads and the contract's events, as a subscriber gets them."""

    def __init__(self, socket):
        self.socket, self.heads, self.logs, self.of = socket, [], [], {}
        self.task = asyncio.create_task(self.listen())

    async def subscribe(self, kind, *args):
        self.of[await self.socket.eth.subscribe(kind, *args)] = kind

    async def listen(self):
        async for message in self.socket.socket.process_subscriptions():
            (self.heads if "parentHash" in message["result"] else self.logs).append(message["result"])


async def flow(http, ws):
    w3 = Web3(HTTPProvider(http, exception_retry_configuration=None))
    # The sealers of a proof-of-authority chain sign where the library expects 32 bytes.
    w3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    me = w3.eth.account.from_key(KEY)
    # The library is not asynchronous over HTTP here; what is listened to goes on all the same.
    run = asyncio.to_thread

    def sign_and_send(transaction, **more):
        base = {"from": me.address, "nonce": w3.eth.get_transaction_count(me.address), "chainId": w3.eth.chain_id}
        fees = {"maxFeePerGas": w3.eth.gas_price * 2 + 10**9, "maxPriorityFeePerGas": w3.eth.max_priority_fee}
        transaction = {**base, **fees, **transaction, **more}
        transaction.setdefault("gas", w3.eth.estimate_gas(transaction))
        return w3.eth.send_raw_transaction(me.sign_transaction(transaction).raw_transaction)

    def wait(sent):
        return w3.eth.wait_for_transaction_receipt(sent, timeout=PATIENCE_S, poll_latency=0.2)

    step("network", w3.eth.chain_id)
    step("fees", type(w3.eth.max_priority_fee).__name__)
    step("rich", w3.eth.get_balance(me.address) > 10**18)
    async with AsyncWeb3(WebSocketProvider(ws)) as socket:
        socket.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        listener = Listener(socket)
        await listener.subscribe("newHeads")

        bare = w3.eth.contract(abi=COUNTER["abi"], bytecode=COUNTER["bytecode"])
        deployed = await run(lambda: wait(sign_and_send({"data": bare.constructor(40).data_in_transaction})))
        address = deployed["contractAddress"]
        counter = w3.eth.contract(address=address, abi=COUNTER["abi"])
        step("deployed", {"status": deployed["status"], "gas": deployed["gasUsed"], "code": len(w3.eth.get_code(address)), "shape": shape(deployed)})
        await pause("deployed")

        def add(by, **more):
            return sign_and_send({"to": address, "data": counter.encode_abi("add", args=[by])}, **more)

        step("call", [counter.functions.count().call(), counter.functions.owner().call() == me.address])
        step("estimate", counter.functions.add(5).estimate_gas({"from": me.address}))
        why = lambda e: [type(e).__name__, getattr(e, "data", None), getattr(e, "message", None)]
        step("static", failure(lambda: counter.functions.add(500).call(), why))
        step("reverts", failure(lambda: counter.functions.refuse().call(), why))

        await listener.subscribe("logs", {"address": address})
        made = w3.eth.filter({"address": address})
        blocks = w3.eth.filter("latest")
        first = await run(lambda: wait(add(5)))
        step("sent", {"status": first["status"], "gas": first["gasUsed"], "logs": len(first["logs"])})
        base = w3.eth.get_transaction_count(me.address)
        two, three = add(7, nonce=base), add(8, nonce=base + 1, value=3, gas=60000)
        step("pending", w3.eth.get_transaction_count(me.address, "pending") - base <= 2)
        await pause("sending")
        receipts = [await run(wait, two), await run(wait, three)]
        step("waited", [[r["status"], len(r["logs"]), r["logs"][0]["blockHash"] == r["blockHash"]] for r in receipts])
        step("count", [counter.functions.count().call(), w3.eth.get_balance(address)])
        gift = await run(lambda: wait(sign_and_send({"to": FRIEND, "value": 12345})))
        await until("a block on top", lambda: w3.eth.block_number > gift["blockNumber"])
        step("gift", [gift["status"], gift["gasUsed"], w3.eth.get_balance(FRIEND) % 12345])
        step("nonces", w3.eth.get_transaction_count(me.address) - base)

        args = lambda log: list(counter.events.Added().process_log(log)["args"].values())[1:]
        step("filter", [args(log) for log in made.get_new_entries()])
        step("filter-again", made.get_new_entries())
        step("filter-all", [args(log) for log in made.get_all_entries()])
        step("block-filter", len(blocks.get_new_entries()) >= 3)
        step("uninstalled", [w3.eth.uninstall_filter(made.filter_id), w3.eth.uninstall_filter(blocks.filter_id)])
        since = {"address": address, "fromBlock": deployed["blockNumber"], "toBlock": "latest"}
        logs = lambda: [args(log) for log in w3.eth.get_logs(since)]
        step("logs", logs())
        step("query", [list(e["args"].values())[1:] for e in counter.events.Added().get_logs(from_block=deployed["blockNumber"])])
        await until("events", lambda: len(listener.logs) >= 3)
        step("events", [[*args(log), log["removed"]] for log in listener.logs])
        await pause("logged")

        number = first["blockNumber"]
        with w3.batch_requests() as batch:
            for call in (
                w3.eth.get_block(number, True), w3.eth.get_transaction_receipt(first["transactionHash"]),
                w3.eth.get_transaction(first["transactionHash"]), counter.functions.count(),
            ):
                batch.add(call)
            block, receipt, transaction, count = batch.execute()
        step("batch", {
            "block": shape(block), "mine": any(t["hash"] == first["transactionHash"] for t in block["transactions"]),
            "receipt": receipt["blockHash"] == first["blockHash"], "transaction": [transaction["blockNumber"] == number, shape(transaction)],
            "count": count,
        })
        step("past", [counter.functions.count().call(block_identifier=number), w3.eth.get_storage_at(address, 0, number).hex()])
        code = lambda e: [type(e).__name__, (getattr(e, "rpc_response", None) or {}).get("error", {}).get("code")]
        step("finalized", outcome(lambda: w3.eth.get_block("finalized")["number"] <= w3.eth.block_number, code))
        step("unknown", w3.provider.make_request("eth_noSuchThing", []).get("error", {}).get("code"))
        poor = w3.eth.account.from_key(POOR_KEY)
        bad = {"to": FRIEND, "value": 1, "gas": 21000, "nonce": 0, "chainId": w3.eth.chain_id, "gasPrice": w3.eth.gas_price * 2}
        step("poor", failure(lambda: w3.eth.send_raw_transaction(poor.sign_transaction(bad).raw_transaction), code))
        step("stale", failure(lambda: w3.eth.send_raw_transaction(me.sign_transaction(bad).raw_transaction), code))

        last = await run(lambda: wait(add(9)))
        step("last", [last["status"], counter.functions.count().call()])
        await until("the last event", lambda: len(listener.logs) >= 4)
        await pause("mined")
        step("after", {"receipt": status_of(w3, last["transactionHash"]), "count": counter.functions.count().call(), "logs": logs()})
        step("events-after", [[*args(log), log["removed"]] for log in listener.logs[3:]])
        listener.task.cancel()
        step("heads", heads(listener.heads))


def status_of(w3, sent):
    try:
        return w3.eth.get_transaction_receipt(sent)["status"]
    except TransactionNotFound:
        return "not found"


async def main():
    try:
        await flow(*sys.argv[1:3])
        step("end", "whole")
    except Exception:
        step("end", "broken off: " + traceback.format_exc()[-1500:])


asyncio.run(main())
