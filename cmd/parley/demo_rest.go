// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parley-ipc/parley"
)

// Limits of the demo's REST worker.
const (
	restWait    = 10 * time.Second // of one lease request
	restTimeout = restWait + 5*time.Second
	maxRestBody = 64 << 10 // bytes
)

// restWorker serves fare.Price over REST: it leases requests from the service's queue and answers
// them, 3.00 and 1.50 a kilometre.
type restWorker struct {
	base   string
	client *http.Client
}

// leased is what the hub hands out. A body that is text comes as a JSON string.
type leased struct {
	Messages []leasedMessage `json:"messages"`
}

type leasedMessage struct {
	Lease     string `json:"lease"`
	Operation string `json:"type"`
	Body      string `json:"body"`
}

func (w *restWorker) run(ctx context.Context, attached func()) error {
	queue := restRequest{http.MethodPut, "/v1/queues/fare", map[string]any{"durable": true}, nil}
	status, body, err := w.do(ctx, queue)
	switch {
	case err != nil:
		return err
	case status >= http.StatusBadRequest:
		return fmt.Errorf("declare fare: status %d: %.200s", status, body)
	}
	wait := time.Duration(0) // the first answer comes at once: the hub knows the worker then
	for {
		status, body, err := w.do(ctx, leaseFare(wait))
		wait = restWait
		switch {
		case err != nil:
			return err
		case status == http.StatusNoContent:
			attached()
			continue
		case status != http.StatusOK:
			return fmt.Errorf("lease from fare: status %d: %.200s", status, body)
		}
		attached()
		var l leased
		if err := json.Unmarshal(body, &l); err != nil {
			return err
		}
		for _, m := range l.Messages {
			// A lease that has run out is somebody else's by now.
			if _, _, err := w.do(ctx, answerFare(m)); err != nil {
				return err
			}
		}
	}
}

// leaseFare takes what is there, or waits for something.
func leaseFare(wait time.Duration) restRequest {
	return restRequest{
		http.MethodPost, "/v1/queues/fare/leases",
		map[string]any{"max": 10, "wait_ms": wait.Milliseconds()},
		nil,
	}
}

// answerFare answers and settles a request in one.
func answerFare(m leasedMessage) restRequest {
	var trip struct{ Km int }
	r := restRequest{method: http.MethodPost, path: "/v1/leases/" + m.Lease + "/reply"}
	switch err := json.Unmarshal([]byte(m.Body), &trip); {
	case m.Operation != "Price" && m.Operation != "":
		r.failure = &parley.Error{
			Code: parley.CodeNoMethod, Message: "fare has one operation, Price",
		}
	case err != nil:
		r.failure = &parley.Error{Code: parley.CodeBadRequest, Message: `the body is not {"km":N}`}
	default:
		r.body = map[string]int{"cents": 300 + 150*trip.Km}
	}
	return r
}

// restRequest is one request of the worker.
type restRequest struct {
	method, path string
	body         any
	failure      *parley.Error // in place of an answer
}

// do sends a request with a JSON body and returns status and body of the answer.
func (w *restWorker) do(ctx context.Context, r restRequest) (int, []byte, error) {
	data, err := json.Marshal(r.body)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, w.base+r.path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if r.failure != nil {
		req.Header.Set("Parley-Header-parley-error", string(r.failure.Code))
		req.Header.Set("Parley-Header-parley-error-message", r.failure.Message)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRestBody))
	return res.StatusCode, body, err
}
