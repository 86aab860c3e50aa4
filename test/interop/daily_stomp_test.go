// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"slices"
	"testing"
)

// TestDailySTOMP: sending with receipts, any octet and escaped headers, working with
// NACK and dead letters, topics, transactions, asking, refusals, heart-beats, and a
// killed hub, each as far as its client has it; stompjs over WebSocket too.
func TestDailySTOMP(t *testing.T) {
	t.Parallel()
	compressed := stompjsDaily("stompjs over WebSocket, compressed", "HUB_WEBSOCKET=1")
	compressed.hubEnv = []string{"PARLEY_DOORS__WEBSTOMP__COMPRESS=true"}
	runScripts(t, stompPyDaily(), rubyStompDaily(), netStompDaily(), phpStompDaily(),
		stompitDaily(), stompjsDaily("stompjs"),
		stompjsDaily("stompjs over WebSocket", "HUB_WEBSOCKET=1"), compressed)
}

func stompPyDaily() script {
	return script{
		client: client{"stomp.py", []string{python, "python/stomp_daily.py"}, nil},
		queues: []string{
			"stomp.py-1.0", "stomp.py-1.1", "stomp.py-1.2", "stomp.py-dead-1.2", "stomp.py-tx",
			"stomp.py-headers", "stomp.py-doubler", "stomp.py-restart",
		},
		says: []string{
			"1.0 ('good', '/queue/stomp.py-1.0', 'mine')", "given back bad",
			"1.1 ('good', '/queue/stomp.py-1.1', 'mine')", "given back bad",
			"again ('bad', 'true')", "dead bad",
			"1.2 ('good', '/queue/stomp.py-1.2', 'mine')", "given back bad",
			"again ('bad', 'true')", "dead bad",
			"headers (True, 'c', 'application/x-all')", "body True", "topic ['goal', 'goal']",
			"durable meanwhile", "transaction ['one commit', 'two commit']",
			"answer ('abab', 'c')", "refused Unknown destination", "refused not_found",
			"refused Invalid header", "login refused", "heart-beats True",
			"first ('before', 'false')", restartLine, "second ('before', 'true')",
		},
	}
}

func rubyStompDaily() script {
	return script{
		client: client{"ruby-stomp", []string{"ruby", "ruby/stomp_daily.rb"}, nil},
		queues: []string{
			"ruby-1.1", "ruby-1.2", "ruby-dead-1.2", "ruby-tx", "ruby-doubler", "ruby-answers",
			"ruby-connection", "ruby-restart",
		},
		says: []string{
			`1.1 ["good", true]`, `again ["bad", "true"]`, "dead bad",
			`1.2 ["good", true]`, `again ["bad", "true"]`, "dead bad",
			`octets [true, "application/x-all"]`, `topic ["goal", "goal"]`,
			`transaction ["commit", "second commit"]`, `answer ["abab", "c"]`, "protocol 1.1",
			`in turn ["0", "1", "2"]`, "bye bye", `refused ["ERROR", "Unknown destination"]`,
			`login ["ERROR", "Bad CONNECT"]`, `first ["before", "false"]`, restartLine,
			`second ["before", "true"]`,
		},
	}
}

func netStompDaily() script {
	connected := func(version string, times int) []string {
		return slices.Repeat([]string{"connected CONNECTED " + version}, times)
	}
	worked := []string{"octets 1mine", "in turn two false"}
	again := []string{"again two true"}
	return script{
		client: client{"Net::Stomp", []string{"perl", "perl/net_stomp_daily.pl"}, nil},
		queues: []string{
			"perl-1.0", "perl-1.1", "perl-1.2", "perl-tx", "perl-doubler", "perl-restart",
		},
		says: slices.Concat(
			connected("1.0", 2), worked, connected("1.1", 2), worked, again,
			connected("1.2", 2), worked, again,
			connected("1.1", 2), []string{"subscribed r", "subscribed r"},
			connected("1.1", 1), []string{"topic goal", "topic goal"},
			connected("1.1", 1),
			[]string{"ended ABORT", "transaction |one COMMIT|two COMMIT |COMMIT"},
			connected("1.1", 1), connected("1.2", 1), []string{"answer abab c"},
			connected("1.2", 1),
			[]string{"refused ERROR Unknown destination", "login ERROR Bad CONNECT"},
			connected("1.1", 1),
			[]string{"first before false", restartLine, "second before true"},
		),
	}
}

func phpStompDaily() script {
	sent := []string{"sent true", "sent true"}
	worked := []string{`in turn ["two","false"]`}
	again := []string{`again ["two","true"]`}
	return script{
		client: client{"php-stomp", []string{"php", "php/stomp_daily.php"}, nil},
		queues: []string{
			"php-1.0", "php-1.1", "php-1.2", "php-tx", "php-doubler", "php-restart",
		},
		says: slices.Concat(
			sent, []string{`1.0 [true,"mine"]`}, worked,
			sent, []string{`1.1 [true,"mine"]`}, worked, again,
			sent, []string{`1.2 [true,"mine"]`}, worked, again,
			[]string{
				"sent true", `topic "goal"`, `topic "goal"`, "abort true", "commit true",
				`transaction ["one commit","two commit"]`, `answer ["abab","c"]`,
				"refused false", `login "Bad CONNECT"`, "sent true",
				`first ["before","false"]`, restartLine, "lost [false,true]",
				`second ["before","true"]`,
			},
		),
	}
}

func stompitDaily() script {
	return script{
		client: client{"stompit", []string{"node", "node/stompit_daily.js"}, nil},
		queues: []string{
			"stompit-1.1", "stompit-1.2", "stompit-dead-1.2", "stompit-tx", "stompit-doubler",
			"stompit-restart",
		},
		says: []string{
			"1.1 true", `again ["bad","true"]`, `dead "bad"`,
			"1.2 true", `again ["bad","true"]`, `dead "bad"`,
			`topic ["goal","goal"]`, `transaction ["one commit","two commit"]`,
			`answer ["abab","c"]`, `refused "Unknown destination"`, `login "Bad CONNECT"`,
			`heart-beats "alive"`, `first ["before","false"]`, restartLine,
			`second ["before","true"]`,
		},
	}
}

func stompjsDaily(name string, env ...string) script {
	return script{
		client: client{name, []string{"node", "node/stompjs_daily.js"}, env},
		queues: []string{
			"stompjs-1.1", "stompjs-1.2", "stompjs-dead-1.2", "stompjs-tx", "stompjs-doubler",
			"stompjs-restart",
		},
		says: []string{
			`version "1.1"`, "first [true,true]", `again ["bad","true"]`, `dead "bad"`,
			`version "1.2"`, "first [true,true]", `again ["bad","true"]`, `dead "bad"`,
			`topic ["goal","goal"]`, "large true", "large true", `durable "meanwhile"`,
			`transaction ["one commit","two commit"]`, `answer ["abab","c"]`,
			`refused "Unknown destination"`, `login "Bad CONNECT"`, `heart-beats "alive"`,
			`first ["before","false"]`, restartLine, `second ["before","true"]`,
		},
	}
}
