// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// manager is the HTTP API of a broker.
type manager struct {
	t    *testing.T
	addr string
}

// ask sends a request of a user, whose password is their name.
func (m *manager) ask(user, method, path, body string) (int, []byte) {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), method, "http://"+m.addr+path,
		strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	r.SetBasicAuth(user, user)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return res.StatusCode, data
}

// must is ask for what has to succeed.
func (m *manager) must(method, path, body string) []byte {
	m.t.Helper()
	status, data := m.ask("guest", method, path, body)
	if status/100 != 2 {
		m.t.Fatalf("%s %s of %s: %d %s", method, path, m.addr, status, data)
	}
	return data
}

// managers starts both with their default user.
func managers(t *testing.T) (oracle, hub *harness.Broker) {
	t.Helper()
	if os.Getenv(envOn) == "" {
		t.Skipf("needs Debian's rabbitmq-server: run `make interop`, or set %s=1", envOn)
	}
	if !harness.HaveRabbit() {
		t.Fatal("rabbitmq-server is not installed")
	}
	h := harness.Start(t, harness.Build(t), harness.Options{})
	return harness.StartRabbit(t, harness.RabbitOptions{}), &harness.Broker{
		Name: "parley", AMQP: h.AMQP, Management: h.Management,
	}
}

// TestManagement compares the management API with RabbitMQ's, then moves what RabbitMQ has.
func TestManagement(t *testing.T) {
	t.Parallel()
	oracle, hub := managers(t)
	theirs, ours := &manager{t, oracle.Management}, &manager{t, hub.Management}
	compareAnswers(t, theirs, ours)
	moveDefinitions(t, theirs, ours, hub)
}

// An answer is compared by its status and by some members of its JSON; of a list, of each entry.
type managementStep struct {
	user, method, path, body string
	members                  string // by commas; none: only the status
}

const (
	errorMembers   = "error,reason"
	queueMembers   = "name,vhost,durable,auto_delete,exclusive,arguments,type"
	bindingMembers = "source,vhost,destination,destination_type,routing_key,arguments"
	messageMembers = "payload,payload_bytes,payload_encoding,redelivered,exchange,routing_key," +
		"message_count,properties"
)

