# SPDX-License-Identifier: Apache-2.0
"""ThriftTest and SecondService by JSON, which know nothing of Thrift: an HTTP server, or a consumer of
AMQP queues with python3-pika."""
import argparse
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pika


class Declared(Exception):
    """An exception of the IDL, with its fields."""

    def __init__(self, name, fields):
        self.name, self.fields = name, fields


def echo(thing):
    return thing


def exception(arg):
    if arg == "Xception":
        raise Declared("Xception", {"errorCode": 1001, "message": arg})
    if arg == "TException":
        raise ValueError("an exception that the IDL does not have")


def multi_exception(arg0, arg1):
    if arg0 == "Xception":
        raise Declared("Xception", {"errorCode": 1001, "message": "This is an Xception"})
    if arg0 == "Xception2":
        thing = {"string_thing": "This is an Xception2"}
        raise Declared("Xception2", {"errorCode": 2002, "struct_thing": thing})
    return {"string_thing": arg1}


def map_map(hello):
    return {"-4": {str(-n): -n for n in range(1, 5)}, "4": {str(n): n for n in range(1, 5)}}


def insanity(argument):
    return {"1": {"TWO": argument, "THREE": argument}, "2": {"SIX": {}}}


def multi(arg0, arg1, arg2, arg3, arg4, arg5):
    return {"string_thing": "Hello2", "byte_thing": arg0, "i32_thing": arg1, "i64_thing": arg2}


def oneway(secondsToSleep):
    time.sleep(secondsToSleep * SECOND)
    print("oneway", secondsToSleep, flush=True)


METHODS = dict.fromkeys((
    "testString", "testBool", "testByte", "testI32", "testI64", "testDouble", "testBinary",
    "testStruct", "testNest", "testMap", "testStringMap", "testSet", "testList", "testEnum",
    "testTypedef", "testUuid"), echo)
METHODS |= {
    "testVoid": lambda: None,
    "testMapMap": map_map,
    "testInsanity": insanity,
    "testMulti": multi,
    "testException": exception,
    "testMultiException": multi_exception,
    "testOneway": oneway,
    "secondtestString": lambda thing: 'testString("%s")' % thing,
}
SECOND = 1.0


def answer(method, body):
    """Returns status, content type and body of the answer to a call."""
    problem = "application/problem+json"
    try:
        result = METHODS[method](**json.loads(body or b"{}"))
    except Declared as e:
        text = {"status": 422, "title": e.name, "code": "exception", "exception": e.name, "data": e.fields}
        return 422, problem, json.dumps(text).encode()
    except Exception as e:
        text = {"status": 500, "title": "Internal Server Error", "code": "internal", "detail": str(e)}
        return 500, problem, json.dumps(text).encode()
    if result is None:
        return 204, "", b""
    return 200, "application/json", json.dumps(result).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, kind, text = answer(self.path.rpartition("/")[2], body)
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def serve_http(host, port):
    server = ThreadingHTTPServer((host, port), Handler)
    print("ready", flush=True)
    server.serve_forever()


def serve_amqp(host, port):
    connection = pika.BlockingConnection(pika.ConnectionParameters(host=host, port=port))
    channel = connection.channel()

    def work(channel, delivery, properties, body):
        if properties.content_type != "application/json":
            raise SystemExit("a body of %s" % properties.content_type)
        status, kind, text = answer(properties.type, body)
        if properties.reply_to:
            headers = {"http-status": status}
            if status >= 400:
                headers["parley-error"] = "exception"
            reply = pika.BasicProperties(correlation_id=properties.correlation_id, headers=headers,
                                         content_type=kind or None)
            channel.basic_publish("", properties.reply_to, text, reply)
        channel.basic_ack(delivery.delivery_tag)

    for queue in "ThriftTest", "SecondService":
        channel.queue_declare(queue, durable=True)
        channel.basic_consume(queue, work)
    print("ready", flush=True)
    channel.start_consuming()


def main():
    global SECOND
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", choices=("http", "amqp"), required=True)
    parser.add_argument("--addr", required=True, help="host:port to listen on, or of the AMQP door")
    parser.add_argument("--second", type=float, default=1, help="length of a second of testOneway")
    options = parser.parse_args()
    SECOND = options.second
    host, _, port = options.addr.rpartition(":")
    (serve_http if options.by == "http" else serve_amqp)(host, int(port))


main()
