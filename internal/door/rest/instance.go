// SPDX-License-Identifier: Apache-2.0

package rest

import "net/http"

// Instances attaches servers to services, which the hub then calls. It is safe for concurrent use;
// its errors are *broker.Error.
type Instances interface {
	// Put adds a server, or changes the one of that id; with a TTL it stays as long as it is put again
	// in time, and without one until it is removed. It reports whether the server is new.
	Put(vhost, service string, i Instance) (created bool, err error)
	// Drain keeps new calls away from a server, or lets them come again.
	Drain(vhost, service, id string, draining bool) error
	// Remove takes a server away; one that is not there is no error.
	Remove(vhost, service, id string) error
	// List shows the services of a virtual host that the hub calls, by name.
	List(vhost string) []ServiceStatus
}

// Instance is a server of a service (rest.md, Services).
type Instance struct {
	ID string `json:"-"`
	// URL says where it is: http, https or h2c, or thrift.
	URL string `json:"url"`
	// Protocol is http or thrift; empty: as the URL says.
	Protocol string `json:"protocol,omitempty"`
	// Thrift says how it is called that speaks it; what the first server of a service says holds for all
	// of it. Default: binary, framed.
	Thrift *InstanceThrift `json:"thrift,omitempty"`
	// Weight is its share beside others. Default 100.
	Weight int `json:"weight,omitempty"`
	// InFlight bounds the calls at one server. Default 1,024; what the first server of a service says
	// holds for all of it.
	InFlight int `json:"in_flight,omitempty"`
	// Health says how it is checked. Default: not at all; failed calls tell.
	Health *InstanceHealth `json:"health,omitempty"`
	// TTL is in seconds; 0: it stays.
	TTL int `json:"ttl_s,omitempty"`
}

// InstanceThrift says how a server is called that speaks Thrift.
type InstanceThrift struct {
	// Protocol is binary, compact or json; Transport framed, unframed, header, ttheader, zlib or http.
	Protocol  string `json:"protocol,omitempty"`
	Transport string `json:"transport,omitempty"`
	// Multiplex names the service at a server that has several.
	Multiplex string `json:"multiplex,omitempty"`
	// Oneway lists methods that are never answered, besides those of the contract.
	Oneway []string `json:"oneway,omitempty"`
	// FBThrift says that exceptions 11 and 12 mean what fbthrift has them mean.
	FBThrift bool `json:"fbthrift,omitempty"`
}

// InstanceHealth is a check and its numbers; 0 is the default of each.
type InstanceHealth struct {
	HTTP *struct {
		Path string `json:"path"`
	} `json:"http,omitempty"`
	Thrift *struct {
		Method string `json:"method"`
	} `json:"thrift,omitempty"`
	TCP        *struct{} `json:"tcp,omitempty"`
	IntervalMS int64     `json:"interval_ms,omitempty"`
	TimeoutMS  int64     `json:"timeout_ms,omitempty"`
	Down       int       `json:"down,omitempty"`
	Up         int       `json:"up,omitempty"`
}

// ServiceStatus shows a service that the hub calls.
type ServiceStatus struct {
	Name      string           `json:"name"`
	InFlight  int              `json:"in_flight"`
	Free      int              `json:"free"`
	Limit     int              `json:"limit"`
	Waiting   int              `json:"waiting"`
	MedianMS  float64          `json:"median_ms"`
	TailMS    float64          `json:"tail_ms"`
	Counts    ServiceCounts    `json:"counts"`
	Instances []InstanceStatus `json:"instances"`
	// Breakers are those that are not closed, by operation.
	Breakers map[string]string `json:"breakers,omitempty"`
}

// ServiceCounts are what has happened with a service, since the hub began to call it.
type ServiceCounts struct {
	Calls          uint64 `json:"calls"`
	Attempts       uint64 `json:"attempts"`
	Failed         uint64 `json:"failed"`
	Retries        uint64 `json:"retries"`
	RetriesRefused uint64 `json:"retries_refused"`
	Hedges         uint64 `json:"hedges"`
	HedgesWon      uint64 `json:"hedges_won"`
	Expired        uint64 `json:"expired"`
	Panics         uint64 `json:"panics"`
	Ejections      uint64 `json:"ejections"`
	Refused        uint64 `json:"refused"`
}

// InstanceStatus shows one address of a server.
type InstanceStatus struct {
	ID        string  `json:"id"`
	URL       string  `json:"url"`
	Address   string  `json:"address"`
	State     string  `json:"state"`
	Reason    string  `json:"reason,omitempty"`
	Since     string  `json:"since"`
	Weight    int     `json:"weight"`
	InFlight  int     `json:"in_flight"`
	Streams   int     `json:"streams"`
	LatencyMS float64 `json:"latency_ms"`
	Successes uint64  `json:"successes"`
	Failures  uint64  `json:"failures"`
	Ejections int     `json:"ejections"`
}

// mayAttach asks for an administrator: where the hub connects to is for nobody else to say
// (security.md H10).
func (v *visit) mayAttach() error {
	o := &v.door.options
	switch {
	case o.Instances == nil:
		return problemf(wordNotFound, "this hub attaches no servers to services")
	case o.Administrator == nil || !o.Administrator(v.client.key.user):
		return problemf("forbidden", "only administrators attach servers to services")
	}
	return nil
}

// putInstance is PUT /services/{svc}/instances/{id}: 201 when it is new. Repeated it is the heart-beat.
func (d *Door) putInstance(v *visit) error {
	if err := v.mayAttach(); err != nil {
		return err
	}
	var i Instance
	if err := v.decode(&i, false); err != nil {
		return err
	}
	i.ID = v.path("id")
	if err := checkName("instance", i.ID); err != nil {
		return err
	}
	if err := checkName("service", v.path("svc")); err != nil {
		return err
	}
	created, err := d.options.Instances.Put(v.client.key.vhost, v.path("svc"), i)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return v.reply(status, i)
}

// instanceChange is the body of PATCH /services/{svc}/instances/{id}.
type instanceChange struct {
	Draining *bool `json:"draining"`
}

// patchInstance is PATCH /services/{svc}/instances/{id}.
func (d *Door) patchInstance(v *visit) error {
	if err := v.mayAttach(); err != nil {
		return err
	}
	var want instanceChange
	if err := v.decode(&want, false); err != nil {
		return err
	}
	if want.Draining == nil {
		return badRequest("draining is needed")
	}
	err := d.options.Instances.Drain(v.client.key.vhost, v.path("svc"), v.path("id"), *want.Draining)
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, want)
}

// deleteInstance is DELETE /services/{svc}/instances/{id}: 204 also for one that is not there.
func (d *Door) deleteInstance(v *visit) error {
	if err := v.mayAttach(); err != nil {
		return err
	}
	err := d.options.Instances.Remove(v.client.key.vhost, v.path("svc"), v.path("id"))
	if err != nil {
		return err
	}
	return v.noContent()
}

// servicesBody lists services.
type servicesBody struct {
	Services []ServiceStatus `json:"services"`
}

// listServices is GET /services: those that the hub calls itself and the user may see.
func (d *Door) listServices(v *visit) error {
	list := []ServiceStatus{}
	if d.options.Instances != nil {
		all := d.options.Instances.List(v.client.key.vhost)
		err := v.work(func(w *worker) error {
			for i := range all {
				if w.Visible("queue", all[i].Name) {
					list = append(list, all[i])
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return v.reply(http.StatusOK, servicesBody{Services: list})
}
