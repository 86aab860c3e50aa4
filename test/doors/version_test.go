// SPDX-License-Identifier: Apache-2.0

package doors

import (
	"io"
	"net/http"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/hub"
)

// TestVersion: every door that says a version says the same one.
func TestVersion(t *testing.T) {
	t.Parallel()
	h := start(t, func(o *hub.Options) {
		o.Doors.AMQP.Listen, o.Doors.Line.Listen, o.Doors.Management.Listen = free, free, free
	})
	conn, err := amqp.DialConfig("amqp://guest:guest@"+h.Addr("amqp").String()+"/", amqp.Config{Locale: "en_US"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if v := conn.Properties["version"]; v != parley.Version() {
		t.Errorf("AMQP says %q", v)
	}
	want := `"version":"` + parley.Version() + `"`
	line := newLineClient(t, dialer{address: h.Addr("line").String()}.dial(t))
	if got := line.do(`{"op":"hello","id":1,"user":"guest","password":"guest"}`); !strings.Contains(got, want) {
		t.Error(got)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://"+h.Addr("management").String()+"/api/overview", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("guest", "guest")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(body), `"product_version":"`+parley.Version()+`"`) {
		t.Errorf("the overview says %s, %v", body, err)
	}
}
