# SPDX-License-Identifier: Apache-2.0
"""Drives a hub with Python's urllib alone; the commands are those of every peer script.

send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
call SERVICE BODY | serve SERVICE COUNT
"""
import base64
import json
import os
import sys
import urllib.parse
import urllib.request

NAME = "urllib"
BASE = "http://%s:%s/v1" % (os.environ["HUB_HOST"], os.environ["HUB_REST"])
BASIC = "Basic " + base64.b64encode(b"guest:guest").decode()
WAIT = 20  # seconds for anything that must come
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
JSON = {"Content-Type": "application/json"}


def say(text):
    print(text, flush=True)


def ask(method, path, body=None, headers=None):
    """Sends a request; a status of 400 or more is an exception."""
    request = urllib.request.Request(BASE + path, method=method)
    for name, value in {"Authorization": BASIC, **(headers or {})}.items():
        request.add_header(name, value)
    data = body.encode() if isinstance(body, str) else body
    return urllib.request.urlopen(request, data, timeout=WAIT)


def at(*segments):
    return "".join("/" + urllib.parse.quote(s, safe="") for s in segments)


def declare(queue):
    ask("PUT", at("queues", queue), "{}", JSON).close()


def lease(queue, wait_ms=10_000):
    """Takes one message, or returns None."""
    terms = json.dumps({"max": 1, "wait_ms": wait_ms, "lease_ms": 10_000})
    with ask("POST", at("queues", queue, "leases"), terms, JSON) as answer:
        return None if answer.status == 204 else json.load(answer)["messages"][0]


def send(queue, *bodies):
    declare(queue)
    for body in bodies:
        with ask("POST", at("queues", queue, "messages"), body, TEXT) as answer:
            assert answer.status == 201, answer.status
    say("sent")


def consume(queue, count):
    declare(queue)
    say("ready")
    for _ in range(int(count)):
        message = lease(queue)
        say(message["body"])
        ask("DELETE", at("leases", message["lease"])).close()


def publish(topic, body):
    ask("POST", at("topics", topic, "messages"), body, TEXT).close()
    say("sent")


def subscribe(topic, count):
    left = int(count)
    with ask("GET", at("topics", topic, "stream")) as stream:
        for line in stream:
            name, _, value = line.decode().rstrip("\n").partition(":")
            if name == "retry":
                say("ready")
            elif name == "data":
                say(value.removeprefix(" "))
                left -= 1
                if left == 0:
                    return


def call(service, body):
    with ask("POST", at("services", service, "do"), body, {**TEXT, "Prefer": "wait=10"}) as answer:
        say(answer.read().decode())


def serve(service, count):
    declare(service)
    message = lease(service, 0)  # the hub knows the worker then
    say("ready")
    left = int(count)
    while left:
        if message:
            text = NAME + " heard " + message["body"]
            ask("POST", at("leases", message["lease"], "reply"), text, TEXT).close()
            left -= 1
        message = lease(service) if left else None


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
