// SPDX-License-Identifier: Apache-2.0

package interop

import "testing"

// TestKombu produces, consumes, pools and reconnects. kombu takes prefetch limits of
// RabbitMQ for another kind than those of any other product.
func TestKombu(t *testing.T) {
	t.Parallel()
	for product, hubEnv := range products() {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			d := newDaily(t, client{
				"kombu", []string{python, "python/kombu_daily.py"}, nil,
			}, hubEnv...)
			qos := "per channel True"
			if product == "RabbitMQ" {
				qos = "per channel False"
			}
			d.says(t, []string{
				qos, "simple [0, 1, 2]", "simple rest 0", "topic [('a.ogv', 3, 'video.new')]",
				"redelivered [False, True]", "left 0", "pool [0, 1]",
				"priority [20, 9, 5, 5, 0]", "queue's ttl ['of the queue']",
				"message's ttl ['of the message']", "full", "fits ['fits']",
				"returned ['kombu-no']", "held back 3", "held back 2", "held [0, 1, 2, 3, 4]",
				"answer 42", "correlated True", "heartbeat True", restartLine,
				"survived [('before', False), ('before', True), ('after', False)]",
			})
			for _, queue := range []string{"kombu-simple", "kombu-priority", "kombu-dead"} {
				mustBeEmpty(t, d.hub, queue)
			}
		})
	}
}
