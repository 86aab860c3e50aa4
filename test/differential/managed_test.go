// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-ipc/parley/test/harness"
)

// managedScripts lists the scripts that set something by the HTTP API, which both brokers have, and
// look at what AMQP clients see of it.
func managedScripts() []amqpScript {
	return []amqpScript{
		{"forced close", scriptForcedClose},
		{"policies", scriptPolicies},
		{"vhost limits", scriptVHostLimits},
		{"user limits", scriptUserLimits},
		{"default queue type", scriptDefaultQueueType},
	}
}

type object = map[string]any

// api calls the HTTP API and returns the status and what was answered.
func (r *amqpRun) api(method, path string, body object, headers ...string) (int, []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), comesWait)
	defer cancel()
	var in io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			r.t.Error(err)
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.b.Management+"/api/"+path, in)
	if err != nil {
		r.t.Error(err)
		return 0, nil
	}
	req.SetBasicAuth("guest", "guest")
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		r.t.Errorf("%s %s: %v", method, path, err)
		return 0, nil
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Error(err)
	}
	return res.StatusCode, out
}

// put sets something that must be possible.
func (r *amqpRun) put(path string, body object) {
	if status, out := r.api(http.MethodPut, path, body); status >= http.StatusMultipleChoices {
		r.t.Errorf("PUT %s on %s: %d %s", path, r.b.Name, status, out)
	}
}

// drop deletes what a script put.
func (r *amqpRun) drop(paths ...string) {
	for _, path := range paths {
		_, _ = r.api(http.MethodDelete, path, nil)
	}
}

// connectionNamed returns a connection's name in the API by the name that its client gave it.
func (r *amqpRun) connectionNamed(client string) string {
	var name string
	err := harness.Poll(comesWait, func() error {
		_, out := r.api(http.MethodGet, "connections", nil)
		var list []struct {
			Name       string `json:"name"`
			Properties struct {
				Name string `json:"connection_name"`
			} `json:"client_properties"`
		}
		if err := json.Unmarshal(out, &list); err != nil {
			return err
		}
		for _, c := range list {
			if c.Properties.Name == client {
				name = c.Name
				return nil
			}
		}
		return errors.New("no such connection")
	})
	if err != nil {
		r.t.Errorf("connection %s of %s: %v", client, r.b.Name, err)
	}
	return name
}

func scriptForcedClose(r *amqpRun) {
	for _, tc := range []struct{ step, reason string }{
		{"without a reason", ""}, {"with a reason", "maintenance tonight"},
	} {
		client := "forced " + tc.step
		properties := amqp.NewConnectionProperties()
		properties.SetClientConnectionName(client)
		c, err := amqp.DialConfig("amqp://guest:guest@"+r.addr+"/", amqp.Config{Properties: properties})
		if err != nil {
			r.t.Errorf("dial: %v", err)
			return
		}
		r.conns = append(r.conns, c)
		closed := c.NotifyClose(make(chan *amqp.Error, 1))
		var headers []string
		if tc.reason != "" {
			headers = []string{"X-Reason", tc.reason}
		}
		path := "connections/" + url.PathEscape(r.connectionNamed(client))
		status, _ := r.api(http.MethodDelete, path, nil, headers...)
		e, ok := nextOf(closed)
		if !ok || e == nil {
			r.add(tc.step, "%d, not closed", status)
			continue
		}
		r.add(tc.step, "%d %s", status, errorText(e))
	}
}

// settled polls until a queue's message count is n, and notes what it is then.
func (c *channel) settled(step, queue string, n int) {
	count := -1
	_ = harness.Poll(comesWait, func() error {
		q, err := c.QueueDeclarePassive(queue, false, false, true, false, nil)
		if count = q.Messages; err == nil && count != n {
			err = fmt.Errorf("%d messages", count)
		}
		return err
	})
	c.r.add(step, "%d", count)
}

func scriptPolicies(r *amqpRun) {
	policies := []string{
		"policies/%2F/po-low", "policies/%2F/po-high", "operator-policies/%2F/po-op",
		"policies/%2F/po-x", "policies/%2F/po-wrong", "policies/%2F/po-ttl", "policies/%2F/po-dl",
	}
	defer r.drop(policies...)
	c := r.dial()
	ch := r.on(c)
	fill := func(q string) {
		for i := range 6 {
			ch.send(q, fmt.Sprint(i))
		}
	}
	length := func(pattern string, n, priority int, to string) object {
		return object{
			"pattern": pattern, "definition": object{"max-length": n}, "priority": priority,
			"apply-to": to,
		}
	}
	q := ch.queue("po.q", nil)
	r.put(policies[0], length(`^po\.q$`, 4, 1, "queues"))
	fill(q)
	ch.settled("a policy limits a live queue", q, 4)
	r.put(policies[1], length(`^po\.q$`, 5, 9, "all"))
	fill(q)
	ch.settled("the higher priority counts", q, 5)
	r.put(policies[2], length(`^po\.q$`, 2, 0, "queues"))
	fill(q)
	ch.settled("of the operator's the least counts", q, 2)
	r.drop(policies[2])
	fill(q)
	ch.settled("without it again", q, 5)
	r.drop(policies[0], policies[1])
	_, _ = ch.QueuePurge(q, false)
	fill(q)
	ch.settled("without any", q, 6)
	r.put(policies[4], length(`^po\.q$`, 1, 99, "exchanges"))
	fill(q)
	ch.settled("one for exchanges limits no queue", q, 12)

	r.exchange(c, "exchange", "po.x", exchangeSpec{kind: "direct"})
	defer r.dropExchanges(c, "po.x")
	r.put(policies[3], object{
		"pattern": `^po\.x$`, "definition": object{"alternate-exchange": "amq.fanout"},
		"apply-to": "exchanges",
	})
	alt := ch.queue("po.alt", nil)
	r.add("bind", "%v", ch.QueueBind(alt, "", "amq.fanout", false, nil))
	ch.publish("po.x", "nowhere", amqp.Publishing{Body: []byte("by the policy's alternate")})
	ch.await("by the policy's alternate", alt)

	own := ch.queue("po.own", amqp.Table{"x-message-ttl": int32(60_000)})
	r.put(policies[6], object{
		"pattern": `^po\.own$`, "apply-to": "queues", "priority": 1,
		"definition": object{
			"message-ttl": 50, "dead-letter-exchange": "", "dead-letter-routing-key": alt,
		},
	})
	ch.send(own, "of two times the shorter")
	ch.await("of two times the shorter", alt)
	for _, tc := range []struct {
		step string
		body object
	}{
		{"unknown key", object{"pattern": "x", "definition": object{"no-such-key": 1}}},
		{"negative", object{"pattern": "x", "definition": object{"max-length": -1}}},
		{"no pattern", object{"definition": object{"max-length": 1}}},
		{"bad pattern", object{"pattern": "(", "definition": object{"max-length": 1}}},
		{"empty", object{"pattern": "x", "definition": object{}}},
	} {
		status, _ := r.api(http.MethodPut, policies[5], tc.body)
		r.add(tc.step, "%d", status)
	}
}

