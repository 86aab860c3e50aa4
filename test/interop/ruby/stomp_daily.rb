# SPDX-License-Identifier: Apache-2.0
# frozen_string_literal: true

# What ruby-stomp's users do every day, with its client and its connection. Prints a line for each
# task, with what came back; ends with an error when it is something else.

require "stomp"
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

# come waits for what another thread puts into a queue.
def come(queue)
  Timeout.timeout(WAIT) { queue.pop }
end

def settings(version, **options)
  {
    hosts: [{ login: "guest", passcode: "guest",
              host: ENV.fetch("HUB_HOST"), port: Integer(ENV.fetch("HUB_STOMP")) }],
    reliable: false,
    connect_headers: { "accept-version" => version, "host" => "/", "heart-beat" => "1000,1000" },
    **options
  }
end

def client(version = "1.2", **options)
  Stomp::Client.new(settings(version, **options))
end

# send_safely waits for the receipt.
def send_safely(client, destination, body, headers = {})
  receipts = Queue.new
  client.publish(destination, body, headers) { |receipt| receipts << receipt.command }
  command = come(receipts)
  abort "a receipt is #{command}" unless command == "RECEIPT"
end

# Sends and works; what fails is given back once, then goes to the dead letters.
def work(version)
  client = client(version)
  place, dead = "/queue/ruby-#{version}", "/queue/ruby-dead-#{version}"
  got, lost = Queue.new, Queue.new
  client.subscribe(dead, id: "2") { |message| lost << message }
  client.subscribe(place, id: "1", ack: "client-individual", "prefetch-count" => 1,
                          "x-dead-letter-exchange" => "",
                          "x-dead-letter-routing-key" => dead.delete_prefix("/queue/")) do |message|
    got << message
  end
  value = "a:b\nd \\"
  send_safely(client, place, "good", persistent: true, "my-header" => value)
  send_safely(client, place, "bad", persistent: true)
  message = come(got)
  expect(version, [message.body, message.headers["my-header"] == value], ["good", true])
  client.ack(message)
  client.nack(come(got))
  message = come(got)
  expect("again", [message.body, message.headers["redelivered"]], ["bad", "true"])
  client.nack(message, "requeue" => "false")
  expect("dead", come(lost).body, "bad")
  client.close
end

def octets
  client, got = client(), Queue.new
  client.subscribe("/queue/ruby-octets", id: "1") { |message| got << message }
  body = (0..255).to_a.pack("C*")
  send_safely(client, "/queue/ruby-octets", body, "content-type" => "application/x-all")
  message = come(got)
  expect("octets", [message.body.b == body, message.headers["content-type"]],
         [true, "application/x-all"])
  client.close
end

def topic
  readers, got = [client, client], Queue.new
  readers.each do |reader|
    subscribed = Queue.new
    reader.subscribe("/topic/ruby.*", id: "1") { |message| got << message.body }
    # A receipt for another frame says that this one was taken too.
    reader.publish("/queue/ruby-octets", "x", "expiration" => "1") { subscribed << true }
    come(subscribed)
  end
  sender = client
  send_safely(sender, "/topic/ruby.news", "goal")
  expect("topic", [come(got), come(got)], %w[goal goal])
  [*readers, sender].each(&:close)
end

def transactions
  client, got = client(), Queue.new
  client.subscribe("/queue/ruby-tx", id: "1") { |message| got << message.body }
  %w[abort commit].each do |ending|
    client.begin(ending)
    client.publish("/queue/ruby-tx", ending, transaction: ending)
    client.publish("/queue/ruby-tx", "second #{ending}", transaction: ending)
    client.public_send(ending, ending)
  end
  expect("transaction", [come(got), come(got)], ["commit", "second commit"])
  client.close
end

def asking
  service, asker, answers = client, client, Queue.new
  service.subscribe("/queue/ruby-doubler", id: "1", ack: "client-individual") do |message|
    service.publish(message.headers["reply-to"], message.body * 2,
                    "correlation-id" => message.headers["correlation-id"])
    service.ack(message)
  end
  asker.subscribe("/queue/ruby-answers", id: "2") do |message|
    answers << [message.body, message.headers["correlation-id"]]
  end
  asker.publish("/queue/ruby-doubler", "ab", "reply-to" => "/queue/ruby-answers",
                                             "correlation-id" => "c")
  expect("answer", come(answers), %w[abab c])
  [service, asker].each(&:close)
end

# With a connection instead of a client frames are read in turn.
def connection
  connection = Stomp::Connection.new(settings("1.1"))
  expect("protocol", connection.protocol, "1.1")
  connection.subscribe("/queue/ruby-connection", id: "1", ack: "client")
  3.times { |n| connection.publish("/queue/ruby-connection", n.to_s) }
  messages = Array.new(3) { Timeout.timeout(WAIT) { connection.receive } }
  expect("in turn", messages.map(&:body), %w[0 1 2])
  connection.ack(messages.last.headers["message-id"], subscription: "1") # and all before
  connection.disconnect(receipt: "bye")
  expect("bye", connection.disconnect_receipt.headers["receipt-id"], "bye")
end

def refused
  connection = Stomp::Connection.new(settings("1.2"))
  connection.publish("/nowhere/x", "lost")
  message = Timeout.timeout(WAIT) { connection.receive }
  expect("refused", [message.command, message.headers["message"]], ["ERROR", "Unknown destination"])
  wrong = settings("1.2")
  wrong[:hosts].first[:passcode] = "wrong"
  message = Stomp::Connection.new(wrong).connection_frame
  expect("login", [message.command, message.headers["message"]], ["ERROR", "Bad CONNECT"])
end

# A reliable client connects again by itself after the hub was killed, and subscribes again.
def restart
  client = client("1.2", reliable: true, max_reconnect_delay: 0.2)
  got = Queue.new
  client.subscribe("/queue/ruby-restart", id: "1", ack: "client-individual") do |message|
    got << message
  end
  send_safely(client, "/queue/ruby-restart", "before", persistent: true)
  message = come(got)
  expect("first", [message.body, message.headers["redelivered"]], %w[before false])
  say "restart"
  message = come(got)
  expect("second", [message.body, message.headers["redelivered"]], %w[before true])
  client.ack(message)
  client.close
end

%w[1.1 1.2].each { |version| work(version) }
octets
topic
transactions
asking
connection
refused
restart
