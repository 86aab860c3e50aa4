# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

# What bunny's users do every day. Prints a line for each task, with what came back; ends with an
# error when it is something else.

require "bunny"
require "timeout"

WAIT = 20 # seconds for anything that must come

def say(text)
  puts text
  $stdout.flush
end

def expect(name, value, want)
  abort "#{name}: #{value.inspect} instead of #{want.inspect}" unless value == want
  say "#{name} #{value}"
end

def connect(**options)
  Bunny.new(host: ENV.fetch("HUB_HOST"), port: Integer(ENV.fetch("HUB_AMQP")),
            log_level: :fatal, **options).start
end

# come waits for what another thread puts into a queue.
def come(queue)
  Timeout.timeout(WAIT) { queue.pop }
end

def hello(connection)
  channel = connection.create_channel
  queue = channel.queue("bunny-hello", durable: true)
  queue.publish("hello", persistent: true, message_id: "1", timestamp: 1_700_000_000,
                headers: { "n" => 1, "deep" => { "list" => [true, 1, "two"] } })
  delivery, properties, body = queue.pop(manual_ack: true)
  expect("hello", body, "hello")
  expect("properties", [properties.message_id, properties.timestamp.to_i, properties.headers],
         ["1", 1_700_000_000, { "n" => 1, "deep" => { "list" => [true, 1, "two"] } }])
  channel.ack(delivery.delivery_tag)
  expect("empty", queue.pop, [nil, nil, nil])
  channel.close
end

def confirms(connection)
  channel = connection.create_channel
  channel.confirm_select
  full = channel.queue("bunny-full", durable: true, arguments: {
    "x-max-length" => 1, "x-overflow" => "reject-publish"
  })
  100.times { channel.default_exchange.publish("x", routing_key: "bunny-nowhere") }
  expect("confirmed", channel.wait_for_confirms, true)
  2.times { |n| full.publish(n.to_s, persistent: true) }
  expect("full", channel.wait_for_confirms, false)
  expect("nacked", channel.nacked_set.to_a, [102])
  expect("purged", [full.message_count, full.purge.message_count], [1, 0])
  channel.close
end

def returns(connection)
  channel = connection.create_channel
  returned = Queue.new
  exchange = channel.default_exchange
  exchange.on_return { |info, _, body| returned.push([info.reply_code, info.reply_text, body]) }
  exchange.publish("lost", routing_key: "bunny-no", mandatory: true)
  expect("returned", come(returned), [312, "NO_ROUTE", "lost"])
  channel.close
end

def routing(connection)
  channel = connection.create_channel
  topic, fanout = channel.topic("bunny-topic"), channel.fanout("bunny-fanout")
  headers = channel.headers("bunny-headers")
  fanout.bind(topic, routing_key: "to.fanout.#")
  got = Queue.new
  channel.queue("", exclusive: true).bind(topic, routing_key: "*.error")
         .subscribe { |delivery, _, body| got.push(["topic", delivery.routing_key, body]) }
  channel.queue("", exclusive: true).bind(fanout)
         .subscribe { |delivery, _, body| got.push(["fanout", delivery.routing_key, body]) }
  channel.queue("", exclusive: true)
         .bind(headers, arguments: { "x-match" => "any", "os" => "linux", "cores" => 8 })
         .subscribe { |_, _, body| got.push(["headers", "", body]) }
  topic.publish("a", routing_key: "a.info")
  topic.publish("b", routing_key: "b.error")
  expect("topic", come(got), ["topic", "b.error", "b"])
  topic.publish("c", routing_key: "to.fanout.x")
  expect("bound exchange", come(got), ["fanout", "to.fanout.x", "c"])
  headers.publish("d", headers: { "os" => "none", "cores" => 4 })
  headers.publish("e", headers: { "os" => "none", "cores" => 8 })
  expect("headers", come(got), ["headers", "", "e"])
  [topic, fanout, headers].each(&:delete)
  channel.close
end

