# SPDX-License-Identifier: Apache-2.0
"""Makes every call of ThriftTest in JSON, with nothing of Thrift, by HTTP with Python's urllib, by AMQP
with python3-pika, or by STOMP with python3-stomp, and prints the name of each that was answered as it
should be."""
import argparse
import base64
import json
import queue
import time
import urllib.error
import urllib.request

import pika
import stomp

PATIENCE_SECONDS = 20
ONEWAY_MOST_SECONDS = 3
JSON = "application/json"
# Every kind of character, and more of them than any buffer.
TEXT = 'Afrikaans, العربية, Ελληνικά, 日本語, 𝒳🚕, \t\r\n"\\<>& ' * 400


class REST:
    def __init__(self, addr):
        self.base = "http://%s/v1/services/" % addr

    def call(self, service, method, body):
        """Returns the answer's status and body."""
        request = urllib.request.Request(self.base + service + "/" + method, body.encode(),
                                         {"Content-Type": JSON})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            if e.headers["Content-Type"] != "application/problem+json":
                raise
            return e.code, e.read()

    def send(self, service, method, body):
        status, _ = self.call(service, method, body)
        equal(status, 202)


class AMQP:
    def __init__(self, addr):
        host, _, port = addr.rpartition(":")
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(host=host, port=int(port)))
        self.channel = self.connection.channel()
        self.channel.basic_consume("amq.rabbitmq.reply-to", self.answered, auto_ack=True)
        self.channel.confirm_delivery()

    def answered(self, channel, delivery, properties, body):
        error = (properties.headers or {}).get("parley-error")
        self.answer = (properties.headers or {}).get("http-status", 500 if error else 200), body

    def call(self, service, method, body):
        self.answer = None
        self.channel.basic_publish("", service, body.encode(), pika.BasicProperties(
            type=method, content_type=JSON, reply_to="amq.rabbitmq.reply-to",
            headers={"parley-timeout": PATIENCE_SECONDS * 1000}))
        while self.answer is None:
            self.connection.process_data_events(time_limit=PATIENCE_SECONDS)
        return self.answer

    def send(self, service, method, body):
        properties = pika.BasicProperties(type=method, content_type=JSON)
        self.channel.basic_publish("", service, body.encode(), properties, mandatory=True)


class STOMP(stomp.ConnectionListener):
    def __init__(self, addr):
        host, _, port = addr.rpartition(":")
        self.frames = queue.Queue()
        self.connection = stomp.Connection12([(host, int(port))])
        self.connection.set_listener("", self)
        self.connection.connect("guest", "guest", wait=True)

    def on_message(self, frame):
        self.frames.put(frame)

    on_error = on_receipt = on_message

    def call(self, service, method, body):
        self.connection.send("/amq/queue/" + service, body, JSON, type=method, **{
            "reply-to": "/temp-queue/answers", "parley-timeout": str(PATIENCE_SECONDS * 1000)})
        frame = self.next("MESSAGE")
        error = 500 if "parley-error" in frame.headers else 200
        return int(frame.headers.get("http-status", error)), frame.body.encode()

    def send(self, service, method, body):
        self.connection.send("/amq/queue/" + service, body, JSON, type=method, receipt="r")
        self.next("RECEIPT")

    def next(self, kind):
        frame = self.frames.get(timeout=PATIENCE_SECONDS)
        equal(frame.cmd, kind)
        return frame


def equal(got, want):
    if got != want:
        raise ValueError("got %r, want %r" % (got, want))


class Client:
    def __init__(self, peer):
        self.peer = peer

    def answer(self, service, method, arguments):
        status, body = self.peer.call(service, method, json.dumps(arguments))
        return status, json.loads(body) if body else None

    def test(self, method, **arguments):
        """Returns what a method of ThriftTest returns."""
        status, result = self.answer("ThriftTest", method, arguments)
        if status >= 300:
            raise ValueError("%d %r" % (status, result))
        return result

    def throws(self, method, **arguments):
        """Returns a declared exception: its name and fields."""
        status, problem = self.answer("ThriftTest", method, arguments)
        equal((status, problem["code"]), (422, "exception"))
        return problem["exception"], problem["data"]


def xtruct(text, n):
    return {"string_thing": text, "byte_thing": n, "i32_thing": n << 20, "i64_thing": n << 50}


def echoes(method, *values):
    def check(client):
        for value in values:
            equal(client.test(method, thing=value), value)
    return method, check


def same_set(client):
    equal(sorted(client.test("testSet", thing=[-2, -1, 0, 1, 1, 2**31 - 1])), [-2, -1, 0, 1, 2**31 - 1])


def bare_struct(client):
    """A struct that is the only argument may stand alone."""
    equal(client.test("testStruct", **xtruct("Zero", -3)), xtruct("Zero", -3))
    equal(client.test("testStruct", thing=xtruct("", 3)), xtruct("", 3))


