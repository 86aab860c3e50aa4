<?php
// SPDX-License-Identifier: Apache-2.0

// What php-amqplib's users do every day. Prints a line for each task, with what came back; ends
// with an error when it is something else.

declare(strict_types=1);

require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Connection\AMQPSocketConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPIOException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const WAIT = 20; // seconds for anything that must come

function say(string $text): void
{
    fwrite(STDOUT, $text . "\n");
}

function expect(string $name, mixed $value, mixed $want): void
{
    if ($value !== $want) {
        fwrite(STDERR, "$name: " . json_encode($value) . ' instead of ' . json_encode($want) . "\n");
        exit(1);
    }
    say("$name " . json_encode($value));
}

/** A connection with a heartbeat of two seconds, over PHP's streams or sockets. */
function connect(string $class = AMQPStreamConnection::class): AbstractConnection
{
    $where = [getenv('HUB_HOST'), getenv('HUB_AMQP'), 'guest', 'guest', '/'];
    if ($class === AMQPSocketConnection::class) {
        return new $class(...$where, heartbeat: 2, read_timeout: 4, write_timeout: 4);
    }
    return new $class(...$where, heartbeat: 2, read_write_timeout: 4);
}

function persistent(string $body, array $more = []): AMQPMessage
{
    return new AMQPMessage($body, ['delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT] + $more);
}

/** Consumes so many messages, acknowledges them and returns their bodies. */
function take(AMQPChannel $channel, string $queue, int $count): array
{
    $bodies = [];
    $tag = $channel->basic_consume($queue, callback: function (AMQPMessage $m) use (&$bodies) {
        $bodies[] = $m->body;
        $m->ack();
    });
    while (count($bodies) < $count) {
        $channel->wait(null, false, WAIT);
    }
    $channel->basic_cancel($tag);
    return $bodies;
}

function hello(AbstractConnection $connection): void
{
    $channel = $connection->channel();
    $channel->queue_declare('php-hello', durable: true, auto_delete: false);
    $table = new AMQPTable(['n' => 1, 'deep' => ['list' => ['a', 'b'], 'yes' => true]]);
    $channel->basic_publish(persistent('hello', [
        'content_type' => 'text/plain', 'application_headers' => $table,
    ]), '', 'php-hello');
    $message = $channel->basic_get('php-hello');
    expect('hello', $message->body, 'hello');
    expect('properties', [$message->get('content_type'),
        $message->get('application_headers')->getNativeData()], ['text/plain',
        ['n' => 1, 'deep' => ['list' => ['a', 'b'], 'yes' => true]]]);
    $message->ack();
    expect('empty', $channel->basic_get('php-hello'), null);
    $channel->close();
}

function confirms(AbstractConnection $connection): void
{
    $channel = $connection->channel();
    $channel->queue_declare('php-full', durable: true, auto_delete: false, arguments: new AMQPTable([
        'x-max-length' => 1, 'x-overflow' => 'reject-publish',
    ]));
    $seen = ['acked' => [], 'nacked' => [], 'returned' => []];
    $channel->set_ack_handler(function (AMQPMessage $m) use (&$seen) {
        $seen['acked'][] = $m->body;
    });
    $channel->set_nack_handler(function (AMQPMessage $m) use (&$seen) {
        $seen['nacked'][] = $m->body;
    });
    $channel->set_return_listener(function ($code, $text, $_exchange, $_key, $m) use (&$seen) {
        $seen['returned'][] = "$code $text $m->body";
    });
    $channel->confirm_select();
    $channel->basic_publish(persistent('fits'), '', 'php-full', true);
    $channel->basic_publish(persistent('does not'), '', 'php-full', true);
    $channel->basic_publish(new AMQPMessage('lost'), '', 'php-no', true);
    $channel->wait_for_pending_acks_returns(WAIT);
    sort($seen['acked']);
    expect('confirms', $seen, ['acked' => ['fits', 'lost'], 'nacked' => ['does not'],
        'returned' => ['312 NO_ROUTE lost']]);
    expect('fits', take($channel, 'php-full', 1), ['fits']);

    foreach (range(1, 100) as $number) {
        $channel->batch_basic_publish(new AMQPMessage((string) $number), '', 'php-hello');
    }
    $channel->publish_batch();
    $channel->wait_for_pending_acks_returns(WAIT);
    $channel->basic_qos(0, 10, false);
    expect('batch', array_sum(take($channel, 'php-hello', 100)), 5050);
    $channel->close();
}

function routing(AbstractConnection $connection): void
{
    $channel = $connection->channel();
    $channel->exchange_declare('php-topic', 'topic', auto_delete: true);
    [$queue] = $channel->queue_declare('', exclusive: true);
    $channel->queue_bind($queue, 'php-topic', 'log.#');
    foreach (['audit.x', 'log', 'log.a.b'] as $key) {
        $channel->basic_publish(new AMQPMessage($key), 'php-topic', $key);
    }
    expect('topic', take($channel, $queue, 2), ['log', 'log.a.b']);
    $channel->exchange_declare('php-headers', 'headers', auto_delete: true);
    [$queue] = $channel->queue_declare('', exclusive: true); // the other was deleted with its consumer
    $channel->queue_bind($queue, 'php-headers', arguments: new AMQPTable(['x-match' => 'all', 'a' => 1]));
    foreach ([2, 1] as $a) {
        $channel->basic_publish(new AMQPMessage("a is $a", [
            'application_headers' => new AMQPTable(['a' => $a]),
        ]), 'php-headers');
    }
    expect('headers', take($channel, $queue, 1), ['a is 1']);
    $channel->close();
}

/** What fails is given back once, then goes to the dead letters; urgent work comes first. */
function working(AbstractConnection $connection): void
{
    $channel = $connection->channel();
    $channel->queue_declare('php-dead', durable: true, auto_delete: false);
    $channel->queue_declare('php-work', durable: true, auto_delete: false, arguments: new AMQPTable([
        'x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => 'php-dead',
        'x-max-priority' => 5,
    ]));
    foreach ([['low', 0], ['bad', 5], ['mid', 3]] as [$body, $priority]) {
        $channel->basic_publish(persistent($body, ['priority' => $priority]), '', 'php-work');
    }
    $channel->basic_qos(0, 1, false);
    $done = [];
    $tag = $channel->basic_consume('php-work', callback: function (AMQPMessage $m) use (&$done) {
        $done[] = $m->body;
        if ($m->body !== 'bad') {
            $m->ack();
        } elseif ($m->isRedelivered()) {
            $m->reject(false);
        } else {
            $m->nack(true);
        }
    });
    while (count($done) < 4) {
        $channel->wait(null, false, WAIT);
    }
    $channel->basic_cancel($tag);
    expect('worked', $done, ['bad', 'bad', 'mid', 'low']);
    $dead = $channel->basic_get('php-dead', true);
    $death = $dead->get('application_headers')->getNativeData()['x-death'][0];
    expect('dead', [$dead->body, $death['queue'], $death['reason']], ['bad', 'php-work', 'rejected']);
    $channel->close();
}

function rpc(AbstractConnection $connection): void
{
    $service = $connection->channel();
    $service->queue_declare('php-doubler', auto_delete: false);
    $service->basic_consume('php-doubler', callback: function (AMQPMessage $m) use ($service) {
        $service->basic_publish(new AMQPMessage($m->body . $m->body, [
            'correlation_id' => $m->get('correlation_id'),
        ]), '', $m->get('reply_to'));
        $m->ack();
    });
    foreach (['amq.rabbitmq.reply-to', ''] as $address) {
        $asking = $connection->channel();
        if ($address === '') {
            [$address] = $asking->queue_declare('', exclusive: true);
        }
        $answer = null;
        $asking->basic_consume($address, no_ack: true, callback: function ($m) use (&$answer) {
            $answer = [$m->get('correlation_id'), $m->body];
        });
        $asking->basic_publish(new AMQPMessage('ab', [
            'reply_to' => $address, 'correlation_id' => 'c',
        ]), '', 'php-doubler');
        $service->wait(null, false, WAIT);
        while ($answer === null) {
            $asking->wait(null, false, WAIT);
        }
        expect('answer', $answer, ['c', 'abab']);
        $asking->close();
    }
    $service->close();
}

function errors(AbstractConnection $connection): void
{
    foreach ([
        404 => fn ($channel) => $channel->queue_declare('php-absent', passive: true),
        403 => fn ($channel) => $channel->queue_declare('amq.php'),
        406 => fn ($channel) => $channel->queue_declare('php-full', durable: false),
    ] as $code => $declare) {
        try {
            $declare($connection->channel());
            expect('error', null, $code);
        } catch (AMQPProtocolChannelException $e) {
            expect('error', $e->amqp_reply_code, $code);
        }
    }
    expect('still open', $connection->isConnected(), true);
}

function transaction(AbstractConnection $connection): void
{
    $channel = $connection->channel();
    $channel->queue_declare('php-tx', auto_delete: false);
    $channel->tx_select();
    $channel->basic_publish(new AMQPMessage('taken back'), '', 'php-tx');
    $channel->tx_rollback();
    $channel->basic_publish(new AMQPMessage('kept'), '', 'php-tx');
    $channel->tx_commit();
    expect('transaction', $channel->basic_get('php-tx', true)->body, 'kept');
    $channel->queue_delete('php-tx');
    $channel->close();
}

/** The hub is killed: the connection is made again, and what was not acknowledged comes again. */
function restart(): void
{
    $connection = connect();
    $channel = $connection->channel();
    $channel->queue_declare('php-restart', durable: true, auto_delete: false);
    $channel->confirm_select();
    $channel->basic_publish(persistent('before'), '', 'php-restart');
    $channel->wait_for_pending_acks(WAIT); // on disk
    $got = [];
    $note = function (AMQPMessage $m) use (&$got) {
        $got = [$m->body, $m->isRedelivered(), $m];
    };
    $channel->basic_consume('php-restart', callback: $note);
    $channel->wait(null, false, WAIT);
    expect('first', array_slice($got, 0, 2), ['before', false]);
    say('restart');
    for ($alive = true; $alive;) {
        try {
            $channel->wait(null, false, WAIT);
        } catch (AMQPConnectionClosedException | AMQPIOException) {
            $alive = false;
        }
    }
    $deadline = microtime(true) + WAIT;
    for ($again = false; !$again;) {
        try {
            $connection->reconnect();
            $again = true;
        } catch (Exception $e) {
            if (microtime(true) > $deadline) {
                throw $e;
            }
            usleep(100_000); // as reconnecting programs do
        }
    }
    $channel = $connection->channel();
    $channel->basic_consume('php-restart', callback: $note);
    $channel->wait(null, false, WAIT);
    expect('second', array_slice($got, 0, 2), ['before', true]);
    $got[2]->ack();
    $connection->close();
}

$connection = connect();
foreach (['hello', 'confirms', 'routing', 'working', 'rpc', 'errors', 'transaction'] as $task) {
    $task($connection);
}
$connection->close();
$connection = connect(AMQPSocketConnection::class);
hello($connection);
$connection->close();
restart();
