// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/parley-ipc/parley"
	"github.com/parley-ipc/parley/hub"
)

// demoRetry is the pause before a demo worker that lost its connection comes back.
const demoRetry = time.Second

// demoWait is how long the hub waits for its demo workers before it introduces them.
const demoWait = 5 * time.Second

// demoQuotes is how many instances of quote there are.
const demoQuotes = 3

// demo is a handful of services in this process that reach the hub as others do, through its doors:
// greeter and quote speak AMQP through the SDK, eta speaks STOMP, fare works over REST, tip reads lines
// of JSON, road is a server of Thrift that the hub calls. What they answer depends on nothing but the
// question.
type demo struct {
	hub    *hub.Hub
	logger *slog.Logger
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// demoDoor returns the address of an open door, as a client of this machine reaches it.
func demoDoor(h *hub.Hub, name string) (string, bool) {
	a := h.Addr(name)
	if a == nil {
		return "", false
	}
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "", false // a Unix socket: the demo speaks TCP only
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), true
}

// startDemo starts a service for each door that is open, and returns when they are attached.
func startDemo(ctx context.Context, h *hub.Hub, logger *slog.Logger) (*demo, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &demo{hub: h, logger: logger, cancel: cancel}
	if addr, ok := demoDoor(h, "amqp"); ok {
		if err := d.startSDK(ctx, addr); err != nil {
			d.stop()
			return nil, err
		}
	}
	var workers []<-chan struct{}
	if addr, ok := demoDoor(h, "stomp"); ok {
		eta := func(ctx context.Context, attached func()) error { return stompETA(ctx, addr, attached) }
		workers = append(workers, d.keep(ctx, "eta over STOMP", eta))
	}
	if addr, ok := demoDoor(h, "rest"); ok {
		w := &restWorker{base: "http://" + addr, client: &http.Client{Timeout: restTimeout}}
		workers = append(workers, d.keep(ctx, "fare over REST", w.run))
		road := &thriftRoad{rest: w}
		workers = append(workers, d.keep(ctx, "road in Thrift", road.run))
	}
	if addr, ok := demoDoor(h, "line"); ok {
		tip := func(ctx context.Context, attached func()) error { return lineTip(ctx, addr, attached) }
		workers = append(workers, d.keep(ctx, "tip in lines", tip))
	}
	patience := time.NewTimer(demoWait)
	defer patience.Stop()
	for _, attached := range workers {
		select {
		case <-attached:
		case <-patience.C:
			return d, nil // they come when they can; the log says why not
		}
	}
	return d, nil
}

// keep runs a worker again and again until the demo stops. The channel is closed when the worker is
// attached for the first time.
func (d *demo) keep(
	ctx context.Context, name string, run func(ctx context.Context, attached func()) error,
) <-chan struct{} {
	attached := make(chan struct{})
	once := sync.OnceFunc(func() { close(attached) })
	d.ended.Go(func() {
		for {
			err := run(ctx, once)
			if ctx.Err() != nil {
				return
			}
			d.logger.Warn("demo worker ended; it comes again", "worker", name, "error", err)
			if sleepUntil(ctx, time.Now().Add(demoRetry)) != nil {
				return
			}
		}
	})
	return attached
}

func (d *demo) stop() {
	d.cancel()
	d.ended.Wait()
}

type (
	nameArg  struct{ Name string }
	greeting struct {
		Text string `json:"text"`
	}
	article struct{ SKU int }
	price   struct {
		Cents int `json:"cents"`
	}
)

// startSDK starts greeter and three instances of quote, each on a connection of its own.
func (d *demo) startSDK(ctx context.Context, addr string) error {
	sayHello := parley.NewOp[nameArg, greeting]("greeter.SayHello")
	askPrice := parley.NewOp[article, price]("quote.Price")
	err := d.serve(ctx, addr, "greeter-1", func(s *parley.Service) {
		sayHello.Handle(s, func(_ context.Context, n nameArg) (greeting, error) {
			if n.Name == "" {
				return greeting{}, &parley.Error{Code: parley.CodeException, Message: "name is empty"}
			}
			return greeting{Text: "Hello, " + n.Name + "!"}, nil
		})
	})
	for i := 0; i < demoQuotes && err == nil; i++ {
		err = d.serve(ctx, addr, fmt.Sprintf("quote-%d", i+1), func(s *parley.Service) {
			askPrice.Handle(s, func(_ context.Context, a article) (price, error) {
				return price{Cents: 100*a.SKU + 10*i}, nil
			})
		})
	}
	return err
}

// serve runs one service on a connection of its own, and returns when it is attached.
func (d *demo) serve(
	ctx context.Context, addr, name string, register func(*parley.Service),
) error {
	conn, err := parley.Dial(ctx, "parley://"+addr, parley.WithName(name),
		parley.WithLogger(d.logger))
	if err != nil {
		return err
	}
	s := parley.NewService(conn, parley.ServiceConfig{Name: name})
	register(s)
	ended := make(chan error, 1)
	d.ended.Go(func() {
		defer conn.Close()
		err := s.Run(ctx)
		if err != nil && ctx.Err() == nil {
			d.logger.Error("demo service ended", "service", name, "error", err)
		}
		ended <- err
	})
	select {
	case <-s.Ready():
		return nil
	case err := <-ended:
		return fmt.Errorf("%s: %w", name, err)
	}
}

// introduce prints lines to copy.
func (d *demo) introduce(w io.Writer) {
	amqp, hasAMQP := demoDoor(d.hub, "amqp")
	stomp, hasSTOMP := demoDoor(d.hub, "stomp")
	rest, hasREST := demoDoor(d.hub, "rest")
	fmt.Fprintln(w, "\ndemo services: greeter and quote (AMQP), eta (STOMP), fare (REST), tip (lines), "+
		"road (Thrift). Try:")
	if hasREST {
		fmt.Fprintf(w, "  curl -d '{\"name\":\"Ada\"}' http://%s/v1/services/greeter/SayHello\n", rest)
		fmt.Fprintf(w, "  curl -d '{\"km\":12}' http://%s/v1/services/eta/Estimate\n", rest)
		fmt.Fprintf(w, "  curl --json '{\"at\":5,\"to\":12}' http://%s/v1/services/road/Between\n", rest)
	}
	if hasAMQP {
		url := ""
		if _, port, err := net.SplitHostPort(amqp); err == nil && port != "5672" {
			url = " --url parley://" + amqp
		}
		fmt.Fprintf(w, "  bin/parley%s call fare.Price '{\"km\":12}'\n", url)
		fmt.Fprintf(w, "  bin/parley%s gather quote.Price '{\"sku\":7}'\n", url)
	}
	if hasSTOMP {
		fmt.Fprint(w, stompLine(stomp))
	}
	if line, ok := demoDoor(d.hub, "line"); ok {
		fmt.Fprintf(w, "  echo '{\"op\":\"call\",\"id\":1,\"service\":\"greeter\",\"method\":\"SayHello\","+
			"\"body\":{\"name\":\"Ada\"}}' | nc -q 1 %s\n", strings.Replace(line, ":", " ", 1))
	}
	fmt.Fprintln(w)
}
