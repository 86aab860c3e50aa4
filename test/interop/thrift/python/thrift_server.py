# SPDX-License-Identifier: Apache-2.0
"""ThriftTest, also under its name, and SecondService under its name, with python3-thrift."""
import logging
import time

from thrift.server.THttpServer import THttpServer
from thrift.server.TServer import TThreadedServer
from thrift.Thrift import TException
from thrift.TMultiplexedProcessor import TMultiplexedProcessor
from thrift.transport.TSocket import TServerSocket

from forms import PROTOCOLS, TRANSPORTS, Factory, arguments
from ThriftTest import SecondService, ThriftTest
from ThriftTest.ttypes import Insanity, Numberz, Xception, Xception2, Xtruct


def echo(self, thing):
    return thing


class Handler:
    testString = testBool = testByte = testI32 = testI64 = testDouble = testBinary = echo
    testStruct = testNest = testMap = testStringMap = testSet = testList = echo
    testEnum = testTypedef = echo

    def __init__(self, second):
        self.second = second

    def testVoid(self):
        pass

    def testMapMap(self, hello):
        return {-4: {-n: -n for n in range(1, 5)}, 4: {n: n for n in range(1, 5)}}

    def testInsanity(self, argument):
        return {1: {Numberz.TWO: argument, Numberz.THREE: argument}, 2: {Numberz.SIX: Insanity()}}

    def testMulti(self, arg0, arg1, arg2, arg3, arg4, arg5):
        return Xtruct("Hello2", arg0, arg1, arg2)

    def testException(self, arg):
        if arg == "Xception":
            raise Xception(1001, arg)
        if arg == "TException":
            raise TException("an exception that the IDL does not have")

    def testMultiException(self, arg0, arg1):
        if arg0 == "Xception":
            raise Xception(1001, "This is an Xception")
        if arg0 == "Xception2":
            raise Xception2(2002, Xtruct("This is an Xception2"))
        return Xtruct(arg1)

    def testOneway(self, secondsToSleep):
        time.sleep(secondsToSleep * self.second)
        print("oneway", secondsToSleep, flush=True)

    def secondtestString(self, thing):
        return 'testString("%s")' % thing


def main():
    logging.disable()  # undeclared exceptions are part of the test
    options = arguments()
    handler = Handler(options.second)
    test = ThriftTest.Processor(handler)
    processor = TMultiplexedProcessor()
    processor.registerDefault(test)
    processor.registerProcessor("ThriftTest", test)
    processor.registerProcessor("SecondService", SecondService.Processor(handler))
    protocols = Factory(PROTOCOLS[options.protocol])
    if options.transport == "http":
        THttpServer(processor, (options.host, options.port), protocols).serve()
    socket = TServerSocket(options.host, options.port)
    transports = Factory(TRANSPORTS[options.transport])
    TThreadedServer(processor, socket, transports, protocols, daemon=True).serve()


main()
