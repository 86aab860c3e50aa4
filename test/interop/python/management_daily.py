# SPDX-License-Identifier: Apache-2.0
"""What watches a broker through its management API: the calls of KEDA, of flower and of the Nagios
plugins, and what each of them reads of the answers.

Prints a line for each, with what came back; ends with an error when it is something else.
"""
import base64
import json
import os
import subprocess
import urllib.request
from urllib.parse import quote

import pika

HOST, PORT = os.environ["HUB_HOST"], os.environ["HUB_MANAGEMENT"]
WAIT = 20  # seconds for anything that must come


def say(text):
    print(text, flush=True)


def expect(name, value, want):
    if value != want:
        raise SystemExit(f"{name}: {value!r} instead of {want!r}")
    say(f"{name} {value}")


def get(path):
    """A request as a program makes it."""
    request = urllib.request.Request(f"http://{HOST}:{PORT}{path}", headers={
        "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode()})
    with urllib.request.urlopen(request, timeout=WAIT) as response:
        return json.load(response)


def curl(path):
    """A request as a script makes it."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--max-time", str(WAIT), "-u", "guest:guest",
         f"http://{HOST}:{PORT}{path}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{path}: {done.stderr}")
    return json.loads(done.stdout)


def number(value):
    """A number, and not a text or a bool."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SystemExit(f"{value!r} is no number")
    return value


def load():
    """Gives the tools something to see; the connection stays open meanwhile."""
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        host=HOST, port=int(os.environ["HUB_AMQP"])))
    channel = connection.channel()
    channel.confirm_delivery()
    for queue in "celery", "jobs-a", "jobs-b":
        channel.queue_declare(queue, durable=True)
    for queue, count in ("celery", 3), ("jobs-a", 5), ("jobs-b", 7):
        for _ in range(count):
            channel.basic_publish("", queue, "x", pika.BasicProperties(delivery_mode=2))
    channel.basic_get("jobs-a")  # stays unacknowledged
    return connection


def keda():
    """One queue by name, and many by an expression, with the vhost / as KEDA escapes it."""
    queue = get("/api/queues/%2F/jobs-a")
    expect("keda queue", [queue["name"], queue["messages"], queue["messages_ready"],
                          queue["messages_unacknowledged"]], ["jobs-a", 5, 4, 1])
    stats = queue["message_stats"]
    expect("keda rates", [number(stats[name]["rate"]) >= 0 for name in (
        "publish_details", "deliver_get_details")], [True, True])
    page = get("/api/queues/%2F?page=1&use_regex=true&pagination=false&name="
               + quote("^jobs-.*$", safe="") + "&page_size=100")
    expect("keda queues", sorted((q["name"], q["messages"]) for q in page["items"]),
           [("jobs-a", 5), ("jobs-b", 7)])
    expect("keda pages", (page["page_count"], page["filtered_count"]), (1, 2))
    page = get("/api/queues/%2F?page=1&use_regex=false&pagination=false&name=jobs-b&page_size=100")
    expect("keda name", [q["name"] for q in page["items"]], ["jobs-b"])


def flower():
    """The broker's tab."""
    rows = [q for q in get("/api/queues/%2F") if q["name"] == "celery"]
    expect("flower", [[q["name"], q["messages"], q["messages_ready"],
                       q["messages_unacknowledged"], q["consumers"]] for q in rows],
           [["celery", 3, 3, 0, 0]])


def nagios():
    """A check each: what it asks for, and what it compares with its thresholds."""
    expect("aliveness", curl("/api/aliveness-test/%2F"), {"status": "ok"})
    overview = curl("/api/overview")
    expect("overview", [overview["queue_totals"][name] for name in (
        "messages", "messages_ready", "messages_unacknowledged")], [15, 14, 1])
    node = curl("/api/nodes/" + quote(overview["node"], safe=""))
    expect("server", [0 < number(node[used]) <= number(node[most]) for used, most in (
        ("mem_used", "mem_limit"), ("fd_used", "fd_total"), ("proc_used", "proc_total"),
        ("sockets_used", "sockets_total"))], [True] * 4)
    expect("watermark", [node["mem_alarm"], node["disk_free_alarm"]], [False, False])
    expect("cluster", [(n["name"] == overview["node"], n["running"], n.get("partitions", []))
                       for n in curl("/api/nodes")], [(True, True, [])])
    expect("connections", [c["state"] for c in curl("/api/connections")], ["running"])
    queue = curl("/api/queues/%2F/jobs-b")
    expect("queue", [queue[name] for name in (
        "messages", "messages_ready", "messages_unacknowledged", "consumers")], [7, 7, 0, 0])
    expect("exchange", curl("/api/exchanges/%2F/amq.topic")["type"], "topic")
    # The aliveness test leaves its queue, as in RabbitMQ.
    expect("objects", [len(curl("/api/" + noun)) for noun in (
        "vhosts", "queues", "exchanges", "bindings", "channels")], [1, 4, 7, 4, 1])
    for check in "alarms", "local-alarms", "virtual-hosts", "port-listener/" + os.environ["HUB_AMQP"]:
        expect(check.split("/", maxsplit=1)[0], curl("/api/health/checks/" + check)["status"], "ok")
    done = subprocess.run(
        ["curl", "--silent", "--output", os.devnull, "--write-out", "%{http_code}", "-u",
         "guest:wrong", f"http://{HOST}:{PORT}/api/overview"],
        capture_output=True, text=True, timeout=WAIT, check=True)
    expect("wrong password", done.stdout, "401")


def main():
    connection = load()
    keda()
    flower()
    nagios()
    connection.close()


main()
