# SPDX-License-Identifier: Apache-2.0
"""Makes every call of ThriftTest on one connection with python3-thrift, then some under the services'
names, and prints the name of each that was answered as it should be. Sequence ids are checked, which
the generated client leaves to its users."""
import itertools
import ssl
import sys
import time

from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol
from thrift.Thrift import TApplicationException
from thrift.transport.THttpClient import THttpClient
from thrift.transport.TSocket import TSocket
from thrift.transport.TSSLSocket import TSSLSocket

from forms import PROTOCOLS, TRANSPORTS, arguments
from ThriftTest import SecondService, ThriftTest
from ThriftTest.ttypes import Insanity, Numberz, Xception, Xception2, Xtruct, Xtruct2

PATIENCE_MS = 20_000
ONEWAY_MOST_SECONDS = 3
OPTIONS = arguments()
# Every kind of character, and more of them than any buffer. Go escapes the last ones in TJSON as \u003c
# and so on, which Python does not read at the end of a buffer.
TEXT = ('Afrikaans, العربية, Ελληνικά, 日本語, 𝒳🚕, \t\r\n"\\ ' + ("" if OPTIONS.tame else "<>&")) * 400


def strict(protocol):
    """Gives messages ascending sequence ids, and wants each back with its answer."""
    ids, sent = itertools.count(-1), []

    class Strict(protocol):
        def writeMessageBegin(self, name, kind, _):
            sent[:] = name.rpartition(":")[2], next(ids)
            super().writeMessageBegin(name, kind, sent[1])

        def readMessageBegin(self):
            name, kind, seqid = super().readMessageBegin()
            if [name, seqid] != sent:
                raise ValueError("the answer has %s and %d, sent was %s" % (name, seqid, sent))
            return name, kind, seqid

    return Strict


def connect(options):
    if options.transport == "http":
        scheme, context = "http", None
        if options.ca:
            scheme, context = "https", ssl.create_default_context(cafile=options.ca)
        plain = THttpClient("%s://%s/" % (scheme, options.addr), ssl_context=context)
    elif options.ca:
        context = ssl.create_default_context(cafile=options.ca)
        plain = TSSLSocket(options.host, options.port, ssl_context=context)
    else:
        plain = TSocket(options.host, options.port)
    plain.setTimeout(PATIENCE_MS)
    transport = TRANSPORTS[options.transport](plain)
    transport.open()
    return transport


def xtruct(text, n):
    return Xtruct(text, n, n << 20, n << 50)


def equal(got, want):
    if got != want:
        raise ValueError("got %r, want %r" % (got, want))


def thrown(want, call, *args):
    try:
        got = call(*args)
    except type(want) as e:
        got = e
    equal(got, want)


def void(client):
    equal(client.testVoid(), None)


def echoes(method, *values):
    def check(client):
        for value in values:
            equal(getattr(client, method)(value), value)
    return method, check


def map_map(client):
    equal(client.testMapMap(1),
          {-4: {-4: -4, -3: -3, -2: -2, -1: -1}, 4: {1: 1, 2: 2, 3: 3, 4: 4}})


def insanity(client):
    value = Insanity({Numberz.FIVE: 5, Numberz.EIGHT: 1 << 40},
                     [xtruct("Goodbye4", 4), xtruct("Hello2", 2)])
    got = client.testInsanity(value)
    empty = got[2].pop(Numberz.SIX)
    equal([got, bool(empty.userMap), bool(empty.xtructs)],
          [{1: {Numberz.TWO: value, Numberz.THREE: value}, 2: {}}, False, False])


def multi(client):
    equal(client.testMulti(42, 4242, 424242 << 20, {-1: "one"}, Numberz.FIVE, 7),
          Xtruct("Hello2", 42, 4242, 424242 << 20))


def declared(client):
    thrown(Xception(1001, "Xception"), client.testException, "Xception")


def undeclared(client):
    try:
        got = client.testException("TException")
    except TApplicationException as e:
        got = e.type
    equal(got, TApplicationException.INTERNAL_ERROR)


def no_exception(client):
    equal(client.testException("success"), None)


def first_of_two(client):
    thrown(Xception(1001, "This is an Xception"), client.testMultiException, "Xception", "ignored")


def second_of_two(client):
    try:
        got = client.testMultiException("Xception2", "ignored")
    except Xception2 as e:
        got = (e.errorCode, e.struct_thing.string_thing)
    equal(got, (2002, "This is an Xception2"))


def none_of_two(client):
    equal(client.testMultiException("success", "foobar").string_thing, "foobar")


def oneway(client):
    start = time.monotonic()
    client.testOneway(2)
    took = time.monotonic() - start
    if took > ONEWAY_MOST_SECONDS:
        raise ValueError("it took %.1f s" % took)
    equal(client.testString("after"), "after")


# What the TJSON of Python writes as no JSON; other protocols have no trouble with it.
WILD = echoes("testString", "\0\x1f")

CHECKS = (
    ("testVoid", void),
    echoes("testString", TEXT, ""),
    echoes("testBool", True, False),
    echoes("testByte", -128, 127),
    echoes("testI32", -1, 2**31 - 1),
    echoes("testI64", -2**35, 2**63 - 1),
    echoes("testDouble", -0.000341012439638598279, sys.float_info.max),
    echoes("testBinary", bytes(range(256))),
    echoes("testStruct", xtruct("Zero", -3)),
    echoes("testNest", Xtruct2(1, xtruct("Zero", 1), 5)),
    echoes("testMap", {-1: 2, 0: 0, -2**31: 2**31 - 1}, {}),
    echoes("testStringMap", {"a": "2", "b": "", "": "blah", "über": TEXT}),
    echoes("testSet", {-2, -1, 0, 1, 2**31 - 1}),
    echoes("testList", [(150 - i) << 20 for i in range(300)], []),
    echoes("testEnum", Numberz.ONE, Numberz.EIGHT),
    echoes("testTypedef", 309858235082523),
    ("testMapMap", map_map),
    ("testInsanity", insanity),
    ("testMulti", multi),
    ("testException Xception", declared),
    ("testException TException", undeclared),
    ("testException", no_exception),
    ("testMultiException Xception", first_of_two),
    ("testMultiException Xception2", second_of_two),
    ("testMultiException", none_of_two),
    ("testOneway", oneway),
)


def main():
    transport = connect(OPTIONS)
    protocol = strict(PROTOCOLS[OPTIONS.protocol])(transport)
    client = ThriftTest.Client(protocol)
    if not OPTIONS.tame:
        WILD[1](client)
        print("wild values")
    for name, check in CHECKS:
        try:
            check(client)
        except Exception as e:
            raise SystemExit("%s: %r" % (name, e)) from e
        print(name, flush=True)
    test = ThriftTest.Client(TMultiplexedProtocol(protocol, "ThriftTest"))
    equal(test.testI32(-7), -7)
    print("ThriftTest:testI32")
    second = SecondService.Client(TMultiplexedProtocol(protocol, "SecondService"))
    equal(second.secondtestString("two"), 'testString("two")')
    print("SecondService:secondtestString")
    transport.close()


main()
