# SPDX-License-Identifier: Apache-2.0
"""What aio-pika's users do every day.

Prints a line for each task, with what came back; ends with an error when it is something else.
"""
import asyncio
import os

import aio_pika
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import DeliveryError, MessageProcessError
from aio_pika.patterns import RPC, Master

WAIT = 20  # seconds for anything that must come
URL = "amqp://guest:guest@{HUB_HOST}:{HUB_AMQP}/".format(**os.environ)


def say(text):
    print(text, flush=True)


def expect(name, value, want):
    if value != want:
        raise SystemExit(f"{name}: {value!r} instead of {want!r}")
    say(f"{name} {value}")


async def come(awaitable):
    return await asyncio.wait_for(awaitable, WAIT)


async def topic(connection):
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=5)
    logs = await channel.declare_exchange("aio-logs", ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(logs, "*.error")
    for key in "kernel.info", "kernel.error", "cron.error":
        await logs.publish(Message(key.encode(), headers={"n": 1}), routing_key=key)
    bodies = []
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                bodies.append(message.body.decode())
            if len(bodies) == 2:
                break
    expect("topic", bodies, ["kernel.error", "cron.error"])
    await channel.close()


async def refused(connection):
    """Confirms are on by default: what no queue takes is an error."""
    channel = await connection.channel(on_return_raises=True)
    await channel.declare_queue("aio-full", durable=True, arguments={
        "x-max-length": 1, "x-overflow": "reject-publish"})
    publish = channel.default_exchange.publish
    await publish(Message(b"fits"), "aio-full")
    for name, key in ("full", "aio-full"), ("unroutable", "aio-no"):
        try:
            await publish(Message(b"does not"), key)
            raise SystemExit(f"{name}: taken")
        except DeliveryError:
            say(name)
    queue = await channel.get_queue("aio-full")
    message = await queue.get(timeout=WAIT)
    await message.ack()
    expect("fits", message.body, b"fits")
    expect("nothing left", await queue.get(fail=False), None)
    await channel.close()


async def processing(connection):
    """An error inside process() gives the message back, then to the dead-letter queue."""
    channel = await connection.channel()
    dead = await channel.declare_queue("aio-dead", durable=True)
    queue = await channel.declare_queue("aio-process", durable=True, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})
    await channel.default_exchange.publish(Message(b"work"), queue.name)
    for requeue in True, False:
        message = await queue.get(timeout=WAIT)
        try:
            async with message.process(requeue=requeue):
                raise ValueError
        except ValueError:
            say(f"failed, redelivered {message.redelivered}")
    async with dead.iterator() as messages:
        async for message in messages:
            await message.ack()
            expect("dead", message.headers["x-death"][0]["reason"], "rejected")
            break
    await channel.close()


async def transaction(connection):
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue("aio-tx", auto_delete=False)
    async with channel.transaction():
        await channel.default_exchange.publish(Message(b"kept"), queue.name)
    try:
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b"taken back"), queue.name)
            raise ValueError
    except ValueError:
        pass
    expect("transaction", (await queue.get(no_ack=True)).body, b"kept")
    expect("rolled back", await queue.get(fail=False), None)
    await queue.delete()
    await channel.close()


async def rpc(connection):
    service, asking = await connection.channel(), await connection.channel()

    async def multiply(*, x, y):
        return x * y

    async def fail():
        raise ValueError("no")

    server, caller = await RPC.create(service), await RPC.create(asking)
    await server.register("aio.multiply", multiply, auto_delete=True)
    await server.register("aio-fail", fail, auto_delete=True)
    answers = await come(asyncio.gather(*(caller.proxy.aio.multiply(x=n, y=n)
                                          for n in range(50))))
    expect("answers", sum(answers), 40425)
    try:
        await come(caller.call("aio-fail"))
        raise SystemExit("a failure was no error")
    except ValueError as error:
        expect("failure", str(error), "no")
    try:
        await come(caller.call("aio-nobody"))
        raise SystemExit("a service that is not there answered")
    except MessageProcessError:
        say("nobody")
    await caller.close()
    await server.close()
    await service.close()
    await asking.close()


async def master(connection):
    done = asyncio.Queue()

    async def work(*, task):
        await done.put(task)

    channel = await connection.channel()
    boss = Master(channel)
    worker = await boss.create_worker("aio-work", work, auto_delete=True)
    for task in range(3):
        await boss.create_task("aio-work", kwargs={"task": task})
    expect("tasks", [await come(done.get()) for _ in range(3)], [0, 1, 2])
    await worker.close()
    await channel.close()


async def robust(connection):
    """The hub is killed: consumers and what they declared come back by themselves."""
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    exchange = await channel.declare_exchange("aio-robust", ExchangeType.FANOUT)  # transient
    own = await channel.declare_queue("aio-own", auto_delete=True)
    await own.bind(exchange)
    kept = await channel.declare_queue("aio-kept", durable=True)
    got, back = asyncio.Queue(), asyncio.Event()
    connection.reconnect_callbacks.add(lambda *_: back.set())
    await own.consume(got.put, no_ack=True)
    await kept.consume(got.put)
    await channel.default_exchange.publish(
        Message(b"before", delivery_mode=DeliveryMode.PERSISTENT), kept.name)
    first = await come(got.get())
    expect("first", (first.body, first.redelivered), (b"before", False))
    say("restart")
    await come(back.wait())
    second = await come(got.get())
    expect("second", (second.body, second.redelivered), (b"before", True))
    await second.ack()
    await exchange.publish(Message(b"after"), "")
    expect("third", (await come(got.get())).body, b"after")


async def main():
    connection = await aio_pika.connect_robust(URL, reconnect_interval=0.2)
    async with connection:
        for task in topic, refused, processing, transaction, rpc, master, robust:
            await task(connection)


asyncio.run(main())
