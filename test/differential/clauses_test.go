// SPDX-License-Identifier: Apache-2.0

package differential

// A clause is one thing that the AMQP door promises, with what holds it: the steps at which parley is
// compared with RabbitMQ, and tests of parley alone for what cannot be compared. docs/amqp-0-9-1.md
// shows this table; TestClausesPage writes it.
type clause struct {
	part, name string
	// scripts are whole scripts, or `script: step` for one step of one.
	scripts []string
	// tests are of parley alone.
	tests string
	// alone says why there are no steps.
	alone string
}

// clauses is the one table.
func clauses() []clause {
	list := connectionClauses()
	list = append(list, channelClauses()...)
	list = append(list, queueClauses()...)
	list = append(list, basicClauses()...)
	return append(list, errorClauses()...)
}

func connectionClauses() []clause {
	const part = "connection"
	return []clause{
		{part, "protocol header", []string{"raw header", "raw handshake: TLS hello"}, "TestProtocolHeader", ""},
		{part, "limits before login", []string{"raw handshake"}, "TestSecLimitsBeforeLogin, TestFailurePause", ""},
		{part, "start: mechanisms, locale, properties", []string{
			"raw start: mechanisms", "raw start: locales", "raw start: properties",
		}, "TestServerProperties, TestMechanisms", ""},
		{part, "capabilities", []string{"raw start: capabilities"}, "", ""},
		{part, "tune: what is offered, lower values win", []string{
			"raw tune: as offered: offer", "raw tune: smaller", "channel: tuned", "channel: frame 4096",
		}, "TestTune", ""},
		{part, "tune-ok outside the limits", []string{
			"raw tune: no frame limit", "raw tune: frame too small", "raw tune: frame too large",
			"raw tune: no channel limit", "raw tune: too many channels",
		}, "TestTune", ""},
		{part, "frame too large, 8 octets of tolerance", []string{"raw limits", "raw frames: too large"}, "TestSecFrames", ""},
		{part, "heartbeats", []string{"raw heartbeat", "raw frames: heart-beat on a channel"}, "TestSecA8Silence, TestIdle", ""},
		{part, "login refused, with and without the capability", []string{
			"raw login: wrong password", "raw login: wrong password, told", "login",
		}, "TestSecA12Login", ""},
		{part, "mechanism unknown or not offered", []string{
			"raw login: unknown mechanism", "raw login: mechanism not offered",
		}, "TestSecA12Login", ""},
		{
			part, "guest from loopback only", nil, "TestSecA11GuestFromElsewhere",
			"both brokers run on loopback",
		},
		{part, "virtual host: default, empty, unknown, refused", []string{
			"raw open", "login: unknown vhost", "permissions: no permission in the virtual host",
		}, "TestOpen", ""},
		{part, "limits of connections", []string{"vhost limits", "user limits"}, "TestSecConnectionLimit", ""},
		{part, "channels: negotiated, of a user", []string{
			"raw limits: one channel too many", "user limits: channel 3 of 2",
		}, "TestSecA6ChannelMax", ""},
		{
			part, "consumers of a channel", nil, "TestSecLimitsAfterLogin",
			"RabbitMQ 3.10 has no such limit",
		},
		{part, "queues of a virtual host", []string{"vhost limits: queue 3 of 2"}, "", ""},
		{part, "blocked and unblocked by an alarm", []string{"alarm"}, "TestBlocked, TestBlockedForcedClose", ""},
		{part, "a blocked socket is not read, close included", []string{
			"alarm: the close is answered at the end",
		}, "TestSuiteAMQP091Go", ""},
		{part, "update-secret", []string{"raw connection: update-secret"}, "TestUpdateSecret", ""},
		{part, "close: exclusive queues first", []string{"queue lifetime: exclusive after close"}, "TestConnectionClose", ""},
		{part, "forced close and its reason, the client's name", []string{"forced close"}, "TestForcedClose", ""},
	}
}

