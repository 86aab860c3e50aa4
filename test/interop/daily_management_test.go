// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"slices"
	"testing"
)

// TestDailyManagement: what administrators do with rabbitmqadmin, and what KEDA, flower
// and Nagios ask.
func TestDailyManagement(t *testing.T) {
	t.Parallel()
	runScripts(t, rabbitmqadminDaily(), watchersDaily())
}

func rabbitmqadminDaily() script {
	listed := []string{
		"queues [{'vhost': '/', 'name': 'brief', 'durable': False, 'type': 'classic'}, " +
			"{'vhost': '/', 'name': 'votes', 'durable': True, 'type': 'quorum'}, " +
			"{'vhost': '/', 'name': 'work', 'durable': True, 'type': 'classic'}]",
		"vhosts [{'name': '/'}, {'name': 'other'}]",
		"policies [{'name': 'short', 'definition': {'max-length': 5}, 'priority': 3, " +
			"'apply-to': 'queues'}]",
		"operator_policies [{'name': 'limit', 'definition': {'max-length': 4}}]",
		"vhost_limits [{'vhost': 'other', 'value': {'max-queues': 1}}]",
		"exchanges ['topic', 'fanout', 'direct']",
		"bindings (('amq.headers', 'work', 'queue'), " +
			"[('logs', 'all', 'exchange', '%23'), ('logs', 'work', 'queue', 'a.%23')])",
		"users {'guest': ['administrator'], 'reader': ['monitoring']}",
		"permissions ('', '', '.*')", "parameters {'uri': 'amqp://far'}", "nodes [True]",
		"table ['| votes |']",
	}
	deleted := []string{"deleted 13", "left []"}
	return script{
		client: client{"rabbitmqadmin", []string{python, "python/rabbitmqadmin_daily.py"}, nil},
		says: slices.Concat(
			[]string{"overview 0", "declared 15"}, listed,
			slices.Repeat([]string{"published Message published"}, 6),
			[]string{
				"unrouted Message published but NOT routed", "policy (4, 'short', 'limit')",
				"looked [('2', False, 3), ('3', False, 2)]", "got [('2', True, 3)]",
				"rejected [('3', True, 2)]", "purged queue purged", "empty []",
				"base64 [('hello', False, 0)]", "connection ('guest', 1, 'AMQP 0-9-1')",
				"channel True", "consumer ('work', 'tag', 7)", "closed connection closed",
				"heard (320, 'CONNECTION_FORCED - Closed via management plugin')",
				"as reader ['one']", "no write refused", "no administrator refused",
				"wrong password refused", "limit refused", "unlike refused", "absent refused",
				"exported True",
			},
			deleted, []string{"imported True"}, listed, []string{"as reader ['one']"}, deleted,
		),
	}
}

func watchersDaily() script {
	return script{
		client: client{"watchers", []string{python, "python/management_daily.py"}, nil},
		says: []string{
			"keda queue ['jobs-a', 5, 4, 1]", "keda rates [True, True]",
			"keda queues [('jobs-a', 5), ('jobs-b', 7)]", "keda pages (1, 2)",
			"keda name ['jobs-b']", "flower [['celery', 3, 3, 0, 0]]",
			"aliveness {'status': 'ok'}", "overview [15, 14, 1]",
			"server [True, True, True, True]", "watermark [False, False]",
			"cluster [(True, True, [])]", "connections ['running']", "queue [7, 7, 0, 0]",
			"exchange topic", "objects [1, 4, 7, 4, 1]", "alarms ok", "local-alarms ok",
			"virtual-hosts ok", "port-listener ok", "wrong password 401",
		},
	}
}
