// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	stompdoor "github.com/parley-ipc/parley/internal/door/stomp"
	"github.com/parley-ipc/parley/internal/listen"
)

// closed reports whether an address is none.
func closed(address string) bool { return address == "" || address == Off }

// validateDoors returns all that is wrong with the addresses and certificates of the doors. Each
// fault begins with the path of its key.
func (o *Options) validateDoors() []error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	shared := !closed(o.Listen)
	if shared {
		if err := checkAddress(o.Listen, o.ListenAll); err != nil {
			fault("listen: %w", err)
		}
		if o.TLS.On() {
			faults = append(faults, prefixed(o.TLS.Validate(), func(string) string { return "tls" })...)
		}
	}
	used := shared
	for _, d := range o.Doors.all() {
		for _, at := range [...]struct{ key, address string }{
			{"listen", d.door.Listen}, {"tls_listen", d.door.TLSListen},
		} {
			if closed(at.address) {
				continue
			}
			if err := checkAddress(at.address, o.ListenAll); err != nil {
				fault("doors.%s.%s: %w", d.name, at.key, err)
			}
		}
		faults = append(faults, o.validateLine(d)...)
		switch {
		case !closed(d.door.TLSListen):
			used = true
			faults = append(faults, o.validateTLS(d)...)
		case d.door.TLS.On():
			fault("doors.%s.tls_listen: without it nothing speaks the TLS of this door", d.name)
		}
		if err := o.checkDialect(d); err != nil {
			faults = append(faults, err)
		}
		if err := o.checkWeb(d); err != nil {
			faults = append(faults, err)
		}
	}
	faults = append(faults, o.sameAddresses()...)
	if !used && o.TLS.On() {
		fault("tls: nothing speaks it; a door does where it has tls_listen, and so does listen")
	}
	return unique(faults)
}

// sameAddresses returns a fault for each listener at an address that another one has: the system would
// refuse it, and name neither.
func (o *Options) sameAddresses() []error {
	var faults []error
	taken := make(map[string]string)
	take := func(key, address string) {
		other, twice := taken[address]
		switch {
		case closed(address) || strings.HasSuffix(address, ":0"):
		case twice:
			faults = append(faults, fmt.Errorf("%s: %q is the address of %s, too", key, address, other))
		default:
			taken[address] = key
		}
	}
	for _, d := range o.Doors.all() {
		take("doors."+d.name+".listen", d.door.Listen)
		take("doors."+d.name+".tls_listen", d.door.TLSListen)
	}
	take("listen", o.Listen)
	return faults
}

// checkDialect returns what is wrong with the dialect of a door.
func (o *Options) checkDialect(d namedDoor) error {
	switch d.door.Dialect {
	case "":
		return nil
	case stompdoor.RabbitMQ, stompdoor.ActiveMQ:
		if d.door == &o.Doors.STOMP || d.door == &o.Doors.WebSTOMP {
			return nil
		}
		return fmt.Errorf("doors.%s.dialect: only stomp and webstomp have one", d.name)
	}
	return fmt.Errorf("doors.%s.dialect: %q is not %s or %s", d.name, d.door.Dialect,
		stompdoor.RabbitMQ, stompdoor.ActiveMQ)
}

// checkWeb returns what is wrong with the keys that only the door webstomp has.
func (o *Options) checkWeb(d namedDoor) error {
	switch {
	case d.door == &o.Doors.WebSTOMP:
		return nil
	case d.door.Static != "":
		return fmt.Errorf("doors.%s.static: only webstomp serves files", d.name)
	case d.door.HTTPAuth:
		return fmt.Errorf("doors.%s.http_auth: only webstomp looks at it", d.name)
	case d.door.Compress:
		return fmt.Errorf("doors.%s.compress: only webstomp compresses", d.name)
	}
	return nil
}

