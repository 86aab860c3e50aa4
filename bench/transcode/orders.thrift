// What the transcoders are measured with. Kitex and dynamicgo know neither uuid nor methods without
// exactly one argument, and write enums as numbers, so none of these is here.
namespace go orders

struct Item {
  1: i64 id,
  2: string name,
  3: i32 count,
  4: double price,
  5: bool active,
  6: list<string> tags,
}

struct Order {
  1: required i64 id,
  2: string customer,
  3: string note,
  4: map<string, string> labels,
  5: list<Item> items,
  6: binary digest,
  7: optional string voucher,
}

service Orders {
  Order place(1: Order order),
}
