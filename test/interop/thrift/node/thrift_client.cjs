// SPDX-License-Identifier: Apache-2.0

// Makes every call of ThriftTest on one connection with npm's thrift, then some under the services'
// names, and prints the name of each that was answered as it should be. NODE_PATH has the package and
// what the compiler generated.
const assert = require("node:assert/strict");
const fs = require("node:fs");
const { parseArgs } = require("node:util");
const thrift = require("thrift");
const ThriftTest = require("ThriftTest");
const SecondService = require("SecondService");
const types = require("ThriftTest_types");

const PATIENCE_MS = 20_000;
const ONEWAY_MOST_MS = 3_000;
// Every kind of character, and more of them than any buffer.
const TEXT = 'Afrikaans, العربية, Ελληνικά, 日本語, 𝒳🚕, \t\r\n"\\<>& '.repeat(400);

const { values: options } = parseArgs({
  options: {
    addr: { type: "string" },
    protocol: { type: "string", default: "binary" },
    transport: { type: "string", default: "buffered" },
    ca: { type: "string" },
    tame: { type: "boolean", default: false }, // no values that some TJSON does not get across
  },
});

const protocol = {
  binary: thrift.TBinaryProtocol,
  compact: thrift.TCompactProtocol,
  json: thrift.TJSONProtocol,
  header: thrift.THeaderProtocol,
}[options.protocol];

function connect() {
  const [host, port] = options.addr.split(":");
  const framed = options.transport === "framed";
  const transport = framed ? thrift.TFramedTransport : thrift.TBufferedTransport;
  const secure = options.ca ? { ca: fs.readFileSync(options.ca) } : undefined;
  const settings = { protocol, transport };
  switch (options.transport) {
    case "http":
      Object.assign(settings, { https: Boolean(secure), nodeOptions: secure });
      return thrift.createHttpConnection(host, port, settings);
    case "websocket": {
      Object.assign(settings, { secure: Boolean(secure), wsOptions: secure });
      const connection = thrift.createWSConnection(host, port, settings);
      connection.open();
      return connection;
    }
    default:
      if (secure) return thrift.createSSLConnection(host, port, { ...settings, ...secure });
      return thrift.createConnection(host, port, settings);
  }
}

const long = (n) => new thrift.Int64(Buffer.from(BigInt.asUintN(64, n).toString(16).padStart(16, "0"), "hex"));
const xtruct = (text, n) =>
  new types.Xtruct({ string_thing: text, byte_thing: n, i32_thing: n << 20, i64_thing: long(BigInt(n) << 50n) });

// Numbers of 64 bits come as objects, whose keys are of no interest here.
function plain(value) {
  if (value instanceof thrift.Int64) return thrift.toBigInt(value);
  if (value instanceof Buffer) return value.toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
}

function equal(got, want) {
  assert.deepEqual(plain(got), plain(want));
}

const echoes = (method, ...values) => [
  method,
  async (client) => {
    for (const value of values) equal(await client[method](value), value);
  },
];

async function thrown(kind, want, call) {
  try {
    equal(await call, "an exception");
  } catch (e) {
    if (!(e instanceof kind)) throw e;
    equal({ ...e, ...want }, e);
  }
}

const { Numberz } = types;

async function insanity(client) {
  const value = new types.Insanity({
    userMap: { [Numberz.FIVE]: long(5n), [Numberz.EIGHT]: long(1n << 40n) },
    xtructs: [xtruct("Goodbye4", 4), xtruct("Hello2", 2)],
  });
  const got = await client.testInsanity(value);
  const empty = got[2][Numberz.SIX];
  assert.equal(Object.keys(empty.userMap ?? {}).length + (empty.xtructs ?? []).length, 0);
  delete got[2][Numberz.SIX];
  equal(got, { 1: { [Numberz.TWO]: value, [Numberz.THREE]: value }, 2: {} });
}

async function multi(client) {
  const large = long(424242n << 20n);
  const got = await client.testMulti(42, 4242, large, { [-1]: "one" }, Numberz.FIVE, long(7n));
  equal(got, new types.Xtruct({ string_thing: "Hello2", byte_thing: 42, i32_thing: 4242, i64_thing: large }));
}

// Control comes back before the service is done, and the connection is of use after it.
async function oneway(client) {
  const start = Date.now();
  await client.testOneway(2);
  assert.ok(Date.now() - start < ONEWAY_MOST_MS);
  equal(await client.testString("after"), "after");
}

