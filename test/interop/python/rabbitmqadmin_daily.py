# SPDX-License-Identifier: Apache-2.0
"""What rabbitmqadmin's users do every day: every noun is declared, listed and deleted, messages are
published, fetched and purged, definitions exported and imported.

Prints a line for each task, with what came back; ends with an error when it is something else.
"""
import json
import os
import subprocess
import tempfile

import pika

HOST, PORT = os.environ["HUB_HOST"], os.environ["HUB_MANAGEMENT"]
WAIT = 20  # seconds for anything that must come


def say(text):
    print(text, flush=True)


def expect(name, value, want):
    if value != want:
        raise SystemExit(f"{name}: {value!r} instead of {want!r}")
    say(f"{name} {value}")


def run(*args):
    """Runs rabbitmqadmin, whatever comes of it."""
    return subprocess.run(
        ["/usr/bin/rabbitmqadmin", "-H", HOST, "-P", PORT, *args],
        capture_output=True, text=True, timeout=WAIT, check=False)


def admin(*args):
    done = run(*args)
    if done.returncode:
        raise SystemExit(f"{args}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def listed(noun, *columns, options=()):
    """Returns the rows of a list, or the one of `show overview`."""
    verb = "show" if noun == "overview" else "list"
    return json.loads(admin(*options, "-f", "raw_json", verb, noun, *columns))


def refused(name, text, *args):
    """Runs what must fail with that text."""
    done = run(*args)
    if done.returncode == 0 or text not in done.stdout + done.stderr:
        raise SystemExit(f"{name}: {done.stdout}{done.stderr} instead of {text}")
    say(f"{name} refused")


DECLARED = (
    ("vhost", "name=other"),
    ("queue", "name=work", 'arguments={"x-max-length": 10}'),
    ("queue", "name=votes", "queue_type=quorum"),
    ("queue", "name=brief", "durable=false", "auto_delete=false"),
    ("exchange", "name=logs", "type=topic"),
    ("exchange", "name=all", "type=fanout", "durable=false"),
    ("binding", "source=logs", "destination=work", "routing_key=a.#"),
    ("binding", "source=logs", "destination=all", "destination_type=exchange", "routing_key=#"),
    ("binding", "source=amq.headers", "destination=work", 'arguments={"x-match": "all", "n": 1}'),
    ("user", "name=reader", "password=secret", "tags=monitoring"),
    ("permission", "vhost=other", "user=reader", "configure=", "write=", "read=.*"),
    ("parameter", "component=federation-upstream", "name=far", 'value={"uri": "amqp://far"}'),
    ("policy", "name=short", "pattern=^work$", 'definition={"max-length": 5}', "priority=3",
     "apply-to=queues"),
    ("operator_policy", "name=limit", "pattern=^work$", 'definition={"max-length": 4}'),
    ("vhost_limit", "vhost=other", "name=max-queues", "value=1"),
)

DELETED = (
    ("binding", "source=logs", "destination=work", "destination_type=queue", "properties_key=a.%23"),
    ("queue", "name=work"), ("queue", "name=votes"), ("queue", "name=brief"),
    ("exchange", "name=logs"), ("exchange", "name=all"),
    ("policy", "name=short"), ("operator_policy", "name=limit"),
    ("parameter", "component=federation-upstream", "name=far"),
    ("permission", "vhost=other", "user=reader"), ("vhost_limit", "vhost=other", "name=max-queues"),
    ("user", "name=reader"), ("vhost", "name=other"),
)


def declare():
    for noun, *words in DECLARED:
        answer = admin("declare", noun, *words)
        if answer != f"{noun} declared":
            raise SystemExit(f"{noun} {words}: {answer}")
    expect("declared", len(DECLARED), 15)


def lists():
    """Looks at every noun that was declared."""
    for noun, columns, want in (
            ("queues", ("vhost", "name", "durable", "type"), [
                {"vhost": "/", "name": "brief", "durable": False, "type": "classic"},
                {"vhost": "/", "name": "votes", "durable": True, "type": "quorum"},
                {"vhost": "/", "name": "work", "durable": True, "type": "classic"}]),
            ("vhosts", ("name",), [{"name": "/"}, {"name": "other"}]),
            ("policies", ("name", "definition", "priority", "apply-to"), [
                {"name": "short", "definition": {"max-length": 5}, "priority": 3,
                 "apply-to": "queues"}]),
            ("operator_policies", ("name", "definition"), [
                {"name": "limit", "definition": {"max-length": 4}}]),
            ("vhost_limits", ("vhost", "value"), [{"vhost": "other", "value": {"max-queues": 1}}])):
        rows = [{c: row[c] for c in columns} for row in listed(noun, *columns)
                if row.get("vhost") != "other" or noun == "vhost_limits"]
        expect(noun, sorted(rows, key=lambda row: row.get("name", "")), want)
    exchanges = {e["name"]: e["type"] for e in listed("exchanges")}
    expect("exchanges", [exchanges.get(name) for name in ("logs", "all", "")],
           ["topic", "fanout", "direct"])
    bindings = sorted((b["source"], b["destination"], b["destination_type"], b["properties_key"])
                      for b in listed("bindings") if b["source"])
    headers, *rest = bindings
    expect("bindings", (headers[:3], rest), (("amq.headers", "work", "queue"), [
        ("logs", "all", "exchange", "%23"), ("logs", "work", "queue", "a.%23")]))
    users = {u["name"]: u["tags"] for u in listed("users")}
    expect("users", users, {"guest": ["administrator"], "reader": ["monitoring"]})
    of_reader, = (p for p in listed("permissions") if p["user"] == "reader")
    expect("permissions", tuple(of_reader[p] for p in ("configure", "write", "read")),
           ("", "", ".*"))
    parameters = [p for p in listed("parameters") if p["name"] == "far"]
    expect("parameters", parameters[0]["value"], {"uri": "amqp://far"})
    expect("nodes", [n["running"] for n in listed("nodes", "running")], [True])
    expect("table", [line for line in admin("list", "queues", "name").splitlines() if "vot" in line],
           ["| votes |"])


def messages():
    for number in range(6):
        expect("published", admin("publish", "exchange=logs", "routing_key=a.b",
                                  f"payload={number}", 'properties={"delivery_mode": 2}'),
               "Message published")
    expect("unrouted", admin("publish", "exchange=logs", "routing_key=nowhere", "payload=x"),
           "Message published but NOT routed")
    # The operator's limit of 4 holds against the policy's 5 and the queue's own 10.
    rows = listed("queues", "name", "messages", "policy", "operator_policy")
    work, = (row for row in rows if row["name"] == "work")
    expect("policy", (work["messages"], work["policy"], work["operator_policy"]),
           (4, "short", "limit"))

    def got(*more):
        rows = json.loads(admin("-f", "raw_json", "get", "queue=work", *more))
        return [(m["payload"], m["redelivered"], m["message_count"]) for m in rows]

    expect("looked", got("count=2", "ackmode=ack_requeue_true"), [("2", False, 3), ("3", False, 2)])
    expect("got", got("ackmode=ack_requeue_false"), [("2", True, 3)])
    expect("rejected", got("ackmode=reject_requeue_false"), [("3", True, 2)])
    expect("purged", admin("purge", "queue", "name=work"), "queue purged")
    expect("empty", got(), [])
    admin("publish", "routing_key=work", "payload=aGVsbG8=", "payload_encoding=base64")
    expect("base64", got("ackmode=ack_requeue_false"), [("hello", False, 0)])


def live():
    """Looks at a connection and ends it."""
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        host=HOST, port=int(os.environ["HUB_AMQP"]), client_properties={"connection_name": "mine"}))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=7)
    channel.basic_consume("work", lambda *_: None, consumer_tag="tag")
    mine, = listed("connections", "name", "user", "channels", "protocol")
    expect("connection", (mine["user"], mine["channels"], mine["protocol"]),
           ("guest", 1, "AMQP 0-9-1"))
    row, = listed("channels", "name", "consumer_count")
    expect("channel", (row["name"], row["consumer_count"]) == (mine["name"] + " (1)", 1), True)
    consumer, = listed("consumers", "queue.name", "consumer_tag", "prefetch_count")
    expect("consumer", (consumer["queue"]["name"], consumer["consumer_tag"],
                        consumer["prefetch_count"]), ("work", "tag", 7))
    expect("closed", admin("close", "connection", "name=" + mine["name"]), "connection closed")
    try:
        connection.process_data_events(time_limit=WAIT)
        raise SystemExit("the connection lives on")
    except pika.exceptions.ConnectionClosedByBroker as error:
        expect("heard", (error.reply_code, error.reply_text),
               (320, "CONNECTION_FORCED - Closed via management plugin"))


