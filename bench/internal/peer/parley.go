// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// ParleyData is parley's data directory below the place where it runs.
const ParleyData = "data"

// parley is the hub of this repository.
type parley struct {
	name    string
	root    string
	program string // given, or built
}

func (p *parley) Name() string { return p.name }

func (p *parley) Build(ctx context.Context, dir string) error {
	if p.program != "" {
		return nil
	}
	p.program = filepath.Join(dir, "parley")
	return goBuild(ctx, p.root, "./cmd/parley", p.program)
}

// Configurations with a service behind the hub, which is also where calls over Thrift go that name
// none.
const (
	parleyConfig = `services: {echo: {members: {one: {url: "http://%s"}}}}
`
	parleyThriftConfig = `services: {echo: {members: {one: {url: "thrift://%s"}}}}
doors: {thrift: {service: echo}}
`
)

func (p *parley) Start(ctx context.Context, place Place) (*Running, error) {
	ports, err := freePorts(ctx, 5)
	if err != nil {
		return nil, err
	}
	amqp, stomp, rest, pprof := hostPort(ports[0]), hostPort(ports[1]), hostPort(ports[2]),
		hostPort(ports[3])
	thrift := "off" // where nobody asks for it
	if place.Thrift {
		thrift = hostPort(ports[4])
	}
	args := []string{"serve", "--pprof", pprof}
	if place.Upstream != "" {
		text := fmt.Sprintf(parleyConfig, place.Upstream)
		if place.Thrift {
			text = fmt.Sprintf(parleyThriftConfig, place.Upstream)
		}
		path, err := writeFile(place.Dir, "parley.yaml", text)
		if err != nil {
			return nil, err
		}
		args = append(args, "--config", path)
	}
	proc, err := start(spawn{
		program: p.program,
		args:    args,
		dir:     place.Dir,
		trace:   place.Trace,
		env: append(os.Environ(),
			"PARLEY_DATA="+filepath.Join(place.Dir, ParleyData),
			"PARLEY_SYNC=always",
			"PARLEY_DOORS__AMQP__LISTEN="+amqp,
			"PARLEY_DOORS__STOMP__LISTEN="+stomp,
			"PARLEY_DOORS__REST__LISTEN="+rest,
			"PARLEY_DOORS__WEBSTOMP__LISTEN=off",
			"PARLEY_DOORS__MANAGEMENT__LISTEN=off",
			"PARLEY_DOORS__THRIFT__LISTEN="+thrift,
			"PARLEY_DOORS__LINE__LISTEN=off",
		),
	})
	if err != nil {
		return nil, err
	}
	run := &Running{
		Addr: amqp, Stomp: stomp, HTTP: rest, Thrift: thrift, Path: "/v1/services/echo/call",
		Version: "parley", Pprof: pprof, counted: proc,
	}
	return run.once(ctx, func(ctx context.Context) error {
		return answersOK(ctx, "http://"+rest+"/readyz")
	})
}

// answersOK reports whether a GET is answered with 200.
func answersOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Close = true // no idle connection stays during the measurement
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