func managementSteps() []managementStep {
	const q, publish = "/api/queues/%2F/m.q", "/api/exchanges/%2F/m.x/publish"
	get := func(mode, more string) managementStep {
		return managementStep{
			"", "POST", q + "/get", `{"count":9,"ackmode":"` + mode + `","encoding":"auto"` + more + `}`,
			messageMembers,
		}
	}
	return []managementStep{
		{"nobody", "GET", "/api/whoami", "", errorMembers},
		{"", "GET", "/api/whoami", "", "name,tags"},
		{"", "GET", "/api/nothing", "", errorMembers},
		{"", "PUT", "/api/users/mon", `{"password":"mon","tags":"monitoring"}`, ""},
		{"", "PUT", "/api/users/mon", `{"password":"mon","tags":"monitoring,x"}`, ""},
		{"", "PUT", "/api/users/bad", `{"password":"x"}`, errorMembers},
		{"", "GET", "/api/users/mon", "", "name,tags,limits"},
		{"mon", "GET", "/api/users", "", errorMembers},
		{"mon", "PUT", q, `{}`, errorMembers},
		{"mon", "GET", "/api/vhosts", "", "name,tracing"},
		{"", "PUT", "/api/vhosts/m.v", "", ""},
		{"", "PUT", "/api/vhosts/m.v", "", ""},
		{"", "GET", "/api/vhosts/m.v/permissions", "", "user,vhost,configure,write,read"},
		{"", "GET", "/api/vhosts/nowhere", "", errorMembers},
		{"", "PUT", "/api/permissions/m.v/mon", `{"configure":"^a","write":"","read":".*"}`, ""},
		{"", "GET", "/api/permissions/m.v/mon", "", "user,vhost,configure,write,read"},
		{"", "PUT", "/api/permissions/m.v/nobody", `{"configure":"","write":"","read":""}`, errorMembers},
		{"", "GET", "/api/queues/m.v", "", ""},
		{"", "PUT", q, `{"durable":true,"arguments":{"x-max-length":10}}`, ""},
		{"", "PUT", q, `{"durable":true,"arguments":{"x-max-length":10}}`, ""},
		{"", "PUT", q, `{"durable":false,"arguments":{"x-max-length":10}}`, errorMembers},
		{"", "GET", q, "", queueMembers},
		{"", "GET", "/api/queues/%2F/none", "", errorMembers},
		{"", "PUT", "/api/exchanges/%2F/m.x", `{"type":"topic","durable":true}`, ""},
		{"", "PUT", "/api/exchanges/%2F/m.x", `{"type":"topic","durable":true}`, ""},
		{"", "PUT", "/api/exchanges/%2F/m.y", `{"type":"nope"}`, errorMembers},
		{"", "GET", "/api/exchanges/%2F/m.x", "", "name,vhost,type,durable,auto_delete,internal,arguments"},
		{"", "POST", "/api/bindings/%2F/e/m.x/q/m.q", `{"routing_key":"a.b ~*/é"}`, ""},
		{"", "POST", "/api/bindings/%2F/e/m.x/q/m.q", `{"routing_key":""}`, ""},
		{"", "POST", "/api/bindings/%2F/e/m.x/q/none", `{}`, ""},
		{"", "GET", "/api/bindings/%2F/e/m.x/q/m.q", "", bindingMembers + ",properties_key"},
		{"", "GET", "/api/queues/%2F/m.q/bindings", "", bindingMembers + ",properties_key"},
		{"", "GET", "/api/exchanges/%2F/m.x/bindings/source", "", bindingMembers},
		{"", "POST", publish, `{"routing_key":"a.b ~*/é","properties":{"delivery_mode":2,` +
			`"priority":3,"headers":{"h":1,"l":[1,"a"],"t":true,"o":{"x":"y"}},"message_id":"m",` +
			`"timestamp":5,"content_type":"text/plain"},"payload":"aGVsbG8=",` +
			`"payload_encoding":"base64"}`, "routed"},
		{"", "POST", publish, `{"routing_key":"z","properties":{},"payload":"x","payload_encoding":` +
			`"string"}`, "routed"},
		{"", "POST", "/api/exchanges/%2F/none/publish", `{"routing_key":"z","properties":{},` +
			`"payload":"x","payload_encoding":"string"}`, errorMembers},
		get("ack_requeue_true", ""),
		get("reject_requeue_true", `,"truncate":2`),
		get("ack_requeue_false", ""),
		get("ack_requeue_true", ""),
		{"", "POST", "/api/queues/%2F/none/get", `{"count":1,"ackmode":"ack_requeue_true",` +
			`"encoding":"auto"}`, errorMembers},
		{"", "PUT", "/api/policies/%2F/m.p", `{"pattern":"^m.q","definition":{"max-length":5},` +
			`"apply-to":"queues"}`, ""},
		{"", "GET", "/api/policies/%2F/m.p", "", "vhost,name,pattern,apply-to,definition,priority"},
		{"", "PUT", "/api/policies/%2F/m.o", `{"pattern":"(","definition":{"max-length":5}}`, "error"},
		{"", "DELETE", "/api/policies/%2F/none", "", errorMembers},
		{"", "PUT", "/api/vhost-limits/m.v/max-queues", `{"value":5}`, ""},
		{"", "GET", "/api/vhost-limits/m.v", "", "vhost,value"},
		{"", "PUT", "/api/user-limits/mon/max-channels", `{"value":5}`, ""},
		{"", "GET", "/api/user-limits/mon", "", "user,value"},
		{"", "PUT", "/api/global-parameters/m.g", `{"value":{"a":[1,"b"]}}`, ""},
		{"", "GET", "/api/global-parameters/m.g", "", "name,value"},
		{"", "GET", "/api/health/checks/alarms", "", "status"},
		{"", "GET", "/api/health/checks/port-listener/1", "", "status,reason,missing"},
		{"", "GET", "/api/aliveness-test/%2F", "", "status"},
		{"", "GET", "/api/queues?page=0", "", errorMembers},
		{
			"", "GET", "/api/queues/%2F?page=1&page_size=1&name=M%5C.&use_regex=true", "",
			"total_count,filtered_count,item_count,page,page_size,page_count",
		},
		{"", "GET", "/api/queues/%2F?columns=name,messages&sort=name&name=x", "", "name"},
		{"", "DELETE", "/api/bindings/%2F/e/m.x/q/m.q/~", "", ""},
		{"", "DELETE", "/api/bindings/%2F/e/m.x/q/m.q/~", "", errorMembers},
		{"", "DELETE", "/api/queues/%2F/m.q/contents", "", ""},
		{"", "DELETE", "/api/exchanges/%2F/none", "", errorMembers},
		{"", "DELETE", "/api/queues/%2F/aliveness-test", "", ""},
		{"", "DELETE", "/api/policies/%2F/m.p", "", ""},
	}
}

