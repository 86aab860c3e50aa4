# SPDX-License-Identifier: Apache-2.0
"""Drives a hub with python3-stomp; the commands are those of every peer script.

send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
call SERVICE BODY | serve SERVICE COUNT
"""
import os
import queue as queues
import sys

import stomp

NAME = "stomp.py"
WAIT = 15  # seconds for anything that must come


def say(text):
    print(text, flush=True)


class Listener(stomp.ConnectionListener):
    """Hands messages and receipts to the main thread."""

    def __init__(self):
        self.messages = queues.Queue()
        self.receipts = queues.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.messages.put(frame)
        self.receipts.put("ERROR " + frame.body)


class Peer:
    def __init__(self):
        self.listener = Listener()
        self.conn = stomp.Connection12(
            [(os.environ["HUB_HOST"], int(os.environ["HUB_STOMP"]))])
        self.conn.set_listener("", self.listener)
        self.conn.connect("guest", "guest", wait=True)

    def safe(self, destination, body, **headers):
        """Sends and waits for the receipt."""
        self.conn.send(destination, body, receipt="r", persistent="true", **headers)
        self.settled("r")

    def settled(self, receipt):
        got = self.listener.receipts.get(timeout=WAIT)
        if got != receipt:
            raise SystemExit("instead of the receipt: " + got)

    def attach(self, destination, ack):
        self.conn.subscribe(destination, id="1", ack=ack,
                            headers={"receipt": "s", "prefetch-count": "1"})
        self.settled("s")
        say("ready")

    def next(self):
        frame = self.listener.messages.get(timeout=WAIT)
        if frame.cmd == "ERROR":
            raise SystemExit(frame.body)
        return frame


def send(peer, queue, *bodies):
    for body in bodies:
        peer.safe("/queue/" + queue, body)
    say("sent")


def consume(peer, queue, count):
    peer.attach("/queue/" + queue, "client-individual")
    for _ in range(int(count)):
        frame = peer.next()
        say(frame.body)
        peer.conn.ack(frame.headers["ack"])


def publish(peer, topic, body):
    peer.safe("/topic/" + topic, body)
    say("sent")


def subscribe(peer, topic, count):
    peer.attach("/topic/" + topic, "auto")
    for _ in range(int(count)):
        say(peer.next().body)


def call(peer, service, body):
    peer.conn.send("/queue/" + service, body, headers={
        "reply-to": "/temp-queue/answers", "correlation-id": "1", "parley-timeout": "10000"})
    frame = peer.next()
    error = frame.headers.get("parley-error")
    say("error " + error if error else frame.body)


def serve(peer, service, count):
    peer.attach("/queue/" + service, "client-individual")
    for _ in range(int(count)):
        frame = peer.next()
        peer.safe(frame.headers["reply-to"], NAME + " heard " + frame.body,
                  headers={"correlation-id": frame.headers["correlation-id"]})
        peer.conn.ack(frame.headers["ack"])


def main():
    peer = Peer()
    commands = {f.__name__: f for f in (send, consume, publish, subscribe, call, serve)}
    commands[sys.argv[1]](peer, *sys.argv[2:])
    peer.conn.disconnect(receipt="bye")
    peer.settled("bye")


main()