func channelClauses() []clause {
	const part = "channel and exchange"
	return []clause{
		{part, "open twice, method before open", []string{"raw channels"}, "TestSecFrames", ""},
		{part, "discarded until close-ok, number free at once", []string{
			"raw channels: purge of an absent queue", "publish errors: connection lives", "channel: churn",
		}, "TestDiscardAfterClose", ""},
		{part, "flow", []string{"channel: flow on", "channel: flow off", "raw methods: channel.flow"}, "", ""},
		{part, "access.request", []string{"raw methods: access.request"}, "TestSmallMethods", ""},
		{part, "nowait", []string{
			"raw nowait", "raw return: bind without an answer", "raw return: delete without an answer",
		}, "TestNoWait", ""},
		{part, "order and size of content; unknown methods", []string{"raw content", "raw methods", "raw frames"}, "TestSecFrames", ""},
		{part, "names: line ends, reserved ones", []string{
			"raw names", "queue declare: reserved name", "exchange declare: reserved",
		}, "TestNamesWithLineEnds", ""},
		{part, "predeclared exchanges", []string{
			"exchange declare: passive amq.match", "exchange declare: passive amq.rabbitmq.trace",
			"exchange details: publish to the trace",
		}, "", ""},
		{part, "exchange.declare, equivalence", []string{"exchange declare"}, "TestExchanges", ""},
		{part, "passive declaration", []string{
			"exchange declare: passive xd.none", "permissions: passive foreign exchange",
		}, "TestSecA10SidePaths", ""},
		{part, "exchange.delete", []string{"exchange delete"}, "TestExceptions", ""},
		{part, "exchange to exchange", []string{"exchange graph", "bind errors"}, "TestExchanges", ""},
		{part, "internal, auto-delete", []string{
			"exchange graph: publish to internal", "exchange graph: auto-delete gone",
			"exchange details: stays before its first binding", "exchange details: goes with the queue",
		}, "", ""},
		{part, "alternate exchange", []string{
			"exchange graph: fell through", "exchange details: a loop of alternates ends",
			"policies: by the policy's alternate",
		}, "", ""},
		{part, "headers exchange", []string{
			"route headers", "route headers x", "bind errors: bad x-match", "bind errors: x-match not text",
		}, "", ""},
		{part, "topic exchange", []string{"route topic"}, "", ""},
		{part, "direct and fanout exchange", []string{"route direct", "route fanout"}, "", ""},
		{
			part, "more types: x-consistent-hash, x-random, x-modulus-hash, x-recent-history",
			[]string{"plugin refusals", "plugin one queue", "plugin history"},
			"TestOneQueueExchanges, TestRecentHistory", "",
		},
		{
			part, "more types: x-delayed-message, x-local-random", nil,
			"TestDelayedMessage, TestOneQueueExchanges", "Debian's RabbitMQ has neither",
		},
		{part, "default exchange", []string{
			"route direct: one", "exchange declare: default", "exchange delete: default",
			"bind errors: default", "bind errors: unbind default",
		}, "", ""},
		{part, "CC and BCC", []string{
			"publish cc", "publish errors: CC not an array", "publish errors: BCC not an array",
		}, "TestCarbonCopies, TestDeathOfCopies", ""},
	}
}

func queueClauses() []clause {
	const part = "queue"
	return []clause{
		{part, "declare, made-up names, the last one declared", []string{"queue declare"}, "TestQueues", ""},
		{part, "passive", []string{
			"queue declare: passive", "queue declare: passive absent", "queue declare: passive elsewhere",
		}, "", ""},
		{part, "equivalence", []string{"queue inequivalent"}, "TestExceptions", ""},
		{part, "exclusive", []string{"queue declare: exclusive elsewhere"}, "TestExclusive", ""},
		{part, "auto-delete", []string{
			"queue lifetime: auto-delete unused stays", "queue lifetime: auto-delete after the last",
		}, "", ""},
		{part, "delete, purge, unbind", []string{"queue delete", "purge", "raw methods: queue.unbind absent"}, "", ""},
		{part, "arguments with bad values, of other types", []string{"queue arguments", "queue details"}, "", ""},
		{part, "message TTL, expiration", []string{
			"ttl", "publish errors: expiration text", "publish errors: expiration with unit",
		}, "", ""},
		{part, "x-expires", []string{
			"queue lifetime: expires when unused", "queue details: a used queue does not expire",
		}, "", ""},
		{part, "length limits, overflow", []string{"max length"}, "TestNack", ""},
		{part, "dead-letter exchange: permissions, key without one", []string{
			"permissions: dead letters to foreign", "queue arguments: key without dlx",
		}, "TestSecA10SidePaths", ""},
		{part, "priorities", []string{"priority", "queue arguments: max-priority too large"}, "", ""},
		{part, "single active consumer", []string{
			"single active", "consume details: get beside a single active consumer",
			"quorum: get beside a single active consumer",
		}, "TestQuorumSingleActive", ""},
		{part, "queue types", []string{
			"queue arguments: transient quorum", "queue arguments: type unknown",
			"queue details: exclusive quorum", "default queue type",
		}, "", ""},
		{part, "delivery limit, x-delivery-count", []string{
			"quorum: second try", "quorum: over the limit",
		}, "TestDeliveryCount", ""},
		{
			part, "acknowledgement timeout", nil, "TestAckTimeout",
			"RabbitMQ 3.10 looks once a minute, and has no x-consumer-timeout",
		},
		{part, "arguments of clusters and quorum queues", []string{
			"quorum: declare qu.args", "queue details: leader locator", "queue details: mirrors",
		}, "", ""},
		{part, "streams", []string{"queue details: transient stream"}, "", ""},
	}
}

