// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// Bounds of leases (rest.md, Leases).
const (
	leaseCountMax   = 100
	leaseWaitMax    = 20 * time.Second
	leaseDefault    = 30 * time.Second
	leaseTotalMax   = 43_200_000 * time.Millisecond // with extensions
	leaseBytes      = 8 << 20                       // bodies in one answer, but for the last
	lingerMin       = 5 * time.Second
	lingerMax       = 60 * time.Second
	batchEntriesMax = 1_000
)

// leaseRequest is the body of POST /queues/{q}/leases.
type leaseRequest struct {
	Max     int   `json:"max"`
	WaitMS  int64 `json:"wait_ms"`
	LeaseMS int64 `json:"lease_ms"`
}

func (l *leaseRequest) check() error {
	switch {
	case l.Max < 1 || l.Max > leaseCountMax:
		return badRequest("max must be 1 to %d", leaseCountMax)
	case l.WaitMS < 0 || l.WaitMS > leaseWaitMax.Milliseconds():
		return badRequest("wait_ms must be 0 to %d", leaseWaitMax.Milliseconds())
	case l.LeaseMS < 1 || l.LeaseMS > leaseTotalMax.Milliseconds():
		return badRequest("lease_ms must be 1 to %d", leaseTotalMax.Milliseconds())
	}
	return nil
}

// lease takes messages for a time. A worker that polls counts as attached for a while after each
// poll, so that calls reach it.
func (d *Door) lease(v *visit) error {
	want := leaseRequest{Max: 1, WaitMS: 0, LeaseMS: leaseDefault.Milliseconds()}
	if err := v.decode(&want, true); err != nil {
		return err
	}
	if err := want.check(); err != nil {
		return err
	}
	term := time.Duration(want.LeaseMS) * time.Millisecond
	sink := newMessageSink(leaseBytes)
	h, err := d.hold(v, sink)
	if err != nil {
		return err
	}
	defer h.finish()
	var p broker.ConsumerParams
	p.Queue, p.Limited = v.path("q"), true
	if p.Tag, err = v.instance(); err != nil {
		return err
	}
	p.Linger = min(max(term, lingerMin), lingerMax)
	c, err := h.session.Consume(p)
	if err != nil {
		return err
	}
	c.AddCredit(want.Max)
	wait := time.Duration(want.WaitMS) * time.Millisecond
	damaged := c.Fetch()
	if damaged != nil {
		wait = 0
	}
	parcels, err := h.poll(v, wait)
	if err == nil && len(parcels) == 0 {
		err = damaged
	}
	h.session.Cancel(p.Tag)
	more, _, _ := sink.take() // came before the consumer was closed
	parcels = append(parcels, h.readable(more)...)
	if err != nil || v.r.Context().Err() != nil {
		h.giveBack()
		return err
	}
	if len(parcels) == 0 {
		return v.noContent()
	}
	leases, err := d.leases.add(h, parcels, term, func(int) string { return newID() })
	if err != nil {
		h.giveBack()
		return err
	}
	if err := v.showLeases(leases, parcels, want.Max); err != nil {
		for _, l := range leases { // the client is gone: no need to wait for the time
			_ = l.settle(broker.Undelivered) // it may have been settled, by whom ever
		}
	}
	return nil
}

// poll waits until something comes, the time is over, or there is nobody to wait for.
func (h *holder) poll(v *visit, wait time.Duration) ([]parcel, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		list, _, cancelled := h.sink.take()
		if list = h.readable(list); len(list) > 0 {
			return list, nil
		}
		if cancelled {
			return nil, problemf(wordNotFound, "the queue was deleted")
		}
		select {
		case <-h.sink.wake:
		case <-timer.C:
			return nil, nil
		case <-v.r.Context().Done():
			return nil, nil
		case <-v.client.gone:
			return nil, problemf(wordDraining, "the hub ended the connection")
		case <-v.door.draining:
			return nil, nil
		}
	}
}

