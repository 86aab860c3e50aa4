// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// BenchmarkPost posts messages that wait in a queue to a server of this process.
func BenchmarkPost(b *testing.B) {
	for name, batch := range map[string]int{"one": 0, "batch of 100": 100} {
		b.Run(name, func(b *testing.B) {
			h := newHub(b, nil)
			h.queue("q")
			s := h.session()
			defer s.Close()
			for range b.N {
				m := &broker.Message{Body: make([]byte, 100)}
				m.Key, m.Persistent = []byte("q"), true
				if _, err := s.Publish(m, broker.PublishParams{}); err != nil {
					b.Fatal(err)
				}
			}
			var posts atomic.Int64
			to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("WebHook-Allowed-Origin", "*")
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					b.Error(err)
				}
				posts.Add(1)
			}))
			defer to.Close()
			push := map[string]any{"url": to.URL, "format": formatBinary}
			if batch > 0 {
				push["format"], push["batch_max"] = formatBatch, batch
			}
			b.ResetTimer()
			h.put("s", "q", push)
			h.eventually("all are settled", func() bool { return h.waiting("q") == 0 })
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(posts.Load()-1)/float64(b.N), "posts/msg")
		})
	}
}
