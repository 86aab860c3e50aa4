// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// proxy is nginx or HAProxy of Debian, in front of one service.
type proxy struct {
	name    string
	program string
	version string
}

const nginxConfig = `worker_processes 2;
daemon off;
error_log stderr error;
pid %[1]s/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000000;
  upstream service { server %[2]s; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen %[3]s;
    location / {
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`

const haproxyConfig = `global
  nbthread 2
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind %[2]s
  default_backend service
backend service
  server one %[1]s pool-max-conn 1024
`

func (p *proxy) Name() string { return p.name }

func (p *proxy) Build(ctx context.Context, _ string) error {
	path, err := exec.LookPath(p.name)
	if err != nil {
		// Debian keeps them where only root looks.
		if path, err = exec.LookPath("/usr/sbin/" + p.name); err != nil {
			return fmt.Errorf("%s: %w", p.name, ErrMissing)
		}
	}
	p.program = path
	text, err := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s -v: %w", p.name, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	p.version = strings.TrimPrefix(strings.TrimPrefix(line, "nginx version: "), "HAProxy version ")
	if p.name == HAProxy {
		version, _, _ := strings.Cut(p.version, " ")
		p.version = "haproxy/" + version
	}
	return nil
}

func (p *proxy) Start(ctx context.Context, place Place) (*Running, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	addr := hostPort(ports[0])
	text, flag := fmt.Sprintf(haproxyConfig, place.Upstream, addr), "-f"
	if p.name == Nginx {
		text, flag = fmt.Sprintf(nginxConfig, place.Dir, place.Upstream, addr), "-c"
	}
	path, err := writeFile(place.Dir, p.name+".conf", text)
	if err != nil {
		return nil, err
	}
	proc, err := start(spawn{
		program: p.program, args: []string{flag, path}, dir: place.Dir, trace: place.Trace,
	})
	if err != nil {
		return nil, err
	}
	run := &Running{HTTP: addr, Path: "/call", Version: p.version, counted: proc}
	return run.once(ctx, func(ctx context.Context) error { return accepts(ctx, addr) })
}

// goProxy is httputil.ReverseProxy of the Go that builds parley.
type goProxy struct {
	root    string
	program string
}

func (p *goProxy) Name() string { return ReverseProxy }

func (p *goProxy) Build(ctx context.Context, dir string) error {
	p.program = filepath.Join(dir, ReverseProxy)
	return goBuild(ctx, filepath.Join(p.root, "bench"), "./internal/peer/reverseproxy", p.program)
}

func (p *goProxy) Start(ctx context.Context, place Place) (*Running, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	addr := hostPort(ports[0])
	proc, err := start(spawn{
		program: p.program, args: []string{addr, place.Upstream}, dir: place.Dir,
		trace: place.Trace,
	})
	if err != nil {
		return nil, err
	}
	run := &Running{HTTP: addr, Path: "/call", Version: "httputil.ReverseProxy", counted: proc}
	return run.once(ctx, func(ctx context.Context) error { return accepts(ctx, addr) })
}
