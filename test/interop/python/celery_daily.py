# SPDX-License-Identifier: Apache-2.0
"""Asks the workers of celery_app.py for what Celery's users ask for every day.

tasks | leave | result ID TEXT | add | purge OTHERS
Prints a line for each task, with what came back; ends with an error when it is something else.
"""
import sys
import time

from celery import chain, chord, group
from celery.events import EventReceiver
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

import celery_app as worker
from celery_app import app, say

WAIT = 20  # seconds for anything that must come


def got(result):
    return result.get(timeout=WAIT, interval=0.02)


def expect(name, value, want):
    if value != want:
        raise SystemExit(f"{name}: {value!r} instead of {want!r}")
    say(f"{name} {value}")


def add():
    expect("add", got(worker.add.delay(2, 3)), 5)


def retry():
    expect("retry", got(worker.flaky.delay()), 2)


def countdown():
    start = time.time()
    expect("countdown", got(worker.add.apply_async((1, 1), countdown=1)), 2)
    expect("in time", time.time() - start >= 1, True)


def canvas():
    expect("chain", got(chain(worker.add.s(1, 2), worker.add.s(4))()), 7)
    expect("group", sum(got(group(worker.add.s(i, i) for i in range(50))())), 2450)
    expect("chord", got(chord([worker.add.s(i, i) for i in range(10)])(worker.total.s())), 90)


def control():
    expect("ping", [list(a.values()) for a in app.control.ping(timeout=WAIT, limit=1)],
           [[{"ok": "pong"}]])
    inspect = app.control.inspect(timeout=WAIT, limit=1)
    queues, = inspect.active_queues().values()
    expect("active queues", [q["name"] for q in queues], ["celery"])
    stats, = inspect.stats().values()
    expect("added at least once", stats["total"]["celery_app.add"] > 0, True)


def revoke():
    waiting = worker.add.apply_async((1, 1), countdown=1)
    hanging = worker.hang.delay()
    for result, terminate in (waiting, False), (hanging, True):
        answers = app.control.revoke(
            result.id, terminate=terminate, signal="SIGKILL", reply=True, timeout=WAIT, limit=1)
        expect("answers", len(answers), 1)
        try:
            raise SystemExit(f"a revoked task returned {got(result)!r}")
        except TaskRevokedError:
            say("revoked")


class Watcher(EventReceiver):
    """Asks for a task when it hears the workers, and stops when that task is done."""

    def __init__(self, connection):
        super().__init__(connection, app=app, handlers={"*": self.heard})
        self.result, self.kinds = None, []

    def on_consume_ready(self, *args, **kwargs):
        super().on_consume_ready(*args, **kwargs)
        self.result = worker.add.delay(1, 2)

    def heard(self, event):
        if event.get("uuid") != self.result.id:
            return
        self.kinds.append(event["type"])
        self.should_stop = event["type"] == "task-succeeded"


def events():
    with app.connection_for_read() as connection:
        watcher = Watcher(connection)
        watcher.capture(timeout=WAIT, wakeup=False)
        expect("events", " ".join(watcher.kinds), "task-received task-started task-succeeded")


def many_waiting():
    """Tasks that wait for their time keep no others away, though they are more than the worker
    may have at once: it asks for a higher limit each time."""
    for i in range(6):
        worker.add.apply_async((0, i), countdown=3600)
    expect("behind 6 that wait", got(worker.add.delay(20, 22)), 42)


def lost():
    expect("process lost", got(worker.die.delay()), "redelivered")


def leave():
    say(worker.hang.delay().id)


def result(task, text):
    expect("result", got(AsyncResult(task, app=app)), text)


def purge(others):
    worker.add.delay(1, 1)
    worker.add.delay(1, 1)
    expect("purged", app.control.purge() - int(others), 2)


def tasks():
    for task in (add, retry, countdown, canvas, control, revoke, events, lost, many_waiting):
        task()


commands = {f.__name__: f for f in (tasks, add, leave, result, purge)}
commands[sys.argv[1]](*sys.argv[2:])
