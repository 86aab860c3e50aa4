# SPDX-License-Identifier: Apache-2.0
"""What pika's users do every day, with the blocking and with the select connection.

Prints a line for each task, with what came back; ends with an error when it is something else.
"""
import functools
import os
import threading

import pika
from pika.exceptions import (
    AMQPConnectionError, ChannelClosedByBroker, NackError, StreamLostError, UnroutableError)

PERSISTENT = pika.BasicProperties(delivery_mode=2)
REPLY_TO = "amq.rabbitmq.reply-to"


def say(text):
    print(text, flush=True)


def expect(name, value, want):
    if value != want:
        raise SystemExit(f"{name}: {value!r} instead of {want!r}")
    say(f"{name} {value}")


def parameters(**more):
    return pika.ConnectionParameters(
        host=os.environ["HUB_HOST"], port=int(os.environ["HUB_AMQP"]), **more)


def connect(**more):
    return pika.BlockingConnection(parameters(**more))


def take(channel, queue, count):
    """Consumes so many messages, acknowledges them and returns their bodies."""
    bodies = []
    for method, _, body in channel.consume(queue):
        bodies.append(body.decode())
        channel.basic_ack(method.delivery_tag)
        if len(bodies) == count:
            break
    channel.cancel()
    return bodies


def confirms(channel):
    channel.confirm_delivery()
    channel.queue_declare("pika-full", durable=True, arguments={
        "x-max-length": 1, "x-overflow": "reject-publish"})
    channel.basic_publish("", "pika-full", "fits", PERSISTENT, mandatory=True)
    try:
        channel.basic_publish("", "pika-full", "does not", PERSISTENT)
        raise SystemExit("a full queue took a message")
    except NackError:
        say("nacked")
    try:
        channel.basic_publish("", "pika-no", "lost", mandatory=True)
        raise SystemExit("a message without a queue was taken")
    except UnroutableError as error:
        method = error.messages[0].method
        expect("returned", (method.reply_code, method.reply_text), (312, "NO_ROUTE"))
    expect("fits", take(channel, "pika-full", 1), ["fits"])


def returns(connection):
    """Without confirms returns come to a callback."""
    channel, texts = connection.channel(), []
    channel.add_on_return_callback(lambda _ch, m, _p, body: texts.append((m.reply_text, body)))
    channel.basic_publish("", "pika-no", "lost", mandatory=True)
    while not texts:
        connection.process_data_events(time_limit=1)
    expect("return", texts, [("NO_ROUTE", b"lost")])


def routing(channel):
    for kind, key, arguments, hit, miss in (
            ("direct", "k", None, ("k", {}), ("other", {})),
            ("fanout", "", None, ("any", {}), None),
            ("topic", "log.*.error", None, ("log.a.error", {}), ("log.a.b.error", {})),
            ("headers", "", {"x-match": "all", "a": 1}, ("", {"a": 1}), ("", {"a": 2}))):
        exchange = "pika-" + kind
        channel.exchange_declare(exchange, kind)
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, exchange, key, arguments=arguments)
        for routing_key, headers in filter(None, (miss, hit)):
            channel.basic_publish(exchange, routing_key, kind + routing_key,
                                  pika.BasicProperties(headers=headers))
        expect(kind, take(channel, queue, 1), [kind + hit[0]])
        channel.exchange_delete(exchange)


def get(channel):
    channel.queue_declare("pika-get")
    expect("empty", channel.basic_get("pika-get"), (None, None, None))
    for body in "one", "two":
        channel.basic_publish("", "pika-get", body)
    method, _, body = channel.basic_get("pika-get")
    expect("got", (body, method.message_count, method.redelivered), (b"one", 1, False))
    channel.basic_nack(method.delivery_tag, requeue=True)
    method, _, body = channel.basic_get("pika-get")
    expect("got again", (body, method.message_count, method.redelivered), (b"one", 1, True))
    channel.basic_ack(method.delivery_tag)
    expect("purged", channel.queue_purge("pika-get").method.message_count, 1)
    channel.queue_delete("pika-get")


