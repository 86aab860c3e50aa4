// SPDX-License-Identifier: Apache-2.0

package interop

import "testing"

// TestDailyAMQP: publishing with confirms, nacks and returns, routing, working with
// dead letters and priorities, asking, cancels by the hub, refusals, transactions, and
// a killed hub, each as far as its client has it.
func TestDailyAMQP(t *testing.T) {
	t.Parallel()
	runScripts(t, pikaDaily(), aioPikaDaily(), bunnyDaily(), phpDaily(), amqplibDaily())
}

func pikaDaily() script {
	return script{
		client: client{"pika", []string{python, "python/pika_daily.py"}, nil},
		queues: []string{"pika-full", "pika-restart"},
		says: []string{
			"nacked", "returned (312, 'NO_ROUTE')", "fits ['fits']",
			"return [('NO_ROUTE', b'lost')]", "direct ['directk']", "fanout ['fanoutany']",
			"topic ['topiclog.a.error']", "headers ['headers']", "empty (None, None, None)",
			"got (b'one', 1, False)", "got again (b'one', 1, True)", "purged 1",
			"dead (b'late', 'm', 'pika-brief', 'expired')", "asked by True",
			"answer ('c', b'abab')", "worked [True]", "rest 0", "cancelled ['watcher']",
			"absent 404", "reserved 403", "unlike 406", "still open True",
			"transaction b'kept'", "heartbeat True", "confirmed 0", "in order True",
			"cancelled by the hub True", "closed (200, 'done')", "first (b'before', False)",
			restartLine, "second (b'before', True)",
		},
	}
}

func aioPikaDaily() script {
	return script{
		client: client{"aio-pika", []string{python, "python/aio_pika_daily.py"}, nil},
		queues: []string{"aio-full", "aio-process", "aio-dead", "aio-kept"},
		says: []string{
			"topic ['kernel.error', 'cron.error']", "full", "unroutable", "fits b'fits'",
			"nothing left None", "failed, redelivered False", "failed, redelivered True",
			"dead rejected", "transaction b'kept'", "rolled back None", "answers 40425",
			"failure no", "nobody", "tasks [0, 1, 2]", "first (b'before', False)",
			restartLine, "second (b'before', True)", "third b'after'",
		},
	}
}

func bunnyDaily() script {
	return script{
		client: client{"bunny", []string{"ruby", "ruby/bunny_daily.rb"}, nil},
		queues: []string{"bunny-hello", "bunny-full", "bunny-work", "bunny-dead", "bunny-restart"},
		says: []string{
			"hello hello",
			`properties ["1", 1700000000, {"n"=>1, "deep"=>{"list"=>[true, 1, "two"]}}]`,
			"empty [nil, nil, nil]", "confirmed true", "full false", "nacked [102]",
			"purged [1, 0]", `returned [312, "NO_ROUTE", "lost"]`,
			`topic ["topic", "b.error", "b"]`, `bound exchange ["fanout", "to.fanout.x", "c"]`,
			`headers ["headers", "", "e"]`, `worked ["bad", "bad", "mid", "low"]`,
			`dead ["bad", "bunny-work", "rejected"]`, `answer ["c", "abab"]`, "cancelled",
			"Bunny::NotFound 404", "Bunny::AccessRefused 403", "Bunny::PreconditionFailed 406",
			"Bunny::ResourceLocked 405",
			"channel error PRECONDITION_FAILED - unknown delivery tag 82", "still open true",
			`transaction [1, "kept"]`, `first ["before", false]`, restartLine,
			`second ["before", true]`, `third ["after"]`,
		},
	}
}

func phpDaily() script {
	hello := []string{
		`hello "hello"`,
		`properties ["text\/plain",{"n":1,"deep":{"list":["a","b"],"yes":true}}]`, "empty null",
	}
	says := append(hello[:3:3],
		`confirms {"acked":["fits","lost"],"nacked":["does not"],"returned":["312 NO_ROUTE lost"]}`,
		`fits ["fits"]`, "batch 5050", `topic ["log","log.a.b"]`, `headers ["a is 1"]`,
		`worked ["bad","bad","mid","low"]`, `dead ["bad","php-work","rejected"]`,
		`answer ["c","abab"]`, `answer ["c","abab"]`, "error 404", "error 403", "error 406",
		"still open true", `transaction "kept"`)
	says = append(says, hello...)
	return script{
		client: client{"php-amqplib", []string{"php", "php/amqplib_daily.php"}, nil},
		queues: []string{"php-hello", "php-full", "php-work", "php-dead", "php-restart"},
		says:   append(says, `first ["before",false]`, restartLine, `second ["before",true]`),
	}
}

func amqplibDaily() script {
	return script{
		client: client{"amqplib", []string{"node", "node/amqplib_daily.js"}, nil},
		queues: []string{"node-hello", "node-full", "node-work", "node-dead", "node-restart"},
		says: []string{
			`hello "hello"`, `properties ["m",1700000000,"text/plain",2]`, "empty false",
			"fits null", `full "message nacked"`, `returned ["NO_ROUTE","lost"]`,
			`purged {"messageCount":1}`, `topic ["node-topic","logged"]`,
			`alternate ["node-lost","unrouted"]`, `headers ["node-headers","yes"]`,
			`worked ["bad","bad","mid","low"]`, `dead ["bad","node-work","rejected"]`,
			`expired "late"`, `answers [["1","abab"],["2","abab"]]`, "cancelled null",
			"error 404", "error 404", "error 403", "error 406",
			`still open {"queue":"node-full","messageCount":0,"consumerCount":0}`,
			`callback get ["0",49]`, "callback consume 1225", "callback error 404",
			`first ["before",false]`, restartLine, `second ["before",true]`,
		},
	}
}
