<?php
// SPDX-License-Identifier: Apache-2.0

// What the users of PHP's stomp extension do every day. Prints a line for each task, with what came
// back; ends with an error when it is something else.

declare(strict_types=1);

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

function connect(string $version = '1.1', string $password = 'guest'): Stomp
{
    $stomp = new Stomp('tcp://' . getenv('HUB_HOST') . ':' . getenv('HUB_STOMP'), 'guest', $password,
        ['accept-version' => $version, 'host' => '/']);
    $stomp->setReadTimeout(WAIT);
    return $stomp;
}

function receive(Stomp $stomp): StompFrame
{
    $frame = $stomp->readFrame();
    if ($frame === false) {
        throw new RuntimeException('nothing came: ' . $stomp->error());
    }
    return $frame;
}

/** A receipt header lets send wait for it. */
function send_safely(Stomp $stomp, string $destination, string $body, array $headers = []): void
{
    static $number = 0;
    $headers += ['receipt' => 'r' . ++$number, 'persistent' => 'true'];
    expect('sent', $stomp->send($destination, $body, $headers), true);
}

function work(string $version): void
{
    $sender = connect($version);
    $octets = implode('', array_map('chr', range(0, 255)));
    send_safely($sender, "/queue/php-$version", $octets, ['my-header' => 'mine']);
    send_safely($sender, "/queue/php-$version", 'two');
    unset($sender); // disconnects

    $worker = connect($version);
    $worker->subscribe("/queue/php-$version", ['id' => '1', 'ack' => 'client', 'prefetch-count' => '1']);
    $settle = function (string $how, StompFrame $frame) use ($worker): void {
        $headers = ['subscription' => '1'] + array_intersect_key($frame->headers, ['ack' => true]);
        if (isset($headers['ack'])) { // STOMP 1.2
            $headers['id'] = $headers['ack'];
            unset($headers['ack']);
        }
        $worker->$how($frame, $headers);
    };
    $frame = receive($worker);
    expect($version, [$frame->body === $octets, $frame->headers['my-header']], [true, 'mine']);
    $settle('ack', $frame);
    $frame = receive($worker);
    expect('in turn', [$frame->body, $frame->headers['redelivered']], ['two', 'false']);
    if ($version !== '1.0') {
        $settle('nack', $frame);
        $frame = receive($worker);
        expect('again', [$frame->body, $frame->headers['redelivered']], ['two', 'true']);
    }
    $settle('ack', $frame);
}

function topic(): void
{
    $readers = [connect(), connect()];
    foreach ($readers as $reader) {
        $reader->subscribe('/topic/php.#', ['id' => '1', 'receipt' => 'subscribed']);
    }
    send_safely(connect(), '/topic/php.news', 'goal');
    foreach ($readers as $reader) {
        expect('topic', receive($reader)->body, 'goal');
    }
}

function transactions(): void
{
    $stomp = connect();
    $stomp->subscribe('/queue/php-tx', ['id' => '1', 'receipt' => 'subscribed', 'ack' => 'client']);
    foreach (['abort', 'commit'] as $end) {
        $stomp->begin($end);
        foreach (['one', 'two'] as $body) {
            $stomp->send('/queue/php-tx', "$body $end", ['transaction' => $end]);
        }
        expect($end, $stomp->$end($end, ['receipt' => $end]), true);
    }
    $bodies = [];
    while (count($bodies) < 2) {
        $frame = receive($stomp);
        $bodies[] = $frame->body;
        $stomp->ack($frame, ['subscription' => '1']);
    }
    expect('transaction', $bodies, ['one commit', 'two commit']);
}

function asking(): void
{
    [$service, $asker] = [connect(), connect()];
    $asker->send('/queue/php-doubler', 'ab', [
        'reply-to' => '/temp-queue/answers', 'correlation-id' => 'c',
    ]);
    $service->subscribe('/queue/php-doubler', ['id' => '1', 'ack' => 'client']);
    $question = receive($service);
    $service->send($question->headers['reply-to'], $question->body . $question->body, [
        'correlation-id' => $question->headers['correlation-id'],
    ]);
    $service->ack($question, ['subscription' => '1', 'receipt' => 'done']);
    $answer = receive($asker);
    expect('answer', [$answer->body, $answer->headers['correlation-id']], ['abab', 'c']);
}

function refused(): void
{
    try {
        $taken = connect()->send('/nowhere/x', 'lost', ['receipt' => 'r']);
        expect('refused', $taken, false);
    } catch (StompException $e) {
        expect('refused', $e->getMessage(), 'Unknown destination');
    }
    try {
        connect(password: 'wrong');
        expect('login', true, false);
    } catch (StompException $e) {
        expect('login', $e->getMessage(), 'Bad CONNECT');
    }
}

/** The hub is killed: a program connects again, and what was not acknowledged comes again. */
function restart(): void
{
    $stomp = connect();
    send_safely($stomp, '/queue/php-restart', 'before');
    $stomp->subscribe('/queue/php-restart', ['id' => '1', 'ack' => 'client']);
    $frame = receive($stomp);
    expect('first', [$frame->body, $frame->headers['redelivered']], ['before', 'false']);
    say('restart');
    $since = microtime(true);
    try {
        $frame = $stomp->readFrame();
    } catch (StompException) {
        $frame = false;
    }
    expect('lost', [$frame, microtime(true) - $since < WAIT], [false, true]);
    $deadline = microtime(true) + WAIT;
    for ($stomp = null; $stomp === null;) {
        try {
            $stomp = connect();
        } catch (StompException $e) {
            if (microtime(true) > $deadline) {
                throw $e;
            }
            usleep(100_000); // as reconnecting programs do
        }
    }
    $stomp->subscribe('/queue/php-restart', ['id' => '1', 'ack' => 'client']);
    $frame = receive($stomp);
    expect('second', [$frame->body, $frame->headers['redelivered']], ['before', 'true']);
    $stomp->ack($frame, ['subscription' => '1', 'receipt' => 'done']);
}

foreach (['1.0', '1.1', '1.2'] as $version) {
    work($version);
}
topic();
transactions();
asking();
refused();
restart();
