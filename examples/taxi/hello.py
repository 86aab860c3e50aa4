# SPDX-License-Identifier: Apache-2.0
"""Greets over Thrift, with what the compiler makes of town.thrift. The greeter speaks AMQP and JSON, and
nothing here knows that.

    thrift --gen py examples/taxi/town.thrift
    PYTHONPATH=gen-py python3 examples/taxi/hello.py 127.0.0.1:9090 Ada
"""

import sys

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TFramedTransport

from town import Greeter, Road

address, name = sys.argv[1:]
host, port = address.split(":")
transport = TFramedTransport(TSocket(host, int(port)))
transport.open()
protocol = TBinaryProtocol(transport)
greeter = Greeter.Client(TMultiplexedProtocol(protocol, "greeter"))
print(greeter.SayHello(name).text)
road = Road.Client(TMultiplexedProtocol(protocol, "road"))
way = road.Between(5, 12)
print(f"{way.km} km take {way.minutes} minutes")
transport.close()