# A work queue: prefetch 1, what fails is given back, then goes to the dead letters.
def working(connection)
  channel = connection.create_channel
  channel.prefetch(1)
  dead = channel.queue("bunny-dead", durable: true)
  work = channel.queue("bunny-work", durable: true, arguments: {
    "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => dead.name,
    "x-max-priority" => 5
  })
  [[0, "low"], [5, "bad"], [3, "mid"]].each { |p, body| work.publish(body, priority: p) }
  done = Queue.new
  consumer = work.subscribe(manual_ack: true) do |delivery, _, body|
    if body != "bad"
      channel.ack(delivery.delivery_tag)
    elsif delivery.redelivered?
      channel.reject(delivery.delivery_tag, false)
    else
      channel.nack(delivery.delivery_tag, false, true)
    end
    done.push(body)
  end
  expect("worked", Array.new(4) { come(done) }, %w[bad bad mid low])
  consumer.cancel
  _, properties, body = dead.pop
  death = properties.headers["x-death"].first
  expect("dead", [body, death["queue"], death["reason"]], %w[bad bunny-work rejected])
  channel.close
end

def rpc(connection)
  service, asking = connection.create_channel, connection.create_channel
  service.queue("bunny-doubler").subscribe do |_, properties, body|
    service.default_exchange.publish(body * 2, routing_key: properties.reply_to,
                                     correlation_id: properties.correlation_id)
  end
  answers = Queue.new
  asking.basic_consume("amq.rabbitmq.reply-to", "", true) do |_, properties, body|
    answers.push([properties.correlation_id, body])
  end
  asking.default_exchange.publish("ab", routing_key: "bunny-doubler", correlation_id: "c",
                                  reply_to: "amq.rabbitmq.reply-to")
  expect("answer", come(answers), %w[c abab])
  [service, asking].each(&:close)
end

def cancelled(connection)
  channel = connection.create_channel
  queue = channel.queue("bunny-gone")
  cancelled = Queue.new
  queue.subscribe(on_cancellation: ->(*) { cancelled.push("cancelled") }) { |*| nil }
  connection.create_channel.queue_delete(queue.name)
  say come(cancelled)
  channel.close
end

def errors(connection)
  {
    Bunny::NotFound => ->(ch) { ch.queue("bunny-absent", passive: true) },
    Bunny::AccessRefused => ->(ch) { ch.queue("amq.bunny") },
    Bunny::PreconditionFailed => ->(ch) { ch.queue("bunny-full", durable: false) },
    Bunny::ResourceLocked => ->(ch) { ch.queue("bunny-mine", exclusive: false) }
  }.each do |kind, declare|
    other = connect
    other.create_channel.queue("bunny-mine", exclusive: true)
    begin
      declare.call(connection.create_channel)
      abort "#{kind} was not raised"
    rescue kind => e
      say "#{kind} #{e.channel_close.reply_code}"
    end
    other.close
  end
  channel = connection.create_channel
  failed = Queue.new
  channel.on_error { |_, close| failed.push(close.reply_text) }
  channel.ack(82)
  expect("channel error", come(failed), "PRECONDITION_FAILED - unknown delivery tag 82")
  expect("still open", connection.open?, true)
end

def transaction(connection)
  channel = connection.create_channel
  queue = channel.queue("bunny-tx")
  channel.tx_select
  queue.publish("taken back")
  channel.tx_rollback
  queue.publish("kept")
  channel.tx_commit
  expect("transaction", [queue.message_count, queue.pop.last], [1, "kept"])
  channel.close
end

# The hub is killed: connection, channel, queues, bindings and consumers come back by themselves.
def restart
  completed = Queue.new
  connection = connect(network_recovery_interval: 0.1, recovery_attempts: 100,
                       recovery_completed: -> { completed.push(true) })
  channel = connection.create_channel
  fanout = channel.fanout("bunny-restart-fanout")
  kept = channel.queue("bunny-restart", durable: true)
  got = Queue.new
  channel.queue("", exclusive: true).bind(fanout).subscribe { |_, _, body| got.push([body]) }
  kept.subscribe(manual_ack: true) do |delivery, _, body|
    got.push([body, delivery.redelivered?])
    channel.ack(delivery.delivery_tag) if delivery.redelivered?
  end
  channel.confirm_select
  kept.publish("before", persistent: true)
  channel.wait_for_confirms # on disk
  expect("first", come(got), ["before", false])
  say "restart"
  come(completed)
  expect("second", come(got), ["before", true])
  fanout.publish("after")
  expect("third", come(got), ["after"])
  connection.close
end

connection = connect(heartbeat: 1)
%i[hello confirms returns routing working rpc cancelled errors transaction].each do |task|
  send(task, connection)
end
connection.close
restart