// readable dead-letters what cannot be shown and returns the rest.
func (h *holder) readable(list []parcel) []parcel {
	out := list[:0]
	for _, p := range list {
		if p.unreadable {
			h.settle(p.tag, broker.Rejected)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// leasesBody answers a lease.
type leasesBody struct {
	Messages []messageBody `json:"messages"`
}

// showLeases answers with what was leased: as JSON, or, when one message was asked for and the
// client accepts its type rather than JSON, as the body itself.
func (v *visit) showLeases(leases []*lease, parcels []parcel, asked int) error {
	if m := &parcels[0].message; asked == 1 {
		accept := v.r.Header.Get("Accept")
		if wantsEvent(accept) {
			if e, ok := eventOf(&m.properties, m.body); ok {
				return v.showEvent(leases[0], m, &e)
			}
		}
		if wantsRaw(accept, m.properties.ContentType) {
			return v.showRaw(leases[0], m)
		}
	}
	out := leasesBody{Messages: make([]messageBody, len(parcels))}
	for i := range parcels {
		out.Messages[i] = parcels[i].message.json()
		out.Messages[i].Lease = leases[i].id
		out.Messages[i].LeaseMS = leases[i].duration.Milliseconds()
	}
	if len(leases) == 1 {
		v.linkAck(leases[0])
	}
	data, err := json.Marshal(out)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	v.giveTime(len(data))
	_, err = v.w.Write(append(data, '\n'))
	return err
}

func (v *visit) linkAck(l *lease) {
	v.w.Header().Add("Link", "<"+v.base()+"/leases/"+l.id+`>; rel="ack"`)
}

// wantsRaw reports whether an Accept names the message's type, or any bytes, and is not about JSON.
func wantsRaw(accept, contentType string) bool {
	if accept == "" {
		return false
	}
	contentType, _, _ = strings.Cut(contentType, ";")
	contentType = strings.ToLower(strings.TrimSpace(contentType))
	for part := range strings.SplitSeq(accept, ",") {
		t, _, _ := strings.Cut(part, ";")
		switch t = strings.ToLower(strings.TrimSpace(t)); {
		case t == "application/json":
			return false
		case t == "application/octet-stream", t == contentType && t != "":
			return true
		}
	}
	return false
}

// wantsEvent reports whether an Accept names events in JSON.
func wantsEvent(accept string) bool {
	return strings.Contains(strings.ToLower(accept), typeCloudEvent)
}

// showEvent answers with one message as an event in structured mode (CloudEvents, HTTP binding §3.2).
func (v *visit) showEvent(l *lease, m *message, e *cloudEvent) error {
	data, err := e.structuredOut()
	if err != nil {
		return err
	}
	v.leaseHead(l, m)
	v.w.Header().Set("Content-Type", typeCloudEvent)
	v.giveTime(len(data))
	_, err = v.w.Write(data)
	return err
}

// showRaw answers with the body of one message, and with its lease and properties in headers.
func (v *visit) showRaw(l *lease, m *message) error {
	v.leaseHead(l, m)
	propertiesOut(v.w.Header(), &m.properties)
	v.giveTime(len(m.body))
	_, err := v.w.Write(m.body)
	return err
}

// leaseHead says in headers which lease it is.
func (v *visit) leaseHead(l *lease, m *message) {
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Parley-Lease", l.id)
	h.Set("Parley-Lease-Ms", strconv.FormatInt(l.duration.Milliseconds(), 10))
	h.Set("Parley-Attempt", strconv.FormatUint(uint64(m.attempt), 10))
	v.linkAck(l)
}

// acknowledge is DELETE /leases/{id}. It is repeatable.
func (d *Door) acknowledge(v *visit) error {
	if err := d.acceptLease(v, v.path("id")); err != nil {
		return err
	}
	return v.noContent()
}

func (d *Door) acceptLease(v *visit, id string) error {
	l, done, err := d.leases.find(v.client, id)
	switch {
	case done: // repeated
		return nil
	case err == nil:
		err = l.settle(broker.Accepted)
	}
	if err != nil && (d.acceptExpired(v, id) || d.leases.isSettled(v.client, id)) {
		return nil
	}
	return err
}

// acceptExpired acknowledges a lease that has expired, unless somebody else has the message.
func (d *Door) acceptExpired(v *visit, id string) bool {
	at, ok := d.leases.expired(v.client, id)
	if !ok {
		return false
	}
	err := v.work(func(w *worker) error {
		ok = w.AcceptReturned(at)
		return w.Settled()
	})
	if err != nil || !ok {
		return false
	}
	d.leases.settled(v.client, id)
	return true
}

// leaseChange is the body of PATCH /leases/{id}: one of its members.
type leaseChange struct {
	ExtendMS *int64     `json:"extend_ms"`
	Nack     *leaseNack `json:"nack"`
}

// leaseNack says where an unwanted message goes: back to its place, which is the default, perhaps
// after a delay, or out of the queue, to the dead letters.
type leaseNack struct {
	Requeue    *bool `json:"requeue"`
	DelayMS    int64 `json:"delay_ms"`
	DeadLetter bool  `json:"dead_letter"`
}

func (n *leaseNack) check() error {
	dead := n.DeadLetter || !yesUnless(n.Requeue)
	switch {
	case n.DeadLetter && n.Requeue != nil && *n.Requeue:
		return badRequest("requeue and dead_letter exclude each other")
	case n.DelayMS < 0 || n.DelayMS > leaseTotalMax.Milliseconds():
		return badRequest("delay_ms must be 0 to %d", leaseTotalMax.Milliseconds())
	case dead && n.DelayMS > 0:
		return badRequest("delay_ms is for requeue")
	}
	return nil
}

// change extends a lease or gives its message back.
func (d *Door) change(v *visit, id string, c *leaseChange) error {
	switch {
	case (c.ExtendMS == nil) == (c.Nack == nil):
		return badRequest("one of extend_ms and nack is needed")
	case c.ExtendMS != nil:
		if *c.ExtendMS < 1 || *c.ExtendMS > leaseTotalMax.Milliseconds() {
			return badRequest("extend_ms must be 1 to %d", leaseTotalMax.Milliseconds())
		}
	default:
		if err := c.Nack.check(); err != nil {
			return err
		}
	}
	l, done, err := d.leases.find(v.client, id)
	switch {
	case err != nil:
		return err
	case done && c.Nack != nil: // repeated
		return nil
	case done:
		return problemf(wordLeaseGone, "the lease is settled")
	case c.ExtendMS != nil:
		return l.extend(time.Duration(*c.ExtendMS) * time.Millisecond)
	case c.Nack.DeadLetter || !yesUnless(c.Nack.Requeue):
		err = l.settle(broker.Rejected)
	case c.Nack.DelayMS > 0:
		return l.delay(time.Duration(c.Nack.DelayMS) * time.Millisecond)
	default:
		err = l.settle(broker.Released)
	}
	if err != nil && d.leases.isSettled(v.client, id) {
		return nil
	}
	return err
}

// changeLease is PATCH /leases/{id}.
func (d *Door) changeLease(v *visit) error {
	var c leaseChange
	if err := v.decode(&c, false); err != nil {
		return err
	}
	if err := d.change(v, v.path("id"), &c); err != nil {
		return err
	}
	return v.reply(http.StatusOK, struct{}{})
}

// batchRequest is the body of POST /leases/batch.
type batchRequest struct {
	Entries []batchEntry `json:"entries"`
}

// batchEntry acknowledges a lease, or changes it as PATCH does.
type batchEntry struct {
	Lease string `json:"lease"`
	Ack   bool   `json:"ack"`
	leaseChange
}

// batchResult is what became of an entry: 204 or 200, or the status and code of its problem.
type batchResult struct {
	Lease  string `json:"lease"`
	Status int    `json:"status"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// settleBatch settles many leases; they succeed or fail alone.
func (d *Door) settleBatch(v *visit) error {
	var want batchRequest
	if err := v.decode(&want, false); err != nil {
		return err
	}
	if n := len(want.Entries); n < 1 || n > batchEntriesMax {
		return badRequest("entries must be 1 to %d", batchEntriesMax)
	}
	results := make([]batchResult, len(want.Entries))
	for i := range want.Entries {
		e := &want.Entries[i]
		results[i] = batchResult{Lease: e.Lease, Status: http.StatusOK}
		var err error
		switch {
		case e.Ack && (e.ExtendMS != nil || e.Nack != nil):
			err = badRequest("ack excludes extend_ms and nack")
		case e.Ack:
			results[i].Status = http.StatusNoContent
			err = d.acceptLease(v, e.Lease)
		default:
			err = d.change(v, e.Lease, &e.leaseChange)
		}
		if err != nil {
			b := d.problems.body(problemOf(err))
			results[i].Status, results[i].Code, results[i].Detail = b.Status, b.Code, b.Detail
		}
	}
	return v.reply(http.StatusOK, resultsBody[batchResult]{Results: results})
}

// reply is POST /leases/{id}/reply: the answer goes to the message's reply address and the message is
// acknowledged, in one durable step. An answer that cannot be published leaves the lease as it was. It
// is repeatable, since a worker may not have heard that it was taken: the same body again is no error,
// and nothing is sent for it.
func (d *Door) reply(v *visit) error {
	id := v.path("id")
	l, done, err := d.leases.find(v.client, id)
	switch {
	case err != nil:
		return err
	case done:
		return d.replyAgain(v, id)
	case l.replyTo == "":
		return badRequest("the message names no reply address")
	}
	p, err := propertiesIn(v.r.Header)
	if err != nil {
		return err
	}
	if p.Set&broker.HasCorrelationID == 0 && l.correlationID != "" {
		p.CorrelationID, p.Set = l.correlationID, p.Set|broker.HasCorrelationID
	}
	p.DeliveryMode, p.Set = 2, p.Set|broker.HasDeliveryMode
	body, err := v.body()
	if err != nil {
		return err
	}
	m, err := newMessage(&p, body)
	if err != nil {
		return err
	}
	m.Key = []byte(l.replyTo)
	switch err := l.answer(m); {
	case err == nil, d.leases.answered(v.client, id, body): // the other one of two at once was first
		return v.reply(http.StatusCreated, struct{}{})
	default:
		return err
	}
}

// replyAgain answers a reply to a lease that is settled.
func (d *Door) replyAgain(v *visit, id string) error {
	body, err := v.body()
	switch {
	case err != nil:
		return err
	case !d.leases.answered(v.client, id, body):
		return problemf(wordLeaseGone, "the lease is settled")
	}
	return v.reply(http.StatusCreated, struct{}{})
}