def permissions():
    reader = ("-u", "reader", "-p", "secret", "-V", "other")
    admin("-V", "other", "declare", "queue", "name=one")
    expect("as reader", [q["name"] for q in listed("queues", "name", options=reader)], ["one"])
    refused("no write", "*** Access refused",
            *reader, "publish", "routing_key=one", "payload=x")
    refused("no administrator", "*** Access refused: /api/users", *reader, "list", "users")
    refused("wrong password", "*** Access refused",
            "-u", "reader", "-p", "guess", "show", "overview")
    refused("limit", "cannot declare queue 'two': queue limit in vhost 'other' (1) is reached",
            "-V", "other", "declare", "queue", "name=two")
    refused("unlike", "inequivalent arg 'durable' for queue 'work' in vhost '/': "
            "received 'false' but current is 'true'",
            "declare", "queue", "name=work", "durable=false")
    refused("absent", "*** Not found: /api/queues/%2F/absent", "delete", "queue", "name=absent")


def definitions():
    """Everything that was exported and deleted is there again."""
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "definitions.json")
        expect("exported", admin("export", file).startswith("Exported definitions"), True)
        delete()
        expect("imported", admin("import", file).startswith("Uploaded definitions"), True)
    lists()
    reader = ("-u", "reader", "-p", "secret", "-V", "other")
    expect("as reader", [q["name"] for q in listed("queues", "name", options=reader)], ["one"])


def delete():
    for noun, *words in DELETED:
        answer = admin("delete", noun, *words)
        if answer != f"{noun} deleted":
            raise SystemExit(f"{noun} {words}: {answer}")
    expect("deleted", len(DELETED), 13)
    expect("left", [row for noun in ("queues", "policies", "operator_policies", "parameters",
                                     "vhost_limits") for row in listed(noun)], [])


def main():
    overview, = listed("overview")
    expect("overview", overview["object_totals"]["queues"], 0)
    for task in declare, lists, messages, live, permissions, definitions, delete:
        task()


main()
