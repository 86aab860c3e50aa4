// SPDX-License-Identifier: Apache-2.0

package console

import (
	"maps"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/parley-ipc/parley/internal/broker"
)

// node is the hub's name as a cluster of one.
func (c *Console) node() string { return "parley@" + c.options.Broker.Name() }

// home says what is here; a web page is to come.
func home(v *visit) error {
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := v.w.Write([]byte("parley management: the HTTP API is below /api/, for example" +
		" /api/overview. There is no web console yet.\n"))
	return ignoreWrite(err)
}

func getAuth(v *visit) error { return v.ok(object{"oauth_enabled": false}) }

func getVersion(v *visit) error { return v.ok(RabbitMQVersion) }

func getClusterName(v *visit) error {
	return v.ok(object{"name": v.console.options.Broker.Name()})
}

func whoAmI(v *visit) error {
	return v.ok(object{"name": v.user.Name, "tags": tagsOf(&v.user)})
}

func getOverview(v *visit) error {
	c := v.console
	o := object{
		"management_version": RabbitMQVersion, "rabbitmq_version": RabbitMQVersion,
		"product_name": c.options.Product, "product_version": c.options.Version,
		"cluster_name": c.options.Broker.Name(), "rates_mode": "basic",
		"exchange_types": exchangeTypes(), "disable_stats": false, "enable_queue_totals": false,
		"object_totals": v.objectTotals(), "queue_totals": v.queueTotals(),
	}
	if v.seesAll() { // they count all virtual hosts
		tally := c.options.Broker.Tally()
		o["message_stats"] = showTally(&tally)
	}
	if v.seesAll() { // where the hub listens is no business of others
		o["node"], o["listeners"] = c.node(), c.listeners()
	}
	q, err := v.query()
	if err != nil {
		return err
	}
	return v.ok(q.cut(o))
}

func exchangeTypes() []object {
	names := broker.ExchangeTypes()
	types := make([]object, 0, len(names))
	for _, name := range names {
		description := "AMQP " + name + " exchange, as per the AMQP specification"
		if strings.HasPrefix(name, "x-") {
			description = name + " exchange, as RabbitMQ has it with its plugins"
		}
		types = append(types, object{"name": name, "enabled": true, "description": description})
	}
	return types
}

// vhosts lists the virtual hosts whose content the user may see.
func (v *visit) vhosts() []*broker.VirtualHost {
	var out []*broker.VirtualHost
	for _, vh := range v.console.options.Broker.VirtualHosts() {
		if v.sees(vh.Name()) {
			out = append(out, vh)
		}
	}
	return out
}

func (v *visit) objectTotals() object {
	connections, channels, consumers, queues, exchanges := 0, 0, 0, 0, 0
	for _, c := range v.connections() {
		connections++
		channels += c.SessionCount()
	}
	for _, vh := range v.vhosts() {
		exchanges += len(vh.Exchanges())
		for _, q := range vh.Queues() {
			queues++
			consumers += q.Stats().Consumers
		}
	}
	return object{
		"connections": connections, "channels": channels, "consumers": consumers,
		"queues": queues, "exchanges": exchanges,
	}
}

func (v *visit) queueTotals() object {
	ready, unsettled := 0, 0
	for _, vh := range v.vhosts() {
		for _, q := range vh.Queues() {
			s := q.Stats()
			ready, unsettled = ready+s.Ready, unsettled+s.Unsettled
		}
	}
	return object{
		"messages": ready + unsettled, "messages_ready": ready,
		"messages_unacknowledged": unsettled,
	}
}

func (c *Console) listeners() []object {
	listeners := c.options.Listeners()
	out := make([]object, 0, len(listeners))
	for _, l := range listeners {
		host, port := l.hostPort()
		out = append(out, object{
			"node": c.node(), "protocol": l.protocol(), "ip_address": host, "port": port,
		})
	}
	return out
}

// protocol is RabbitMQ's name of what a door speaks.
func (l *Listener) protocol() string {
	door, encrypted := strings.CutSuffix(l.Door, tlsSuffix)
	switch door {
	case Name:
		door = "http"
	case "webstomp":
		door = "http/web-stomp"
	case "activemq":
		door = "stomp" // in another dialect
	}
	if encrypted {
		return door + "/ssl"
	}
	return door
}

// tlsSuffix stands behind the name of a door's listener with TLS.
const tlsSuffix = "-tls"

// hostPort returns the parts of a TCP address; a Unix socket's path is the host.
func (l *Listener) hostPort() (host string, port int) {
	host, text, err := net.SplitHostPort(l.Address)
	if err != nil || l.Network == "unix" {
		return l.Address, 0
	}
	return host, portNumber(text)
}

func portNumber(text string) int {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

func listNodes(v *visit) error {
	return v.list([]row{{v.console.node(), v.console.showNode}})
}

func getNode(v *visit) error {
	if v.name("node") != v.console.node() {
		return errNotFound
	}
	q, err := v.query()
	if err != nil {
		return err
	}
	return v.ok(q.cut(v.console.showNode()))
}

// processLimit is RabbitMQ's. Goroutines have no limit, but tools divide by it.
const processLimit = 1 << 20

func (c *Console) showNode() object {
	b, process := c.options.Broker, c.options.Process()
	memory, disk := b.Alarms()
	o := object{
		"name": c.node(), "type": "disc", "running": true, "processors": runtime.NumCPU(),
		"uptime":   b.Now().Sub(c.started).Milliseconds(),
		"mem_used": process.MemoryBytes, "mem_alarm": memory, "disk_free_alarm": disk,
		"fd_used": process.Descriptors, "fd_total": process.DescriptorLimit,
		"sockets_used": len(b.Connections()), "sockets_total": process.DescriptorLimit,
		"proc_used": runtime.NumGoroutine(), "proc_total": processLimit,
		"exchange_types": exchangeTypes(), "rates_mode": "basic", "partitions": []string{},
		"cluster_links": []string{}, "applications": []object{{
			"name": c.options.Product, "version": c.options.Version, "description": "parley",
		}},
	}
	if limit, ok := b.MemoryLimit(); ok {
		o["mem_limit"] = limit
	}
	return o
}

// failed answers a health check that did not pass.
func (v *visit) failed(reason string, more object) error {
	o := object{"status": "failed", "reason": reason}
	maps.Copy(o, more)
	return v.reply(http.StatusServiceUnavailable, o)
}
