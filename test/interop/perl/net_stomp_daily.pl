# SPDX-License-Identifier: Apache-2.0

# What Net::Stomp's users do every day. Prints a line for each task, with what came back; ends with
# an error when it is something else.

use strict;
use warnings;

use Net::Stomp;

use constant WAIT => 20;    # seconds for anything that must come

$| = 1;

sub say { print "$_[0]\n" }

sub expect {
    my ($name, $value, $want) = @_;
    die "$name: $value instead of $want\n" if $value ne $want;
    say("$name $value");
}

sub connected {
    my ($version, %more) = @_;
    my $stomp = Net::Stomp->new({
        hostname => $ENV{HUB_HOST}, port => $ENV{HUB_STOMP}, timeout => WAIT,
        %more,
    });
    my %login = (login => 'guest', passcode => 'guest', host => '/');
    $login{'accept-version'} = $version if $version ne '1.0';
    my $frame = $stomp->connect(\%login);
    expect('connected', $frame->command . ' ' . $frame->headers->{version}, "CONNECTED $version");
    return $stomp;
}

sub received {
    my ($stomp) = @_;
    return $stomp->receive_frame // die "nothing came\n";
}

sub sent {
    my ($stomp, $destination, $body, %headers) = @_;
    $stomp->send_with_receipt({
        destination => $destination, body => $body, 'content-length' => length $body, %headers,
    }) or die "no receipt for $destination\n";
}

# Acknowledges, or gives back; STOMP 1.2 wants the value of the header ack.
sub settle {
    my ($stomp, $how, $frame) = @_;
    my $id = $frame->headers->{ack};
    $stomp->$how({ frame => $frame, defined $id ? (id => $id) : () });
}

# Sends and works, each on a connection of its own as the module wants it.
sub work {
    my ($version) = @_;
    my $place = "/queue/perl-$version";
    my $sender = connected($version);
    my $octets = join '', map { chr } 0 .. 255;
    sent($sender, $place, $octets, persistent => 'true', 'my-header' => 'mine');
    sent($sender, $place, 'two', persistent => 'true');
    $sender->disconnect;

    my $worker = connected($version);
    my %subscription = (destination => $place, id => '1', 'prefetch-count' => 1);
    $worker->subscribe({ %subscription, ack => 'client' });
    my $frame = received($worker);
    expect('octets', ($frame->body eq $octets) . $frame->headers->{'my-header'}, '1mine');
    settle($worker, 'ack', $frame);
    $frame = received($worker);
    expect('in turn', $frame->body . ' ' . $frame->headers->{redelivered}, 'two false');
    if ($version ne '1.0') {
        settle($worker, 'nack', $frame);
        $frame = received($worker);
        expect('again', $frame->body . ' ' . $frame->headers->{redelivered}, 'two true');
    }
    settle($worker, 'ack', $frame);
    $worker->disconnect;
}

sub topic {
    my @readers = map { connected('1.1') } 1 .. 2;
    $_->subscribe({ destination => '/topic/perl.#', id => '1', receipt => 'r' }) for @readers;
    expect('subscribed', received($_)->headers->{'receipt-id'}, 'r') for @readers;
    my $sender = connected('1.1');
    sent($sender, '/topic/perl.news', 'goal');
    expect('topic', received($_)->body, 'goal') for @readers;
    $_->disconnect for @readers, $sender;
}

# send_transactional is for brokers that send the receipt before the COMMIT; RabbitMQ and parley send
# it when the message is safe, behind it.
sub transactions {
    my $stomp = connected('1.1');
    $stomp->subscribe({ destination => '/queue/perl-tx', id => '1' });
    for my $end ('ABORT', 'COMMIT') {
        my %in = (transaction => "t-$end");
        frame($stomp, 'BEGIN', %in);
        $stomp->send({ destination => '/queue/perl-tx', body => "$_ $end", %in }) for 'one', 'two';
        frame($stomp, $end, %in, receipt => $end);
        expect('ended', received($stomp)->headers->{'receipt-id'}, $end) if $end eq 'ABORT';
    }
    my %got;
    for (1 .. 3) {    # two messages and the receipt, which may overtake them
        my $frame = received($stomp);
        $got{$frame->command} .= '|' . ($frame->body || $frame->headers->{'receipt-id'});
    }
    expect('transaction', "$got{MESSAGE} $got{RECEIPT}", '|one COMMIT|two COMMIT |COMMIT');
    $stomp->disconnect;
}

sub frame {
    my ($stomp, $command, %headers) = @_;
    $stomp->send_frame(Net::Stomp::Frame->new({ command => $command, headers => \%headers }));
}

sub asking {
    my ($service, $asker) = (connected('1.1'), connected('1.2'));
    $asker->send({
        destination => '/queue/perl-doubler', body => 'ab',
        'reply-to' => '/temp-queue/answers', 'correlation-id' => 'c',
    });
    $service->subscribe({ destination => '/queue/perl-doubler', id => '1' });
    my $question = received($service);
    $service->send({
        destination => $question->headers->{'reply-to'}, body => $question->body x 2,
        'correlation-id' => $question->headers->{'correlation-id'},
    });
    my $answer = received($asker);
    expect('answer', $answer->body . ' ' . $answer->headers->{'correlation-id'}, 'abab c');
    $_->disconnect for $service, $asker;
}

sub refused {
    my $stomp = connected('1.2');
    my $ok = $stomp->send_with_receipt({ destination => '/nowhere/x', body => 'lost' }, my $frame);
    expect('refused', ($ok ? 'taken' : $frame->command) . ' ' . $frame->headers->{message},
        'ERROR Unknown destination');
    my $wrong = Net::Stomp->new({ hostname => $ENV{HUB_HOST}, port => $ENV{HUB_STOMP} });
    $frame = $wrong->connect({ login => 'guest', passcode => 'wrong' });
    expect('login', $frame->command . ' ' . $frame->headers->{message}, 'ERROR Bad CONNECT');
}

# After the hub was killed the module connects and subscribes again by itself. It subscribes twice when
# a connection that the dying hub still took was lost in between, and then hears an ERROR.
sub restart {
    my $stomp = connected('1.1', reconnect_attempts => 0, connect_delay => 1);
    sent($stomp, '/queue/perl-restart', 'before', persistent => 'true');
    $stomp->subscribe({ destination => '/queue/perl-restart', id => '1', ack => 'client' });
    my $frame = received($stomp);
    expect('first', $frame->body . ' ' . $frame->headers->{redelivered}, 'before false');
    say('restart');
    local $SIG{ALRM} = sub { die "no message and receipt\n" };
    alarm WAIT;
    my ($message, $acknowledged) = ('', 0);
    until ($acknowledged) {
        $frame = $stomp->receive_frame // next;    # the connection was lost
        if ($frame->command eq 'MESSAGE') {
            $message = $frame->body . ' ' . $frame->headers->{redelivered};
            $stomp->ack({ frame => $frame, receipt => 'acknowledged' });
        }
        $acknowledged = $frame->command eq 'RECEIPT';
    }
    alarm 0;
    expect('second', $message, 'before true');
    $stomp->disconnect;
}

work($_) for '1.0', '1.1', '1.2';
topic();
transactions();
asking();
refused();
restart();
