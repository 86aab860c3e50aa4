// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"strings"
)

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

// linksBody is the door's first page.
type linksBody struct {
	Product string            `json:"product"`
	Links   map[string]string `json:"links"`
}

// links is the door's first page: where everything is. Each operation of the OpenAPI document has its
// path here.
func (d *Door) links(v *visit) error {
	out := linksBody{Product: "parley", Links: map[string]string{}}
	known := operations()
	for _, r := range d.table() {
		out.Links[known[r.method+" "+r.pattern].id] = "/v1" + pathOf(r.pattern)
	}
	for pattern := range d.publicRoutes() {
		_, path, _ := strings.Cut(pattern, " ")
		out.Links[known[pattern].id] = pathOf(path)
	}
	v.w.Header().Add("Link", `</openapi.json>; rel="service-desc"; type="application/json"`)
	return v.reply(http.StatusOK, out)
}
