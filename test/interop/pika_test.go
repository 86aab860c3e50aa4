// SPDX-License-Identifier: Apache-2.0

package interop

import "testing"

// TestPika publishes, routes, asks and works with both of pika's connections.
func TestPika(t *testing.T) {
	t.Parallel()
	d := newDaily(t, client{"pika", []string{python, "python/pika_daily.py"}, nil})
	d.says(t, []string{
		"nacked", "returned (312, 'NO_ROUTE')", "fits ['fits']", "return [('NO_ROUTE', b'lost')]",
		"direct ['directk']", "fanout ['fanoutany']", "topic ['topiclog.a.error']",
		"headers ['headers']", "empty (None, None, None)", "got (b'one', 1, False)",
		"got again (b'one', 1, True)", "purged 1",
		"dead (b'late', 'm', 'pika-brief', 'expired')", "asked by True", "answer ('c', b'abab')",
		"worked [True]", "rest 0", "cancelled ['watcher']", "absent 404", "reserved 403",
		"unlike 406", "still open True", "transaction b'kept'", "heartbeat True", "confirmed 0",
		"in order True", "cancelled by the hub True", "closed (200, 'done')",
		"first (b'before', False)", restartLine, "second (b'before', True)",
	})
	for _, queue := range []string{"pika-full", "pika-restart"} { // the others were transient
		mustBeEmpty(t, d.hub, queue)
	}
}

// TestAioPika routes, works and asks with aio-pika, whose robust connection finds the
// hub again and declares everything once more.
func TestAioPika(t *testing.T) {
	t.Parallel()
	d := newDaily(t, client{"aio-pika", []string{python, "python/aio_pika_daily.py"}, nil})
	d.says(t, []string{
		"topic ['kernel.error', 'cron.error']", "full", "unroutable", "fits b'fits'",
		"nothing left None", "failed, redelivered False", "failed, redelivered True",
		"dead rejected", "transaction b'kept'", "rolled back None", "answers 40425",
		"failure no", "nobody", "tasks [0, 1, 2]", "first (b'before', False)", restartLine,
		"second (b'before', True)", "third b'after'",
	})
	for _, queue := range []string{"aio-full", "aio-process", "aio-dead", "aio-kept"} {
		mustBeEmpty(t, d.hub, queue)
	}
}
