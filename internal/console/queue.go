// SPDX-License-Identifier: Apache-2.0

package console

import (
	"github.com/parley-ipc/parley/internal/broker"
)

func listQueues(v *visit) error {
	var rows []row
	for _, vh := range v.scope() {
		for _, q := range vh.Queues() {
			rows = append(rows, row{q.Name, func() object { return v.showQueue(q) }})
		}
	}
	return v.list(rows)
}

func (v *visit) showQueue(q *broker.Queue) object {
	d := q.Detail()
	kind, ok := q.Arguments.Text("x-queue-type")
	if !ok {
		kind = "classic"
	}
	o := object{
		"name": q.Name, "vhost": q.VirtualHost().Name(), "node": v.console.node(), "type": kind,
		"durable": q.Durable, "auto_delete": q.AutoDelete, "exclusive": q.Exclusive,
		"arguments": showTable(q.Arguments), "state": "running", "consumers": d.Consumers,
		"messages": d.Ready + d.Unsettled, "messages_ready": d.Ready,
		"messages_unacknowledged": d.Unsettled, "message_bytes_ready": d.Bytes,
		"memory": d.MemoryBytes, "exclusive_consumer_tag": orNull(d.ExclusiveTag),
		"single_active_consumer_tag": orNull(d.ActiveTag), "message_stats": showTally(&d.Tally),
	}
	policy := q.EffectivePolicy()
	o["policy"], o["operator_policy"] = orNull(policy.User), orNull(policy.Operator)
	o["effective_policy_definition"] = policy.Definition
	if owner := q.Owner(); owner != nil {
		o["owner_pid_details"] = connectionDetails(owner)
	}
	return o
}

// orNull is what RabbitMQ shows of a name that may be missing.
func orNull(name string) any {
	if name == "" {
		return nil
	}
	return name
}

// theQueue returns the queue that the path names.
func (v *visit) theQueue() (*broker.Queue, error) {
	vh, err := v.theVHost()
	if err != nil {
		return nil, err
	}
	q, ok := vh.Queue(v.name("queue"))
	if !ok {
		return nil, errNotFound
	}
	return q, nil
}

func getQueue(v *visit) error {
	q, err := v.theQueue()
	if err != nil {
		return err
	}
	o := v.showQueue(q)
	consumers := []object{}
	for _, c := range q.Consumers() {
		if v.seesConsumer(&c) {
			consumers = append(consumers, v.showConsumer(q, &c))
		}
	}
	o["consumer_details"] = consumers
	return v.one(o)
}

// queueBody is a queue in JSON, as requests and definitions have it.
type queueBody struct {
	Name       string    `json:"name"`
	VHost      string    `json:"vhost"`
	Durable    flag      `json:"durable"`
	AutoDelete flag      `json:"auto_delete"`
	Arguments  arguments `json:"arguments"`
}

func (b *queueBody) params() broker.QueueParams {
	return broker.QueueParams{
		Name: b.Name, Durable: bool(b.Durable), Exclusive: false, AutoDelete: bool(b.AutoDelete),
		Passive: false, Arguments: broker.Table(b.Arguments),
	}
}

func putQueue(v *visit) error {
	var body queueBody
	if err := v.read(&body); err != nil {
		return err
	}
	body.Name = v.name("queue")
	var info broker.QueueInfo
	err := v.work(v.name("vhost"), func(w *worker) (err error) {
		info, err = w.DeclareQueue(body.params())
		return err
	})
	if err != nil {
		return err
	}
	return v.made(info.Created)
}

func deleteQueue(v *visit) error {
	q, err := v.theQueue()
	if err != nil {
		return err
	}
	err = v.work(v.name("vhost"), func(w *worker) error {
		_, err := w.DeleteQueue(broker.DeleteParams{
			Name: q.Name, IfUnused: v.wants("if-unused"), IfEmpty: v.wants("if-empty"),
		})
		return err
	})
	if err != nil {
		return err
	}
	return v.noContent()
}

func purgeQueue(v *visit) error {
	q, err := v.theQueue()
	if err != nil {
		return err
	}
	err = v.work(v.name("vhost"), func(w *worker) error {
		_, err := w.PurgeQueue(q.Name)
		return err
	})
	if err != nil {
		return err
	}
	return v.noContent()
}
