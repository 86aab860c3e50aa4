// SPDX-License-Identifier: Apache-2.0

package rest

import "net/http"

type healthBody struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// healthz says that the process serves.
func (d *Door) healthz(v *visit) error {
	return v.reply(http.StatusOK, healthBody{Status: "ok"})
}

// readyz says whether the hub takes work.
func (d *Door) readyz(v *visit) error {
	if d.isDraining() {
		return problemf(wordDraining, "the hub stops")
	}
	if err := d.options.Ready(); err != nil {
		v.w.Header().Set("Retry-After", "1")
		return v.reply(http.StatusServiceUnavailable, healthBody{
			Status: "not ready", Reason: err.Error(),
		})
	}
	return v.reply(http.StatusOK, healthBody{Status: "ready"})
}

// links is the door's first page: where everything is.
func (d *Door) links(v *visit) error {
	return v.reply(http.StatusOK, map[string]any{
		"product": "parley",
		"links": map[string]string{
			"queues":    "/v1/queues",
			"exchanges": "/v1/exchanges",
			"bindings":  "/v1/bindings",
			"send":      "/v1/queues/{queue}/messages",
			"lease":     "/v1/queues/{queue}/leases",
			"publish":   "/v1/topics/{topic}/messages",
			"subscribe": "/v1/topics/{pattern}/stream",
			"call":      "/v1/services/{service}/{method}",
			"gather":    "/v1/services/{service}/{method}/gather",
			"request":   "/v1/requests/{id}",
			"health":    "/healthz",
			"ready":     "/readyz",
		},
	})
}
