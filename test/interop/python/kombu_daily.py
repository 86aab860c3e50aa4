# SPDX-License-Identifier: Apache-2.0
"""What kombu's users do every day.

Prints a line for each task, with what came back; ends with an error when it is something else.
"""
import os
import socket
from functools import partial

from amqp.exceptions import MessageNacked
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.common import QoS, uuid
from kombu.mixins import ConsumerMixin, ConsumerProducerMixin
from kombu.pools import connections, producers

BROKER = "amqp://guest:guest@{HUB_HOST}:{HUB_AMQP}//".format(**os.environ)
WAIT = 20  # seconds for anything that must come
RETRY = {"max_retries": 50, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1}


def say(text):
    print(text, flush=True)


def expect(name, value, want):
    if value != want:
        raise SystemExit(f"{name}: {value!r} instead of {want!r}")
    say(f"{name} {value}")


def connect(**options):
    return Connection(BROKER, transport_options={"confirm_publish": True}, **options)


def take(connection, queue, count):
    """Consumes so many messages and returns their bodies."""
    bodies = []

    def got(body, message):
        bodies.append(body)
        message.ack()

    with Consumer(connection, queues=queue, callbacks=[got], prefetch_count=10):
        while len(bodies) < count:
            connection.drain_events(timeout=WAIT)
    return bodies


def waiting(connection, queue):
    with connection.channel() as channel:
        return queue(channel).queue_declare(passive=True).message_count


def simple(connection):
    with connection.SimpleQueue("kombu-simple") as queue:
        for i in range(3):
            queue.put({"number": i})
        messages = [queue.get(timeout=WAIT) for _ in range(3)]
        expect("simple", [m.payload["number"] for m in messages], [0, 1, 2])
        for message in messages:
            message.ack()
        expect("simple rest", queue.qsize(), 0)


def routing(connection):
    media = Exchange("kombu-media", type="topic")
    video = Queue("kombu-video", exchange=media, routing_key="video.#")
    producer = Producer(connection, exchange=media)
    producer.publish({"name": "a.ogv"}, routing_key="video.new", declare=[video],
                     serializer="json", compression="zlib", headers={"size": 3})
    producer.publish("nobody asked", routing_key="audio.new")
    seen = []

    def got(body, message):
        seen.append((body["name"], message.headers["size"], message.delivery_info["routing_key"]))
        message.ack()

    with Consumer(connection, queues=[video], callbacks=[got], accept=["json"]):
        connection.drain_events(timeout=WAIT)
    expect("topic", seen, [("a.ogv", 3, "video.new")])


def settling(connection):
    queue = Queue("kombu-settle")
    Producer(connection).publish("again", routing_key=queue.name, declare=[queue])
    redelivered = []

    def got(_body, message):
        redelivered.append(message.delivery_info["redelivered"])
        if len(redelivered) == 1:
            message.requeue()
        else:
            message.reject()

    with Consumer(connection, queues=[queue], callbacks=[got]):
        while len(redelivered) < 2:
            connection.drain_events(timeout=WAIT)
    expect("redelivered", redelivered, [False, True])
    expect("left", waiting(connection, queue), 0)


def pool(connection):
    queue = Queue("kombu-pool")
    producers[connection].limit = 2
    with producers[connection].acquire(block=True) as one:
        with producers[connection].acquire(block=True) as two:
            for number, producer in enumerate((one, two)):
                producer.publish(number, routing_key=queue.name, declare=[queue])
    with connections[connection].acquire(block=True) as pooled:
        expect("pool", take(pooled, queue, 2), [0, 1])


def priority(connection):
    queue = Queue("kombu-priority", max_priority=10)
    producer = Producer(connection)
    for level in 0, 5, 9, 5, 20:
        producer.publish(level, routing_key=queue.name, priority=level, declare=[queue])
    expect("priority", take(connection, queue, 5), [20, 9, 5, 5, 0])


def ttl(connection):
    dead = Queue("kombu-dead")
    brief = Queue("kombu-brief", message_ttl=0.1, queue_arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name})
    patient = Queue("kombu-patient", queue_arguments=brief.queue_arguments)
    producer = Producer(connection)
    producer.publish("of the queue", routing_key=brief.name, declare=[dead, brief])
    expect("queue's ttl", take(connection, dead, 1), ["of the queue"])
    producer.publish("of the message", routing_key=patient.name, expiration=0.1, declare=[patient])
    expect("message's ttl", take(connection, dead, 1), ["of the message"])