// visitor makes a user who may do everything in one virtual host; its password is its name.
func (r *amqpRun) visitor(name, vhost string) {
	r.put("users/"+name, object{"password": name, "tags": ""})
	r.put("permissions/"+vhost+"/"+name, object{"configure": ".*", "write": ".*", "read": ".*"})
}

// refusal is what a client hears that may not connect.
func refusal(c *amqp.Connection, err error) string {
	if err == nil {
		_ = c.Close()
		return "ok"
	}
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return fmt.Sprintf("%d %s", e.Code, e.Reason)
	}
	return err.Error()
}

func scriptVHostLimits(r *amqpRun) {
	r.put("vhosts/limits", nil)
	r.visitor("bounded", "limits")
	defer r.drop("vhosts/limits", "users/bounded")
	dial := func() (*amqp.Connection, error) {
		return amqp.Dial("amqp://bounded:bounded@" + r.addr + "/limits")
	}
	r.put("vhost-limits/limits/max-queues", object{"value": 2})
	c, err := dial()
	if err != nil {
		r.t.Errorf("dial: %v", err)
		return
	}
	r.conns = append(r.conns, c)
	for i := range 3 {
		r.declare(c, fmt.Sprintf("queue %d of 2", i+1), fmt.Sprintf("vl.%d", i), queueSpec{exclusive: true})
	}
	r.declare(c, "one that is there", "vl.0", queueSpec{exclusive: true})
	r.put("vhost-limits/limits/max-connections", object{"value": 2})
	// The first connection counts.
	second, err := dial()
	if err != nil {
		r.add("connection 2 of 2", "%s", refusal(second, err))
		return
	}
	r.conns = append(r.conns, second)
	r.add("connection 2 of 2", "ok")
	r.add("connection 3 of 2", "%s", refusal(dial()))
	r.put("vhost-limits/limits/max-connections", object{"value": 0})
	r.add("none at all", "%s", refusal(dial()))
	r.drop("vhost-limits/limits/max-connections")
	r.add("without the limit", "%s", refusal(dial()))
}

func scriptUserLimits(r *amqpRun) {
	r.visitor("few", "%2F")
	defer r.drop("users/few")
	dial := func() (*amqp.Connection, error) { return amqp.Dial("amqp://few:few@" + r.addr + "/") }
	r.put("user-limits/few/max-connections", object{"value": 1})
	c, err := dial()
	if err != nil {
		r.t.Errorf("dial: %v", err)
		return
	}
	r.conns = append(r.conns, c)
	r.add("connection 2 of 1", "%s", refusal(dial()))
	r.put("user-limits/few/max-channels", object{"value": 2})
	for i := range 2 {
		_, err := c.Channel()
		r.add(fmt.Sprintf("channel %d of 2", i+1), "%v", err)
	}
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	_, err = c.Channel()
	e, ok := nextOf(closed)
	if !ok || e == nil {
		r.add("channel 3 of 2", "%v", err)
		return
	}
	r.add("channel 3 of 2", "%s", errorText(e))
}

func scriptDefaultQueueType(r *amqpRun) {
	r.put("vhosts/typed", object{"default_queue_type": "quorum"})
	r.visitor("typist", "typed")
	defer r.drop("vhosts/typed", "users/typist")
	c, err := amqp.Dial("amqp://typist:typist@" + r.addr + "/typed")
	if err != nil {
		r.t.Errorf("dial: %v", err)
		return
	}
	r.conns = append(r.conns, c)
	r.declare(c, "durable", "dt.durable", queueSpec{durable: true})
	r.declare(c, "named", "dt.classic", queueSpec{durable: true, args: amqp.Table{"x-queue-type": "classic"}})
	_, out := r.api(http.MethodGet, "queues/typed", nil)
	for _, kind := range []string{"quorum", "classic"} {
		r.add(kind, "%d", strings.Count(string(out), `"type":"`+kind+`"`))
	}
}
