// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"testing"
)

// celeryTasks is what celery_daily.py says about its tasks.
func celeryTasks() []string {
	return []string{
		"add 5", "retry 2", "countdown 2", "in time True",
		"chain 7", "group 2450", "chord 90",
		"ping [[{'ok': 'pong'}]]", "active queues ['celery']", "added at least once True",
		"answers 1", "revoked", "answers 1", "revoked",
		"events task-received task-started task-succeeded",
		"process lost redelivered", "behind 6 that wait 42",
	}
}

// TestCelery runs tasks with results, retries, countdowns, chords, control and
// events; then it kills the worker in the middle of a task, and the hub. Celery asks
// RabbitMQ for another kind of prefetch limit than any other product.
func TestCelery(t *testing.T) {
	t.Parallel()
	const waiting = 6 // tasks for an hour later, which no worker has done
	for product, hubEnv := range products() {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			results := []string{"RESULTS=" + t.TempDir()}
			d := newDaily(t, client{
				"celery", []string{python, "python/celery_daily.py"}, results,
			}, hubEnv...)
			worker := client{"celery worker", []string{
				python, "-m", "celery", "--quiet", "--workdir", "python", "-A", "celery_app",
				"worker", "--concurrency", "2", "--loglevel", "INFO",
			}, results}
			first := worker.begin(t, d.hub)
			d.says(t, celeryTasks(), "tasks")

			id := d.run(t, d.hub, "leave")[0]
			if line := first.Line(t); line != "hanging" {
				t.Fatalf("the worker says %q", line)
			}
			first.Kill()
			mustHold(t, d.hub, "celery", waiting+1)
			second := worker.begin(t, d.hub)
			d.says(t, []string{"result redelivered"}, "result", id, "redelivered")

			d.restart(t)
			d.says(t, []string{"add 5"}, "add")
			second.Stop(t)
			d.says(t, []string{"purged 2"}, "purge", fmt.Sprint(waiting))
			mustBeEmpty(t, d.hub, "celery")
		})
	}
}
