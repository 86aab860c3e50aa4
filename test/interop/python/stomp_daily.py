# SPDX-License-Identifier: Apache-2.0
"""What stomp.py's users do every day, with each version of the protocol.

Prints a line for each task, with what came back; ends with an error when it is something else.
"""
import os
import queue as queues
import time

import stomp
from stomp.exception import StompException

WAIT = 20  # seconds for anything that must come
HOST = [(os.environ["HUB_HOST"], int(os.environ["HUB_STOMP"]))]
VERSIONS = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}


def say(text):
    print(text, flush=True)


def expect(name, value, want):
    if value != want:
        raise SystemExit(f"{name}: {value!r} instead of {want!r}")
    say(f"{name} {value}")


class Peer(stomp.ConnectionListener):
    """A connection whose messages and receipts wait for the main thread."""

    def __init__(self, version="1.2", **options):
        self.version = version
        self.frames, self.receipts, self.number = queues.Queue(), queues.Queue(), 0
        self.gone = queues.Queue()
        self.conn = VERSIONS[version](HOST, **options)
        self.conn.set_listener("", self)
        self.conn.connect("guest", "guest", wait=True)

    def on_message(self, frame):
        self.frames.put(frame)

    def on_error(self, frame):
        self.frames.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_disconnected(self):
        self.gone.put(True)

    def settled(self, step):
        """Takes a step that asks for a receipt, and waits for it."""
        self.number += 1
        step(f"r{self.number}")
        got = self.receipts.get(timeout=WAIT)
        if got != f"r{self.number}":
            raise SystemExit(f"receipt {got}")

    def send(self, destination, body, **more):
        self.settled(lambda r: self.conn.send(destination, body, receipt=r, **more))

    def subscribe(self, destination, number, ack="auto", **headers):
        self.settled(lambda r: self.conn.subscribe(
            destination, id=number, ack=ack, headers={"receipt": r, **headers}))

    def next(self):
        return self.frames.get(timeout=WAIT)

    def ack(self, frame, what="ack"):
        step = getattr(self.conn, what)
        if self.version == "1.2":
            step(frame.headers["ack"])
        elif self.version == "1.1":
            step(frame.headers["message-id"], frame.headers["subscription"])
        else:
            step(frame.headers["message-id"])

    def close(self):
        self.settled(lambda r: self.conn.disconnect(receipt=r))


