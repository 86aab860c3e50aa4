// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"testing"

	"github.com/parley-ipc/parley"
)

// TestProductVersion: who calls itself RabbitMQ has a version that its clients can read.
func TestProductVersion(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		p    Product
		want string
	}{
		{Product{}, parley.Version()},
		{Product{Product: "RabbitMQ"}, "3.13.7"},
		{Product{Product: "RabbitMQ", Version: "4.1.0"}, "4.1.0"},
		{Product{Product: "other"}, parley.Version()},
	} {
		if got := tc.p.version(); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.p, got, tc.want)
		}
	}
}
