# SPDX-License-Identifier: Apache-2.0
"""A Celery application as its users write one: the worker runs it, celery_daily.py asks it.

RESULTS is the directory where Celery's file backend keeps results.
"""
import os
import signal
import threading

from celery import Celery
from celery.signals import worker_ready

BROKER = "amqp://guest:guest@{HUB_HOST}:{HUB_AMQP}//".format(**os.environ)

app = Celery("interop", broker=BROKER, backend="file://" + os.environ["RESULTS"])
app.conf.update(
    result_chord_retry_interval=0.2,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_redirect_stdouts=False,
    worker_send_task_events=True,
)


def say(text):
    print(text, flush=True)


@worker_ready.connect
def ready(**_):
    say("ready")


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def flaky(self):
    """Succeeds at the third attempt."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task(bind=True, acks_late=True)
def hang(self):
    """Never ends when it is delivered for the first time."""
    if self.request.delivery_info["redelivered"]:
        return "redelivered"
    say("hanging")
    threading.Event().wait()


@app.task(bind=True, acks_late=True)
def die(self):
    """Takes its process with it when it is delivered for the first time."""
    if not self.request.delivery_info["redelivered"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return "redelivered"