def work(version):
    """Sends and works; what fails is given back once, then goes to the dead letters."""
    peer = Peer(version)
    place, dead = f"/queue/stomp.py-{version}", f"/queue/stomp.py-dead-{version}"
    ack = "client" if version == "1.0" else "client-individual"
    peer.subscribe(dead, "2")
    peer.subscribe(place, "1", ack, **{
        "prefetch-count": "1", "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead.removeprefix("/queue/")})
    for body in "good", "bad":
        peer.send(place, body, persistent="true", headers={"my-header": "mine"})
    frame = peer.next()
    expect(version, (frame.body, frame.headers["destination"], frame.headers["my-header"]),
           ("good", place, "mine"))
    peer.ack(frame)
    frame = peer.next()
    expect("given back", frame.body, "bad")
    if version != "1.0":
        peer.ack(frame, "nack")
        frame = peer.next()
        expect("again", (frame.body, frame.headers["redelivered"]), ("bad", "true"))
        peer.conn.send_frame("NACK", {
            "message-id": frame.headers["message-id"], "subscription": "1", "requeue": "false",
            "id": frame.headers.get("ack", "")})
        expect("dead", peer.next().body, "bad")
    else:
        peer.ack(frame)
    peer.close()


def headers():
    """Values with colons, line ends and backslashes, bodies with any octet."""
    peer = Peer(auto_decode=False)
    peer.subscribe("/queue/stomp.py-headers", "1")
    value, body = "a:b\\c\nd", bytes(range(256))
    peer.send("/queue/stomp.py-headers", body, content_type="application/x-all",
              headers={"odd-value": value, "correlation-id": "c"})
    frame = peer.next()
    expect("headers", (frame.headers["odd-value"] == value, frame.headers["correlation-id"],
                       frame.headers["content-type"]), (True, "c", "application/x-all"))
    expect("body", frame.body == body, True)
    peer.close()


def topic():
    readers = [Peer(), Peer()]
    for reader in readers:
        reader.subscribe("/topic/news.*", "1")
    peer = Peer()
    peer.send("/topic/news.sport", "goal")
    expect("topic", [reader.next().body for reader in readers], ["goal", "goal"])
    for reader in readers:
        reader.settled(lambda r, reader=reader: reader.conn.unsubscribe("1", headers={"receipt": r}))
        reader.close()
    peer.close()


def durable():
    """Reads what was published while it was away."""
    options = {"durable": "true", "auto-delete": "false"}
    peer = Peer()
    peer.subscribe("/topic/stomp.py-durable", "mine", "client", **options)
    peer.close()
    peer = Peer()
    peer.send("/topic/stomp.py-durable", "meanwhile", persistent="true")
    peer.subscribe("/topic/stomp.py-durable", "mine", "client", **options)
    frame = peer.next()
    expect("durable", frame.body, "meanwhile")
    peer.ack(frame)
    peer.settled(lambda r: peer.conn.unsubscribe(
        "mine", headers={"receipt": r, "durable": "true"}))
    peer.close()


def transactions():
    peer = Peer()
    peer.subscribe("/queue/stomp.py-tx", "1")
    for end in "abort", "commit":
        transaction = peer.conn.begin()
        for body in "one", "two":
            peer.conn.send("/queue/stomp.py-tx", f"{body} {end}", transaction=transaction)
        peer.settled(lambda r: getattr(peer.conn, end)(transaction, headers={"receipt": r}))
    expect("transaction", [peer.next().body, peer.next().body], ["one commit", "two commit"])
    peer.close()


def asking():
    service, peer = Peer(), Peer()
    service.subscribe("/queue/stomp.py-doubler", "1")
    peer.conn.send("/queue/stomp.py-doubler", "ab", headers={
        "reply-to": "/temp-queue/answers", "correlation-id": "c"})
    question = service.next()
    service.send(question.headers["reply-to"], question.body * 2, headers={
        "correlation-id": question.headers["correlation-id"]})
    answer = peer.next()
    expect("answer", (answer.body, answer.headers["correlation-id"]), ("abab", "c"))
    service.close()
    peer.close()


def refused():
    """An ERROR ends the connection."""
    for step, message in (
            (lambda p: p.conn.send("/nowhere/x", "lost"), "Unknown destination"),
            (lambda p: p.conn.subscribe("/amq/queue/stomp.py-absent", "1"), "not_found"),
            (lambda p: p.conn.ack("7"), "Invalid header")):
        peer = Peer()
        step(peer)
        expect("refused", peer.next().headers["message"], message)
        peer.gone.get(timeout=WAIT)
    try:
        stomp.Connection12(HOST).connect("guest", "wrong", wait=True)
        raise SystemExit("logged in with a wrong password")
    except StompException:
        say("login refused")


def heartbeats():
    """Lives longer than two heart-beats on nothing else."""
    peer = Peer(heartbeats=(1000, 1000))
    try:
        raise SystemExit(f"a message: {peer.frames.get(timeout=3.5)}")
    except queues.Empty:
        pass
    peer.send("/topic/stomp.py-alive", "alive")
    expect("heart-beats", peer.conn.is_connected(), True)
    peer.close()


def connect_again():
    """A killed hub may still take a connection, only to drop it."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return Peer(reconnect_sleep_initial=0.1, reconnect_attempts_max=100)
        except (StompException, OSError):
            if time.monotonic() > deadline:
                raise


def restart():
    """Connects again after the hub was killed; what was not acknowledged comes again."""
    peer = Peer()
    peer.send("/queue/stomp.py-restart", "before", persistent="true")
    peer.subscribe("/queue/stomp.py-restart", "1", "client")
    frame = peer.next()
    expect("first", (frame.body, frame.headers["redelivered"]), ("before", "false"))
    say("restart")
    peer.gone.get(timeout=WAIT)
    peer = connect_again()
    peer.subscribe("/queue/stomp.py-restart", "1", "client")
    frame = peer.next()
    expect("second", (frame.body, frame.headers["redelivered"]), ("before", "true"))
    peer.ack(frame)
    peer.close()


def main():
    for version in VERSIONS:
        work(version)
    for task in headers, topic, durable, transactions, asking, refused, heartbeats, restart:
        task()


main()