const CHECKS = [
  ["testVoid", async (client) => equal(await client.testVoid(), undefined)],
  echoes("testString", TEXT, ""),
  echoes("testBool", true, false),
  echoes("testByte", -128, 127),
  echoes("testI32", -1, 2 ** 31 - 1),
  echoes("testI64", long(-(2n ** 35n)), long(2n ** 63n - 1n)),
  echoes("testDouble", -0.000341012439638598279, Number.MAX_VALUE),
  echoes("testBinary", Buffer.from(Array.from({ length: 256 }, (_, i) => i))),
  echoes("testStruct", xtruct("Zero", -3)),
  echoes("testNest", new types.Xtruct2({ byte_thing: 1, struct_thing: xtruct("Zero", 1), i32_thing: 5 })),
  echoes("testMap", { [-1]: 2, 0: 0, [-(2 ** 31)]: 2 ** 31 - 1 }, {}),
  echoes("testStringMap", { a: "2", b: "", "": "blah", über: TEXT }),
  [
    "testSet",
    async (client) => {
      const got = await client.testSet([-2, -1, 0, 1, 2 ** 31 - 1]);
      equal(got.sort((a, b) => a - b), [-2, -1, 0, 1, 2 ** 31 - 1]);
    },
  ],
  echoes("testList", Array.from({ length: 300 }, (_, i) => (150 - i) << 20), []),
  echoes("testEnum", Numberz.ONE, Numberz.EIGHT),
  echoes("testTypedef", long(309858235082523n)),
  [
    "testMapMap",
    async (client) =>
      equal(await client.testMapMap(1), {
        [-4]: { [-4]: -4, [-3]: -3, [-2]: -2, [-1]: -1 },
        4: { 1: 1, 2: 2, 3: 3, 4: 4 },
      }),
  ],
  ["testInsanity", insanity],
  ["testMulti", multi],
  [
    "testException Xception",
    (client) =>
      thrown(types.Xception, { errorCode: 1001, message: "Xception" }, client.testException("Xception")),
  ],
  [
    "testException TException",
    (client) =>
      thrown(
        thrift.Thrift.TApplicationException,
        { type: thrift.Thrift.TApplicationExceptionType.INTERNAL_ERROR },
        client.testException("TException"),
      ),
  ],
  ["testException", async (client) => equal(await client.testException("success"), undefined)],
  [
    "testMultiException Xception",
    (client) =>
      thrown(
        types.Xception,
        { errorCode: 1001, message: "This is an Xception" },
        client.testMultiException("Xception", "ignored"),
      ),
  ],
  [
    "testMultiException Xception2",
    async (client) => {
      const thing = async () => {
        try {
          return await client.testMultiException("Xception2", "ignored");
        } catch (e) {
          if (!(e instanceof types.Xception2)) throw e;
          return [e.errorCode, e.struct_thing.string_thing];
        }
      };
      equal(await thing(), [2002, "This is an Xception2"]);
    },
  ],
  [
    "testMultiException",
    async (client) => equal((await client.testMultiException("success", "foobar")).string_thing, "foobar"),
  ],
  ["testOneway", oneway],
];

async function main() {
  const connection = connect();
  connection.on("error", (e) => fail("connection", e));
  const client = thrift.createClient(ThriftTest, connection);
  if (!options.tame) {
    equal(await client.testString("\0\x1f"), "\0\x1f");
    equal(await client.testDouble(-Infinity), -Infinity);
    console.log("wild values");
  }
  for (const [name, check] of CHECKS) {
    await check(client).catch((e) => fail(name, e));
    console.log(name);
  }
  // From here on the connection finds its client by the service's name.
  connection.client = {};
  const multiplexer = new thrift.Multiplexer();
  const test = multiplexer.createClient("ThriftTest", ThriftTest, connection);
  equal(await test.testI32(-7), -7);
  console.log("ThriftTest:testI32");
  const second = multiplexer.createClient("SecondService", SecondService, connection);
  equal(await second.secondtestString("two"), 'testString("two")');
  console.log("SecondService:secondtestString");
  process.exit(0);
}

function fail(where, error) {
  console.error(`${where}: ${error.stack ?? error}`);
  process.exit(1);
}

setTimeout(() => fail("patience", "the client is still at work"), PATIENCE_MS).unref();
main().catch((e) => fail("client", e));
