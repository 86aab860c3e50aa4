/** The services of a small town, as the hub of `make run` has them. */

/** A part of the town's one road. */
struct Way {
  1: required i32 km
  2: required i32 minutes
}

/** The road does not lead there. */
exception NoSuchPlace {
  1: required i32 place
} (parley.status = "404")

/** Speaks Thrift itself. Places are kilometres along the road, 0 to 99. */
service Road {
  /** How far it is from one place to another, and how long it takes. */
  Way Between(1: i32 at, 2: i32 to) throws (1: NoSuchPlace nowhere) (parley.idempotent)
}

struct Greeting {
  1: required string text
}

/** Speaks AMQP and JSON. Who calls it in Thrift cannot tell. */
service Greeter {
  Greeting SayHello(1: string name)
}
