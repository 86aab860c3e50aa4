// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-ipc/parley/internal/broker"
	wire "github.com/parley-ipc/parley/internal/wire/stomp"
)

// TestCloudEventAttributes: rest.md, CloudEvents, the attributes of an event are ce-NAME here, whatever its
// sender calls them, and cloudEvents_NAME for everybody else.
func TestCloudEventAttributes(t *testing.T) {
	t.Parallel()
	p := broker.Properties{Set: broker.HasHeaders, Headers: broker.Table{
		{Name: "cloudEvents_specversion", Value: "1.0"},
		{Name: "cloudEvents_id", Value: "7"},
		{Name: "cloudEvents:source", Value: "/shop"},
		{Name: "cloudEvents:type", Value: "order.placed"},
		{Name: "cloudEvents_time", Value: broker.Timestamp(1_764_410_400)},
		{Name: "cloudEvents_sequence", Value: int32(3)},
		{Name: "cloudevents_id", Value: "no attribute"},
	}}
	d := &broker.Delivery{Message: &broker.Message{Format: other{p: p}}}
	want := map[string]string{
		"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/shop", "ce-type": "order.placed",
		"ce-time": "2025-11-29T10:00:00Z", "ce-sequence": "3", "cloudevents_id": "no attribute",
	}
	for _, v := range []wire.Version{wire.V10, wire.V11, wire.V12} {
		lines, err := appendMessageHeaders(nil, v, d)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, headersOf(t, v, lines)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", v, diff)
		}
	}
	decode := func(raw string) broker.Table {
		var p broker.Properties
		if err := (Format{}).Decode([]byte("\x00"+raw), &p); err != nil {
			t.Fatal(err)
		}
		return p.Headers
	}
	if diff := cmp.Diff(broker.Table{
		{Name: "cloudEvents_id", Value: "7"},
		{Name: "cloudEvents_specversion", Value: "1.0"},
		{Name: "x", Value: "y"},
	}, decode("ce-id:7\nce-specversion:1.0\nx:y\n")); diff != "" {
		t.Errorf("an event (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(broker.Table{{Name: "ce-id", Value: "7"}}, decode("ce-id:7\n")); diff != "" {
		t.Errorf("no event (-want +got):\n%s", diff)
	}
}
