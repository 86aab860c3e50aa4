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

// leased is what the hub hands out.
type leased struct {
	Messages []struct {
		Lease  string          `json:"lease"`
		Method string          `json:"method"`
		Body   json.RawMessage `json:"body"`
	} `json:"messages"`
}

func (w *restWorker) run(ctx context.Context) error {
	status, _, err := w.do(ctx, http.MethodPut, "/v1/queues/fare", map[string]any{"durable": true})
	if err != nil {
		return err
	}
	if status != http.StatusCreated && status != http.StatusOK {
		return fmt.Errorf("declare fare: status %d", status)
	}
	for {
		status, body, err := w.do(ctx, http.MethodPost, "/v1/queues/fare/leases",
			map[string]any{"max": 10, "wait_ms": restWait.Milliseconds()})
		switch {
		case err != nil:
			return err
		case status == http.StatusNoContent:
			continue
		case status != http.StatusOK:
			return fmt.Errorf("lease from fare: status %d: %.200s", status, body)
		}
		var l leased
		if err := json.Unmarshal(body, &l); err != nil {
			return err
		}
		for _, m := range l.Messages {
			var trip struct{ Km int }
			answer := any(map[string]string{"error": "the body is not {\"km\":N}"})
			if json.Unmarshal(m.Body, &trip) == nil {
				answer = map[string]int{"cents": 300 + 150*trip.Km}
			}
			// A lease that ran out is somebody else's by now.
			if _, _, err := w.do(ctx, http.MethodPost, "/v1/leases/"+m.Lease+"/reply", answer); err != nil {
				return err
			}
		}
	}
}

// do sends a request with a JSON body and returns status and body of the answer.
func (w *restWorker) do(ctx context.Context, method, path string, in any) (int, []byte, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := w.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRestBody))
	return res.StatusCode, body, err
}
