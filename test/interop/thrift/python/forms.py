# SPDX-License-Identifier: Apache-2.0
"""How messages travel: protocols and transports of python3-thrift by their names."""
import argparse

from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.protocol.TCompactProtocol import TCompactProtocol, TCompactProtocolAccelerated
from thrift.protocol.THeaderProtocol import THeaderProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.transport.THeaderTransport import THeaderClientType
from thrift.transport.TTransport import TBufferedTransport, TFramedTransport
from thrift.transport.TZlibTransport import TZlibTransport


class Header(THeaderProtocol):
    def __init__(self, transport):
        super().__init__(transport, (THeaderClientType.HEADERS,))


def accelerated(protocol):
    """Returns a protocol that refuses to do without its part in C."""
    class Accelerated(protocol):
        def __init__(self, transport):
            super().__init__(transport, fallback=False)

    return Accelerated


PROTOCOLS = {
    "binary": TBinaryProtocol,
    "compact": TCompactProtocol,
    "json": TJSONProtocol,
    "header": Header,
    "binary-accelerated": accelerated(TBinaryProtocolAccelerated),
    "compact-accelerated": accelerated(TCompactProtocolAccelerated),
}

TRANSPORTS = {
    "buffered": TBufferedTransport,
    "framed": TFramedTransport,
    # In the C parts' own way, the transport of zlib loses octets of messages above 4 KiB.
    "zlib": lambda transport: TBufferedTransport(TZlibTransport(transport)),
    "http": TBufferedTransport,  # around what the HTTP client gives
}


class Factory:
    """What servers make the protocol or transport of a connection with."""

    def __init__(self, make):
        self.getProtocol = self.getTransport = make


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--addr", required=True, help="host:port")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="binary")
    parser.add_argument("--transport", choices=TRANSPORTS, default="buffered")
    parser.add_argument("--ca", help="file with the server's authority: call over TLS")
    parser.add_argument("--tame", action="store_true",
                        help="no values that the TJSON of Python does not get across")
    parser.add_argument("--second", type=float, default=1, help="length of a second of testOneway")
    options = parser.parse_args()
    host, _, port = options.addr.rpartition(":")
    options.host, options.port = host, int(port)
    return options