def dead_letters(channel):
    channel.queue_declare("pika-dead")
    channel.queue_declare("pika-brief", arguments={
        "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "pika-dead"})
    channel.basic_publish("", "pika-brief", "late", pika.BasicProperties(message_id="m"))
    for method, properties, body in channel.consume("pika-dead", auto_ack=True):
        death = properties.headers["x-death"][0]
        expect("dead", (body, properties.message_id, death["queue"], death["reason"]),
               (b"late", "m", "pika-brief", "expired"))
        break
    channel.cancel()


def rpc(connection):
    """Asks by direct reply-to, for as long as it takes: the hub answers for nobody."""
    service, channel = connection.channel(), connection.channel()
    service.queue_declare("pika-doubler")

    def asked(ch, method, properties, body):
        expect("asked by", properties.reply_to.startswith(REPLY_TO + "."), True)
        ch.basic_publish("", properties.reply_to, body * 2,
                         pika.BasicProperties(correlation_id=properties.correlation_id))
        ch.basic_ack(method.delivery_tag)

    def answered(ch, _method, properties, body):
        expect("answer", (properties.correlation_id, body), ("c", b"abab"))
        ch.stop_consuming()

    service.basic_consume("pika-doubler", asked)
    channel.basic_consume(REPLY_TO, answered, auto_ack=True)
    channel.basic_publish("", "pika-doubler", "ab", pika.BasicProperties(
        reply_to=REPLY_TO, correlation_id="c"))
    channel.start_consuming()
    service.close()


def worker(connection):
    """A long task runs on a thread of its own, which acknowledges through the connection's."""
    channel = connection.channel()
    channel.queue_declare("pika-work")
    channel.basic_qos(prefetch_count=1)
    channel.basic_publish("", "pika-work", "work")
    main, done = threading.get_ident(), []

    def finish(tag):
        done.append(threading.get_ident() == main)
        channel.basic_ack(tag)
        channel.stop_consuming()

    def got(_ch, method, _properties, _body):
        threading.Thread(target=lambda: connection.add_callback_threadsafe(
            functools.partial(finish, method.delivery_tag))).start()

    channel.basic_consume("pika-work", got)
    channel.start_consuming()
    expect("worked", done, [True])
    expect("rest", channel.queue_declare("pika-work", passive=True).method.message_count, 0)


def cancelled(connection):
    """A deleted queue ends its consumers."""
    channel, tags = connection.channel(), []
    channel.queue_declare("pika-gone")
    channel.add_on_cancel_callback(lambda frame: tags.append(frame.method.consumer_tag))
    channel.basic_consume("pika-gone", lambda *_: None, consumer_tag="watcher")
    connection.channel().queue_delete("pika-gone")
    channel.start_consuming()  # returns when nobody consumes any more
    expect("cancelled", tags, ["watcher"])


def errors(connection):
    for name, code, declare in (
            ("absent", 404, lambda ch: ch.queue_declare("pika-absent", passive=True)),
            ("reserved", 403, lambda ch: ch.queue_declare("amq.pika")),
            ("unlike", 406, lambda ch: ch.queue_declare("pika-full", durable=False))):
        try:
            declare(connection.channel())
            raise SystemExit(f"{name} is no error")
        except ChannelClosedByBroker as error:
            expect(name, error.reply_code, code)
    expect("still open", connection.is_open, True)


def transaction(connection):
    channel = connection.channel()
    channel.queue_declare("pika-tx")
    channel.tx_select()
    channel.basic_publish("", "pika-tx", "taken back")
    channel.tx_rollback()
    channel.basic_publish("", "pika-tx", "kept")
    channel.tx_commit()
    expect("transaction", channel.basic_get("pika-tx", auto_ack=True)[2], b"kept")
    channel.queue_delete("pika-tx")


def heartbeat():
    """Lives longer than two heartbeats on nothing else."""
    connection = connect(heartbeat=1)
    connection.sleep(2.5)
    expect("heartbeat", connection.is_open, True)
    connection.close()


def restart(channel):
    """Reads on after the hub was killed; what was not acknowledged comes again."""
    channel.queue_declare("pika-restart", durable=True)
    channel.basic_publish("", "pika-restart", "before", PERSISTENT)
    method, _, body = next(channel.consume("pika-restart"))
    expect("first", (body, method.redelivered), (b"before", False))
    say("restart")
    try:
        next(channel.consume("pika-restart"))
        raise SystemExit("the connection lives on")
    except (StreamLostError, AMQPConnectionError):
        pass
    again = connect(connection_attempts=100, retry_delay=0.1)
    channel = again.channel()
    method, _, body = next(channel.consume("pika-restart"))
    expect("second", (body, method.redelivered), (b"before", True))
    channel.basic_ack(method.delivery_tag)
    again.close()


class Selecting:
    """Publishes with confirms and consumes on one select connection."""

    COUNT = 500

    def __init__(self):
        self.unconfirmed, self.bodies, self.cancelled, self.reason = set(), [], False, None
        self.channel = None
        self.connection = pika.SelectConnection(
            parameters(), on_open_callback=self.opened, on_open_error_callback=self.failed,
            on_close_callback=self.closed)

    def run(self):
        self.connection.ioloop.start()
        expect("confirmed", len(self.unconfirmed), 0)
        expect("in order", self.bodies == [str(i) for i in range(self.COUNT)], True)
        expect("cancelled by the hub", self.cancelled, True)
        expect("closed", (self.reason.reply_code, self.reason.reply_text), (200, "done"))

    def failed(self, _connection, error):
        raise SystemExit(f"open: {error}")

    def opened(self, connection):
        connection.channel(on_open_callback=self.channel_opened)

    def channel_opened(self, channel):
        self.channel = channel
        channel.add_on_cancel_callback(self.cancel)
        channel.queue_declare("pika-select", callback=self.declared)

    def declared(self, _frame):
        self.channel.confirm_delivery(self.confirmed)
        for number in range(self.COUNT):
            self.channel.basic_publish("", "pika-select", str(number))
            self.unconfirmed.add(number + 1)
        self.channel.basic_qos(prefetch_count=20, callback=self.limited)

    def confirmed(self, frame):
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            raise SystemExit(f"confirmed by {frame.method}")
        tag = frame.method.delivery_tag
        if frame.method.multiple:
            self.unconfirmed = {t for t in self.unconfirmed if t > tag}
        else:
            self.unconfirmed.discard(tag)

    def limited(self, _frame):
        self.channel.basic_consume("pika-select", self.got)

    def got(self, channel, method, _properties, body):
        self.bodies.append(body.decode())
        if len(self.bodies) % 20 == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if len(self.bodies) == self.COUNT:
            channel.queue_delete("pika-select")

    def cancel(self, _frame):
        self.cancelled = True
        self.connection.close(200, "done")

    def closed(self, connection, reason):
        self.reason = reason
        connection.ioloop.stop()


def main():
    connection = connect()
    channel = connection.channel()
    confirms(channel)
    returns(connection)
    routing(channel)
    get(channel)
    dead_letters(channel)
    rpc(connection)
    worker(connection)
    cancelled(connection)
    errors(connection)
    transaction(connection)
    heartbeat()
    Selecting().run()
    restart(channel)


main()
