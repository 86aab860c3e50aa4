# SPDX-License-Identifier: Apache-2.0
"""Drives a hub with python3-pika; the commands are those of every peer script.

send QUEUE BODY... | consume QUEUE COUNT | publish TOPIC BODY | subscribe TOPIC COUNT
call SERVICE BODY | serve SERVICE COUNT
"""
import os
import sys

import pika

NAME = "pika"
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def say(text):
    print(text, flush=True)


def connect():
    return pika.BlockingConnection(pika.ConnectionParameters(
        host=os.environ["HUB_HOST"], port=int(os.environ["HUB_AMQP"])))


def send(channel, queue, *bodies):
    channel.queue_declare(queue, durable=True)
    channel.confirm_delivery()
    for body in bodies:
        channel.basic_publish("", queue, body, PERSISTENT, mandatory=True)
    say("sent")


def consume(channel, queue, count):
    channel.queue_declare(queue, durable=True)
    channel.basic_qos(prefetch_count=1)
    say("ready")
    left = int(count)
    for method, _, body in channel.consume(queue):
        say(body.decode())
        channel.basic_ack(method.delivery_tag)
        left -= 1
        if not left:
            break
    channel.cancel()


def publish(channel, topic, body):
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", topic, body)
    say("sent")


def subscribe(channel, topic, count):
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "amq.topic", topic)
    say("ready")
    left = int(count)
    for _, _, body in channel.consume(queue, auto_ack=True):
        say(body.decode())
        left -= 1
        if not left:
            break
    channel.cancel()


def call(channel, service, body):
    def answered(ch, _method, properties, answer):
        error = (properties.headers or {}).get("parley-error")
        say("error " + error if error else answer.decode())
        ch.stop_consuming()

    channel.basic_consume("amq.rabbitmq.reply-to", answered, auto_ack=True)
    channel.basic_publish("", service, body, pika.BasicProperties(
        reply_to="amq.rabbitmq.reply-to", correlation_id="1",
        headers={"parley-timeout": 10000}))
    channel.start_consuming()


def serve(channel, service, count):
    channel.queue_declare(service, durable=True)
    channel.basic_qos(prefetch_count=1)
    left = [int(count)]

    def asked(ch, method, properties, body):
        ch.basic_publish("", properties.reply_to, NAME + " heard " + body.decode(),
                         pika.BasicProperties(correlation_id=properties.correlation_id))
        ch.basic_ack(method.delivery_tag)
        left[0] -= 1
        if not left[0]:
            ch.stop_consuming()

    channel.basic_consume(service, asked)
    say("ready")
    channel.start_consuming()


def main():
    connection = connect()
    commands = {f.__name__: f for f in (send, consume, publish, subscribe, call, serve)}
    commands[sys.argv[1]](connection.channel(), *sys.argv[2:])
    connection.close()


main()