func basicClauses() []clause {
	const part = "basic, confirm, tx"
	return []clause{
		{part, "publish to no exchange, too large", []string{
			"publish errors: absent exchange", "publish size",
		}, "TestPublishExceptions", ""},
		{part, "user-id, impersonator", []string{"user-id", "publish errors: foreign user-id"}, "", ""},
		{part, "mandatory, immediate", []string{
			"mandatory", "raw return: first the return", "raw return: then the confirm",
			"publish errors: immediate",
		}, "TestReturn", ""},
		{part, "confirms", []string{"confirms"}, "TestConfirms, TestAckCoversNoNack", ""},
		{part, "consume: tags, exclusive, no-local", []string{
			"consume", "consume errors", "raw consumers: tag used twice",
		}, "", ""},
		{part, "consumer priority, fair shares", []string{"consumer priority", "fair", "consume details: priority int64"}, "TestCompeting", ""},
		{part, "cancel", []string{"cancel", "raw consumers", "queue delete: consumer is told"}, "TestCancel", ""},
		{part, "get", []string{"get", "prefetch: get"}, "TestGet", ""},
		{part, "ack, nack, reject", []string{"ack", "ack errors", "consume details: ack all of nothing"}, "TestSettle", ""},
		{part, "requeue", []string{"requeue"}, "", ""},
		{part, "qos", []string{"prefetch", "prefetch global", "prefetch both"}, "TestQos, TestQosRaised", ""},
		{part, "recover", []string{"recover", "raw methods: basic.recover-async"}, "TestRecover", ""},
		{part, "tx", []string{"tx", "tx errors"}, "TestTx, TestTxFaults", ""},
		{part, "dead letters, x-death", []string{"dead letter", "dead letter copies", "ttl", "max length"}, "", ""},
		{part, "dead-letter cycles", []string{"dead letter cycle"}, "", ""},
		{part, "policies and operator policies", []string{"policies"}, "", ""},
		{part, "permissions", []string{"permissions"}, "TestSecA10SidePaths", ""},
		{part, "topic permissions", []string{"topic permissions"}, "", ""},
		{part, "field types and properties, octet by octet", []string{"raw fields", "publish properties"}, "TestSecA5FieldTypes, TestPropertiesEach", ""},
		{part, "direct reply-to", []string{"reply-to", "reply-to errors"}, "TestDirectReplyTo", ""},
		{
			part, "calls and gathers", nil, "TestCalls, TestGather",
			"they need parley's own headers",
		},
	}
}

func errorClauses() []clause {
	const part = "errors"
	return []clause{
		{part, "what a code closes, class and method", []string{"raw methods", "raw channels"}, "TestReplyCodes", ""},
		{part, "at most 255 octets", []string{"raw connection: text of at most 255 octets"}, "TestReplyText", ""},
		{part, "inequivalent arg", []string{
			"queue inequivalent: argument added", "queue inequivalent: argument changed",
			"queue inequivalent: durable", "exchange declare: other type",
		}, "", ""},
		{part, "locked", []string{"queue declare: plain elsewhere"}, "", ""},
		{part, "unknown delivery tag", []string{"ack errors"}, "", ""},
		{part, "unexpected frame", []string{
			"raw frames: heart-beat on a channel", "raw content: method instead of a header",
		}, "", ""},
		{part, "unexpected method in connection state running", []string{
			"raw connection: tune-ok once more", "raw connection: queue.declare on channel 0",
		}, "", ""},
	}
}
