// SPDX-License-Identifier: Apache-2.0

package doortest

import (
	"slices"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// Driver joins a door to the scenarios.
type Driver struct {
	Features Features
	// Format is the door's; nil for the heart itself.
	Format broker.Format
	// Serve starts the door; what it starts ends with the test.
	Serve func(tb testing.TB, s Setup) Door
	// Peer makes of a client of the heart one that has bodies as the door's clients write and read them;
	// nil: bodies pass as they are.
	Peer func(c Client) Client
}

// Setup is what a door is started with.
type Setup struct {
	Broker *broker.Broker
	// Login says whether a user may come in.
	Login func(user, password string) error
	// BodyBytes bounds a message body; 0 is the door's default.
	BodyBytes int
}

// Door is a door that serves.
type Door interface {
	// Connect logs a client in. It ends with the test.
	Connect(tb testing.TB, who Account) (Client, error)
	// Shutdown tells the clients that the hub stops, and returns when the door has ended.
	Shutdown()
}

// scenario is one thing that every door must do.
type scenario struct {
	name string
	run  func(t *testing.T, d Driver)
}

// Run plays every scenario with a door.
func Run(t *testing.T, d Driver) {
	t.Helper()
	d.Features.check(t)
	all := slices.Concat(queueScenarios(), topicScenarios(), callScenarios(), gatherScenarios(),
		failureScenarios(), propertyScenarios(), permissionScenarios(), limitScenarios(),
		alarmScenarios(), shutdownScenarios())
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, d)
		})
	}
}
