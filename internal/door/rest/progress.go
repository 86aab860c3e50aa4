// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/parley-ipc/parley/internal/broker"
)

// requestTypes are what the state of a request may be: JSON, or a stream of its changes.
const requestTypes = typeJSON + " " + typeEvents

// progressBody shows how far a service is, and is the body of POST /leases/{id}/progress.
type progressBody struct {
	Percent *int   `json:"percent,omitempty"`
	Text    string `json:"text,omitempty"`
	At      string `json:"at,omitempty"`
}

// callbackBody shows where a result is posted.
type callbackBody struct {
	URL   string `json:"url"`
	State string `json:"state"`
}

// showProgress adds what is known beside the state.
func (b *requestBody) showProgress(r *broker.Request) {
	if p := r.Progress(); !p.At.IsZero() {
		b.Progress = &progressBody{
			Percent: nil, Text: p.Text, At: p.At.UTC().Format(broker.DeadlineLayout),
		}
		if p.Percent >= 0 {
			b.Progress.Percent = &p.Percent
		}
	}
	if to, state := r.Callback(); state != broker.CallbackNone {
		b.Callback = &callbackBody{URL: to, State: state.String()}
	}
}

// requestTag is the entity tag of a request's state and progress.
func requestTag(r *broker.Request) (tag string, changed <-chan struct{}) {
	version, changed := r.Version()
	// The version begins anew with the process.
	return `"` + string(r.State()) + "-" + strconv.FormatUint(version, 10) + "-" +
		strconv.FormatInt(r.Progress().At.UnixMilli(), 36) + `"`, changed
}

// awaitChange waits until a request is other than the client knows it, at most for a time.
func (v *visit) awaitChange(r *broker.Request, wait time.Duration) {
	timer := time.NewTimer(min(wait, requestWaitMax))
	defer timer.Stop()
	for {
		tag, changed := requestTag(r)
		if !knows(v.r.Header, tag) || isClosed(r.Ended()) {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			return
		case <-v.r.Context().Done():
			return
		case <-v.client.gone:
			return
		case <-v.door.draining:
			return
		}
	}
}

// watch streams the changes of a request until it has ended.
func (v *visit) watch(r *broker.Request) error {
	user := v.client.key.user
	if err := v.door.enterStream(user); err != nil {
		return err
	}
	defer v.door.leaveStream(user)
	s := &eventWriter{v: v, control: http.NewResponseController(v.w), whole: true}
	if err := s.begin(); err != nil {
		return ignoreWrite(err)
	}
	ticker := time.NewTicker(streamComment)
	defer ticker.Stop()
	for {
		_, changed := r.Version() // before what is shown
		ended := isClosed(r.Ended())
		data, err := json.Marshal(showRequest(r))
		if err != nil {
			return err
		}
		event := append([]byte("event: request\ndata: "), data...)
		if s.write(append(event, "\n\n"...)) != nil || ended {
			return nil
		}
		for waiting := true; waiting; {
			select {
			case <-changed:
				waiting = false
			case <-ticker.C:
				if s.write([]byte(":\n\n")) != nil {
					return nil
				}
			case <-v.r.Context().Done():
				return nil
			case <-v.client.gone:
				return nil
			case <-v.door.draining:
				return nil
			}
		}
	}
}

// progress is POST /leases/{id}/progress: a worker tells how far it is with the message that it has
// leased. Nobody is told who did not ask for it.
func (d *Door) progress(v *visit) error {
	var b progressBody
	if err := v.decode(&b, false); err != nil {
		return err
	}
	p := broker.Progress{Percent: -1, Text: b.Text}
	switch {
	case b.At != "":
		return badRequest("at is the hub's to say")
	case b.Percent == nil && b.Text == "":
		return badRequest("percent or text is needed")
	case len(b.Text) > nameBytesMax:
		return badRequest("text is longer than %d bytes", nameBytesMax)
	case b.Percent != nil && (*b.Percent < 0 || *b.Percent > 100):
		return badRequest("percent must be 0 to 100")
	case b.Percent != nil:
		p.Percent = *b.Percent
	}
	l, done, err := d.leases.find(v.client, v.path("id"))
	switch {
	case err != nil:
		return err
	case done:
		return problemf(wordLeaseGone, "the lease is settled")
	case l.replyTo == "" || !l.wantsProgress:
		return v.noContent()
	}
	m := &broker.Message{Overlay: broker.Table{
		{Name: broker.HeaderProgress, Value: p.String()},
	}}
	m.Key, m.CorrelationID = []byte(l.replyTo), []byte(l.correlationID)
	err = v.work(func(w *worker) error {
		_, err := w.send(m, broker.PublishParams{})
		return err
	})
	if err != nil {
		return err
	}
	return v.noContent()
}

// wantsProgress reports whether the properties of a request ask for progress.
func wantsProgress(p *broker.Properties) bool {
	v, _ := p.Headers.Text(broker.HeaderWants)
	return v == broker.WantsProgress
}