// compareAnswers asks both the same.
func compareAnswers(t *testing.T, theirs, ours *manager) {
	t.Helper()
	for _, s := range managementSteps() {
		if s.user == "" {
			s.user = "guest"
		}
		theirStatus, theirBody := theirs.ask(s.user, s.method, s.path, s.body)
		ourStatus, ourBody := ours.ask(s.user, s.method, s.path, s.body)
		want := members(theirStatus, theirBody, s.members)
		if got := members(ourStatus, ourBody, s.members); got != want {
			t.Errorf("%s %s %s\nRabbitMQ: %s\nparley:   %s", s.method, s.path, s.body, want, got)
		}
	}
}

// members shows a status and some members, of each entry of a list.
func members(status int, body []byte, names string) string {
	out := fmt.Sprint(status)
	if names == "" {
		return out
	}
	var list []map[string]any
	if json.Unmarshal(body, &list) != nil {
		var one map[string]any
		if err := json.Unmarshal(body, &one); err != nil {
			return out + " " + string(body)
		}
		list = []map[string]any{one}
	}
	for _, entry := range list {
		kept := make(map[string]any)
		for name := range strings.SplitSeq(names, ",") {
			if value, ok := entry[name]; ok {
				kept[name] = value
			}
		}
		text, err := json.Marshal(kept)
		if err != nil {
			return err.Error()
		}
		out += "\n  " + string(text)
	}
	return out
}

// moveDefinitions brings a topology into being in RabbitMQ, imports its export, and works with what
// came: the same URL, the same password, which only its hash knows.
func moveDefinitions(t *testing.T, theirs, ours *manager, hub *harness.Broker) {
	t.Helper()
	for _, step := range [][3]string{
		{"PUT", "/api/vhosts/moved", `{"description":"d","tags":"a"}`},
		{"PUT", "/api/users/mover", `{"password":"mover","tags":"management"}`},
		{"PUT", "/api/permissions/moved/mover", `{"configure":"^mv","write":"mv","read":".*"}`},
		{"PUT", "/api/topic-permissions/moved/mover", `{"exchange":"mv.x","write":"^ok","read":".*"}`},
		{"PUT", "/api/policies/moved/p", `{"pattern":"^mv","definition":{"max-length":2},` +
			`"apply-to":"queues"}`},
		{"PUT", "/api/exchanges/moved/mv.x", `{"type":"topic","durable":true}`},
		{"PUT", "/api/queues/moved/mv.q", `{"durable":true,"arguments":{"x-max-priority":5}}`},
		{"POST", "/api/bindings/moved/e/mv.x/q/mv.q", `{"routing_key":"ok.#"}`},
	} {
		theirs.must(step[0], step[1], step[2])
	}
	exported := theirs.must("GET", "/api/definitions", "")
	ours.must("POST", "/api/definitions", string(exported))

	c, err := amqp.Dial("amqp://mover:mover@" + hub.AMQP + "/moved")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"1", "2", "3"} {
		confirm, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "mv.x", "ok.yes", true,
			false, amqp.Publishing{Body: []byte(body), DeliveryMode: 2})
		if err != nil || !confirm.Wait() {
			t.Fatalf("publish %s: %v", body, err)
		}
	}
	for _, want := range []string{"2", "3"} { // the policy keeps two
		d, ok, err := ch.Get("mv.q", true)
		if err != nil || !ok || string(d.Body) != want {
			t.Fatalf("get: %v %v %s, want %s", err, ok, d.Body, want)
		}
	}
	// The declaration of the old hub is that of the new one.
	if _, err := ch.QueueDeclare("mv.q", true, false, false, false,
		amqp.Table{"x-max-priority": int64(5)}); err != nil {
		t.Error(err)
	}
	refused := c.NotifyClose(make(chan *amqp.Error, 1))
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	_ = ch.PublishWithContext(t.Context(), "mv.x", "no", false, false, amqp.Publishing{})
	select {
	case e := <-closed:
		if e == nil || e.Code != amqp.AccessRefused {
			t.Errorf("a key that the topic permission excludes: %v", e)
		}
	case e := <-refused:
		t.Errorf("the connection ended: %v", e)
	case <-time.After(10 * time.Second):
		t.Error("the topic permission was not moved")
	}
	// And what parley exports RabbitMQ takes back, without the users whose hash it cannot read.
	back := ours.must("GET", "/api/definitions/moved", "")
	if !bytes.Contains(back, []byte(`"mv.q"`)) {
		t.Errorf("exported %s", back)
	}
	theirs.must("POST", "/api/definitions/moved", string(back))
}
