// SPDX-License-Identifier: Apache-2.0

package console

import (
	"slices"
	"strings"
)

func (v *visit) statusOK() error { return v.ok(object{"status": "ok"}) }

// checkOK answers checks of what cannot fail on one machine.
func checkOK(v *visit) error { return v.statusOK() }

func checkAlarms(v *visit) error {
	memory, disk := v.console.options.Broker.Alarms()
	var alarms []object
	if memory {
		alarms = append(alarms, object{"node": v.console.node(), "resource": "memory"})
	}
	if disk {
		alarms = append(alarms, object{"node": v.console.node(), "resource": "disk"})
	}
	if alarms == nil {
		return v.statusOK()
	}
	return v.failed("There are alarms in effect in the cluster", object{"alarms": alarms})
}

// checkVirtualHosts: a virtual host that is there works.
func checkVirtualHosts(v *visit) error { return v.statusOK() }

func checkReady(v *visit) error {
	if err := v.console.options.Ready(); err != nil {
		return v.failed(err.Error(), nil)
	}
	return v.statusOK()
}

func checkPort(v *visit) error {
	port := portNumber(v.name("port"))
	if port == 0 {
		return badRequest("the port is not a number from 1 to 65535")
	}
	ports := []int{}
	for _, l := range v.console.options.Listeners() {
		if _, p := l.hostPort(); p != 0 {
			ports = append(ports, p)
		}
	}
	if slices.Contains(ports, port) {
		return v.ok(object{"status": "ok", "port": port})
	}
	return v.failed("No active listener", object{"missing": port, "ports": ports})
}

// checkProtocol takes RabbitMQ's names of protocols: amqp091 is what the door amqp speaks.
func checkProtocol(v *visit) error {
	protocol := strings.ToLower(v.name("protocol"))
	want := protocol
	switch want {
	case "amqp091", "amqp0.9.1", "amqp 0-9-1":
		want = "amqp"
	}
	listeners := v.console.options.Listeners()
	protocols := make([]string, 0, len(listeners))
	for _, l := range listeners {
		protocols = append(protocols, l.protocol())
	}
	if slices.Contains(protocols, want) {
		return v.ok(object{"status": "ok", "protocol": v.name("protocol")})
	}
	return v.failed("No active listener", object{
		"missing": v.name("protocol"), "protocols": protocols,
	})
}