def map_map(client):
    equal(client.test("testMapMap", hello=1), {
        "-4": {"-4": -4, "-3": -3, "-2": -2, "-1": -1}, "4": {"1": 1, "2": 2, "3": 3, "4": 4}})


def insanity(client):
    value = {"userMap": {"FIVE": 5, "EIGHT": 1 << 40},
             "xtructs": [xtruct("Goodbye4", 4), xtruct("Hello2", 2)]}
    got = client.test("testInsanity", argument=value)
    empty = got["2"].pop("SIX")
    equal([got, any(empty.values())], [{"1": {"TWO": value, "THREE": value}, "2": {}}, False])


def multi(client):
    equal(client.test("testMulti", arg0=42, arg1=4242, arg2=424242 << 20, arg3={"-1": "one"},
                      arg4="FIVE", arg5=7),
          {"string_thing": "Hello2", "byte_thing": 42, "i32_thing": 4242, "i64_thing": 424242 << 20})


def declared(client):
    equal(client.throws("testException", arg="Xception"),
          ("Xception", {"errorCode": 1001, "message": "Xception"}))


def undeclared(client):
    status, problem = client.answer("ThriftTest", "testException", {"arg": "TException"})
    equal((status, "exception" in (problem or {})), (500, False))


def first_of_two(client):
    equal(client.throws("testMultiException", arg0="Xception", arg1="ignored"),
          ("Xception", {"errorCode": 1001, "message": "This is an Xception"}))


def second_of_two(client):
    name, fields = client.throws("testMultiException", arg0="Xception2", arg1="ignored")
    equal((name, fields["errorCode"], fields["struct_thing"]["string_thing"]),
          ("Xception2", 2002, "This is an Xception2"))


def none_of_two(client):
    got = client.test("testMultiException", arg0="success", arg1="foobar")
    equal(got["string_thing"], "foobar")


def oneway(client):
    start = time.monotonic()
    client.peer.send("ThriftTest", "testOneway", '{"secondsToSleep": 2}')
    took = time.monotonic() - start
    if took > ONEWAY_MOST_SECONDS:
        raise ValueError("it took %.1f s" % took)
    equal(client.test("testString", thing="after"), "after")


def second_service(client):
    equal(client.answer("SecondService", "secondtestString", {"thing": "two"}),
          (200, 'testString("two")'))


def wild(client):
    for method, value in ("testString", "\0\x1f"), ("testDouble", "-Infinity"):
        equal(client.test(method, thing=value), value)


WILD = (("wild values", wild),)

CHECKS = (
    ("testVoid", lambda client: equal(client.test("testVoid"), None)),
    echoes("testString", TEXT, ""),
    echoes("testBool", True, False),
    echoes("testByte", -128, 127),
    echoes("testI32", -1, 2**31 - 1),
    echoes("testI64", -2**35, 2**63 - 1),
    echoes("testDouble", -0.000341012439638598279),
    echoes("testBinary", base64.b64encode(bytes(range(256))).decode()),
    ("testStruct", bare_struct),
    echoes("testNest", {"byte_thing": 1, "struct_thing": xtruct("Zero", 1), "i32_thing": 5}),
    echoes("testMap", {"-1": 2, "0": 0, "-2147483648": 2**31 - 1}, {}),
    echoes("testStringMap", {"a": "2", "b": "", "": "blah", "über": TEXT}),
    ("testSet", same_set),
    echoes("testList", [(150 - i) << 20 for i in range(300)], []),
    echoes("testEnum", "ONE", "EIGHT"),
    echoes("testTypedef", 309858235082523),
    ("testMapMap", map_map),
    ("testInsanity", insanity),
    ("testMulti", multi),
    ("testException Xception", declared),
    ("testException TException", undeclared),
    ("testException", lambda client: equal(client.test("testException", arg="success"), None)),
    ("testMultiException Xception", first_of_two),
    ("testMultiException Xception2", second_of_two),
    ("testMultiException", none_of_two),
    ("testOneway", oneway),
    ("SecondService:secondtestString", second_service),
)


def main():
    parser = argparse.ArgumentParser()
    kinds = {"rest": REST, "amqp": AMQP, "stomp": STOMP}
    parser.add_argument("--by", choices=kinds, required=True)
    parser.add_argument("--addr", required=True, help="host:port of the door")
    parser.add_argument("--tame", action="store_true",
                        help="no values that the TJSON of Python does not get across")
    options = parser.parse_args()
    client = Client(kinds[options.by](options.addr))
    for name, check in (() if options.tame else WILD) + CHECKS:
        try:
            check(client)
        except Exception as e:
            raise SystemExit("%s: %.1000r" % (name, e)) from e
        print(name, flush=True)


main()