// validateLine returns what is wrong with the keys that only the doors line and thrift have.
func (o *Options) validateLine(d namedDoor) []error {
	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("doors."+d.name+"."+key+": "+format, args...))
	}
	udp := d.door.UDPListen
	switch {
	case d.door.Service != "" && d.door != &o.Doors.Thrift:
		fault("service", "the Thrift door alone has messages that name none")
	case len(d.door.Service) > serviceNameMost:
		fault("service", "a service is a queue, whose name has at most %d bytes", serviceNameMost)
	case d.door == &o.Doors.Line:
		if strings.HasPrefix(udp, unixPrefix) {
			fault("udp_listen", "datagrams come to host:port")
		} else if !closed(udp) {
			if err := checkAddress(udp, o.ListenAll); err != nil {
				fault("udp_listen", "%w", err)
			}
		}
		return faults
	case !closed(udp):
		fault("udp_listen", "the line door alone takes datagrams")
	case d.door.User != "" && d.door != &o.Doors.Thrift:
		fault("user", "clients of this door say who they are")
	}
	return faults
}

// udp returns where a door takes datagrams: where it listens, when nothing else is said.
func (d *Door) udp() string {
	if d.UDPListen != "" || strings.HasPrefix(d.Listen, unixPrefix) {
		return d.UDPListen
	}
	return d.Listen
}

const (
	unixPrefix      = "unix:"
	serviceNameMost = 255
)

// validateTLS returns what is wrong with the certificates of one door.
func (o *Options) validateTLS(d namedDoor) []error {
	merged, own := o.doorTLS(d.door), tlsFields(&d.door.TLS)
	if !merged.On() {
		return []error{fmt.Errorf("doors.%s.tls_listen: TLS needs a certificate: tls.cert, tls.key",
			d.name)}
	}
	return prefixed(merged.Validate(), func(field string) string {
		if value := own[field]; value != nil && *value != "" {
			return "doors." + d.name + ".tls"
		}
		return "tls"
	})
}

// prefixed puts the path before the name of each field.
func prefixed(list []*listen.FieldError, path func(field string) string) []error {
	faults := make([]error, len(list))
	for i, fault := range list {
		faults[i] = fmt.Errorf("%s.%w", path(fault.Field), fault)
	}
	return faults
}

// doorTLS returns what a door's TLS listener has: its own, and the hub's for the rest.
func (o *Options) doorTLS(d *Door) TLS {
	merged := d.TLS
	into, from := tlsFields(&merged), tlsFields(&o.TLS)
	for name, value := range into {
		if *value == "" {
			*value = *from[name]
		}
	}
	return merged
}

// tlsFields returns the fields by their names in a configuration.
func tlsFields(o *TLS) map[string]*string {
	return map[string]*string{
		"cert": &o.Cert, "key": &o.Key, "client_ca": &o.ClientCA, "client_auth": &o.ClientAuth,
		"identity": &o.Identity,
	}
}

// unique drops repeated faults: doors share certificates.
func unique(faults []error) []error {
	seen := make(map[string]bool, len(faults))
	var out []error
	for _, fault := range faults {
		if text := fault.Error(); !seen[text] {
			seen[text] = true
			out = append(out, fault)
		}
	}
	return out
}

// checkAddress refuses what is no address, and what is not loopback unless everyone may come in.
func checkAddress(address string, all bool) error {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		if path == "" {
			return errors.New("unix: needs a path")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not host:port, unix:PATH or off", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: the port is not a number up to 65535", address)
	}
	if ip := net.ParseIP(host); all || host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address; listen_all allows others", address)
}

// checkOrigin refuses what no browser sends as its origin; that includes *, which would let pages of
// everybody in.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		origin != u.Scheme+"://"+u.Host {
		return fmt.Errorf("%q is not like https://app.example", origin)
	}
	return nil
}

// proxies reads Proxies; the error has the key first.
func (o *Options) proxies() ([]netip.Prefix, error) {
	list := make([]netip.Prefix, len(o.Proxies))
	for i, text := range o.Proxies {
		if addr, err := netip.ParseAddr(text); err == nil {
			list[i] = netip.PrefixFrom(addr, addr.BitLen())
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("proxies[%d]: %q is no address and no network such as 10.0.0.0/24", i,
				text)
		}
		list[i] = prefix
	}
	return list, nil
}