def full(connection):
    queue = Queue("kombu-full", max_length=1, queue_arguments={"x-overflow": "reject-publish"})
    producer = Producer(connection)
    producer.publish("fits", routing_key=queue.name, declare=[queue])
    try:
        producer.publish("does not", routing_key=queue.name)
        raise SystemExit("a full queue took a message")
    except MessageNacked:
        say("full")
    expect("fits", take(connection, queue, 1), ["fits"])


def unroutable(connection):
    returned = []

    def on_return(_exception, _exchange, routing_key, _message):
        returned.append(routing_key)

    with connection.channel() as channel:
        Producer(channel, on_return=on_return).publish("x", routing_key="kombu-no", mandatory=True)
    expect("returned", returned, ["kombu-no"])


def prefetch(connection):
    """Raises the limit as Celery's worker does: globally with RabbitMQ, else not."""
    queue = Queue("kombu-prefetch")
    for i in range(5):
        Producer(connection).publish(i, routing_key=queue.name, declare=[queue])
    held = []
    with connection.channel() as channel:
        consumer = Consumer(channel, queues=[queue], on_message=held.append, auto_declare=False)
        apply_global = not connection.qos_semantics_matches_spec
        limit = QoS(partial(consumer.qos, apply_global=apply_global), 2)
        limit.update()
        with consumer:
            while len(held) < 2:
                connection.drain_events(timeout=WAIT)
            expect("held back", waiting(connection, queue), 3)
            limit.increment_eventually()
            limit.update()
            while len(held) < 3:
                connection.drain_events(timeout=WAIT)
            expect("held back", waiting(connection, queue), 2)
            held[-1].ack(multiple=True)
            while len(held) < 5:
                connection.drain_events(timeout=WAIT)
            held[-1].ack(multiple=True)
    expect("held", [m.payload for m in held], [0, 1, 2, 3, 4])


class Doubler(ConsumerProducerMixin):
    """A service that answers one question."""

    def __init__(self, connection):
        self.connection = connection

    def get_consumers(self, consumer, channel):
        return [consumer(Queue("kombu-doubler"), on_message=self.asked, prefetch_count=1)]

    def asked(self, message):
        self.producer.publish(
            message.payload * 2, exchange="", routing_key=message.properties["reply_to"],
            correlation_id=message.properties["correlation_id"], retry=True, retry_policy=RETRY)
        message.ack()
        self.should_stop = True


def rpc(connection):
    with connection.clone() as asker:
        answers = Queue(uuid(), exclusive=True, auto_delete=True)
        asked, answered = uuid(), []
        with Consumer(asker, queues=[answers], on_message=answered.append, no_ack=True):
            Producer(asker).publish(21, routing_key="kombu-doubler", reply_to=answers.name,
                                    correlation_id=asked, declare=[Queue("kombu-doubler")])
            Doubler(connection.clone()).run()
            asker.drain_events(timeout=WAIT)
        expect("answer", answered[0].payload, 42)
        expect("correlated", answered[0].properties["correlation_id"] == asked, True)


def heartbeat():
    """Lives longer than two heartbeats on nothing else."""
    with connect(heartbeat=3) as connection:  # long enough for a busy machine
        connection.ensure_connection()
        for _ in range(14):
            try:
                connection.drain_events(timeout=0.5)
            except socket.timeout:
                connection.heartbeat_check(rate=2)
        take(connection, Queue("kombu-heartbeat", exclusive=True), 0)
        expect("heartbeat", connection.connected, True)


class Survivor(ConsumerMixin):
    """Consumes before and after the hub is killed."""

    connect_max_retries = 50

    def __init__(self, connection, producer):
        self.connection, self.producer, self.bodies = connection, producer, []

    def get_consumers(self, consumer, channel):
        return [consumer(Queue("kombu-survivor"), on_message=self.got, prefetch_count=1)]

    def got(self, message):
        self.bodies.append((message.payload, bool(message.delivery_info["redelivered"])))
        if len(self.bodies) == 1:
            say("restart")  # before it is acknowledged
            return
        message.ack()
        if len(self.bodies) == 2:
            self.producer.publish("after", routing_key="kombu-survivor", retry=True,
                                  retry_policy=RETRY)
        self.should_stop = len(self.bodies) == 3


def restart(connection):
    producer = Producer(connection)
    producer.publish("before", routing_key="kombu-survivor", declare=[Queue("kombu-survivor")])
    survivor = Survivor(connection.clone(), producer)
    survivor.run()
    expect("survived", survivor.bodies, [("before", False), ("before", True), ("after", False)])


def main():
    with connect() as connection:
        connection.ensure_connection(timeout=WAIT)
        say(f"per channel {connection.qos_semantics_matches_spec}")
        for task in (simple, routing, settling, pool, priority, ttl, full, unroutable, prefetch,
                     rpc):
            task(connection)
        heartbeat()
        restart(connection)


main()
