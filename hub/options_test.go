// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"strings"
	"testing"
)

func TestOptionsValidate(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name   string
		change func(*Options)
		want   string // part of the fault; none: valid
	}{
		{"defaults", func(*Options) {}, ""},
		{"free port", func(o *Options) { o.Doors.AMQP.Listen = "127.0.0.1:0" }, ""},
		{"IPv6", func(o *Options) { o.Doors.AMQP.Listen = "[::1]:65535" }, ""},
		{"name of this machine", func(o *Options) { o.Doors.AMQP.Listen = "localhost:1" }, ""},
		{"socket", func(o *Options) { o.Doors.STOMP.Listen = "unix:/run/parley" }, ""},
		{"off", func(o *Options) { o.Doors.REST.Listen = Off }, ""},
		{"all", func(o *Options) { o.Doors.REST.Listen, o.ListenAll = ":80", true }, ""},
		{"not all", func(o *Options) { o.Doors.REST.Listen = ":80" }, "listen_all allows others"},
		{"elsewhere", func(o *Options) { o.Doors.REST.Listen = "192.0.2.1:80" }, "not a loopback"},
		{"no port", func(o *Options) { o.Doors.REST.Listen = "127.0.0.1" }, "is not host:port"},
		{"word", func(o *Options) { o.Doors.REST.Listen = "127.0.0.1:http" }, "the port is not"},
		{"port", func(o *Options) { o.Doors.REST.Listen = "127.0.0.1:65536" }, "the port is not"},
		{"no path", func(o *Options) { o.Doors.REST.Listen = "unix:" }, "needs a path"},
		{"a service of a listener", func(o *Options) { o.Doors.Thrift.Service = "calculator" }, ""},
		{
			"a service of another one", func(o *Options) { o.Doors.Line.Service = "calculator" },
			"doors.line.service: the Thrift door alone",
		},
		{
			"a service that is no queue", func(o *Options) { o.Doors.Thrift.Service = strings.Repeat("s", 256) },
			"doors.thrift.service: a service is a queue",
		},
		{"a service of Thrift", func(o *Options) {
			o.Services = map[string]Service{"s": {
				Members: map[string]Instance{"a": {URL: "thrift+tls://s:9090"}, "b": {URL: "10.0.0.1:1"}},
				Thrift:  ThriftService{Protocol: "compact", Conns: 8}, Pool: Pool{MemberInFlight: 8},
			}}
		}, ""},
		{"a protocol", func(o *Options) {
			o.Services = map[string]Service{"s": {Protocol: "grpc"}}
		}, "services.s.protocol: \"grpc\""},
		{"a format", func(o *Options) {
			o.Services = map[string]Service{"s": {Format: "xml"}}
		}, "services.s.format: \"xml\""},
		{"two protocols", func(o *Options) {
			o.Services = map[string]Service{"s": {Members: map[string]Instance{
				"a": {URL: "thrift://s:9090"}, "b": {URL: "http://s"},
			}}}
		}, "services.s.members.b.url: http: the service speaks thrift"},
		{"Thrift that is none", func(o *Options) {
			o.Services = map[string]Service{"s": {Thrift: ThriftService{Transport: "pigeon"}}}
		}, "services.s.thrift.transport: \"pigeon\""},
		{"more calls than connections", func(o *Options) {
			o.Services = map[string]Service{"s": {Protocol: "thrift", Pool: Pool{MemberInFlight: 65}}}
		}, "services.s.pool.member_in_flight: 65 calls"},
		{"a user of Thrift", func(o *Options) { o.Doors.Thrift.User = "ada" }, ""},
		{"datagrams", func(o *Options) { o.Doors.Line.UDPListen = "127.0.0.1:0" }, ""},
		{"datagrams elsewhere", func(o *Options) { o.Doors.Line.UDPListen = ":1" }, "listen_all allows"},
		{"datagrams on a path", func(o *Options) { o.Doors.Line.UDPListen = "unix:/x" }, "host:port"},
		{"datagrams of AMQP", func(o *Options) { o.Doors.AMQP.UDPListen = "[::1]:1" }, "the line door alone"},
		{"a user of a listener", func(o *Options) { o.Doors.Line.User = "ada" }, ""},
		{"a user of another one", func(o *Options) { o.Doors.REST.User = "ada" }, "say who they are"},
		{
			"TLS without a certificate", func(o *Options) { o.Doors.AMQP.TLSListen = "127.0.0.1:0" },
			"doors.amqp.tls_listen: TLS needs a certificate",
		},
		{"TLS that nothing speaks", func(o *Options) { o.TLS.Cert = "x" }, "tls: nothing speaks it"},
		{
			"a door's TLS without a listener", func(o *Options) { o.Doors.REST.TLS.Key = "x" },
			"doors.rest.tls_listen: without it",
		},
		{"files", func(o *Options) { o.Doors.WebSTOMP.Static = "/srv/pages" }, ""},
		{
			"files at another door", func(o *Options) { o.Doors.REST.Static = "/srv/pages" },
			"doors.rest.static: only webstomp serves files",
		},
		{"compression", func(o *Options) { o.Doors.WebSTOMP.Compress = true }, ""},
		{
			"compression at another door", func(o *Options) { o.Doors.STOMP.Compress = true },
			"doors.stomp.compress: only webstomp",
		},
		{"login by HTTP", func(o *Options) { o.Doors.WebSTOMP.HTTPAuth = true }, ""},
		{
			"login by HTTP at another door", func(o *Options) { o.Doors.REST.HTTPAuth = true },
			"doors.rest.http_auth: only webstomp",
		},
		{"the door's own key", func(o *Options) {
			o.Doors.AMQP.TLSListen, o.TLS.Cert, o.Doors.AMQP.TLS.Identity = "127.0.0.1:0", "x", "y"
		}, "tls.key: TLS needs the certificate's key\ndoors.amqp.tls.identity: \"y\" is not"},
		{"origin", func(o *Options) { o.Origins = []string{"https://app.example:8443"} }, ""},
		{"any origin", func(o *Options) { o.Origins = []string{"*"} }, "is not like https://app.example"},
		{"page", func(o *Options) { o.Origins = []string{"https://app.example/"} }, "is not like https"},
		{"proxies", func(o *Options) { o.Proxies = []string{"10.0.0.1", "fd00::/8"} }, ""},
		{"webhooks", func(o *Options) {
			o.Webhooks.Networks = []string{"127.0.0.1", "fd00::/8"}
			o.Webhooks.Callbacks = []string{"https://ci.example"}
		}, ""},
		{"a webhook's name", func(o *Options) { o.Webhooks.Networks = []string{"lan"} }, "is no address and no network"},
		{"a callback's path", func(o *Options) { o.Webhooks.Callbacks = []string{"https://a.example/x"} }, "is no origin"},
		{"a proxy's name", func(o *Options) { o.Proxies = []string{"lb"} }, "is no address and no network"},
		{"dialects", func(o *Options) {
			o.Doors.STOMP.Dialect, o.Doors.WebSTOMP.Dialect = "activemq", "rabbitmq"
		}, ""},
		{"no such dialect", func(o *Options) { o.Doors.STOMP.Dialect = "artemis" }, `dialect: "artemis" is not`},
		{"a dialect of AMQP", func(o *Options) { o.Doors.AMQP.Dialect = "rabbitmq" }, "only stomp and webstomp"},
		{"sync", func(o *Options) { o.Sync = "never" }, `sync: "never" is not`},
		{"drain", func(o *Options) { o.Drain = -1 }, "drain: must not be negative"},
		{"hub's name", func(o *Options) { o.Name = "a.b" }, "may hold only letters"},
		{"all at once", func(o *Options) { o.Sync, o.Drain = "x", -1 }, "\ndrain: must"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := Defaults()
			tc.change(&o)
			err := o.Validate()
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
