// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
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
	used := false
	for _, d := range o.Doors.all() {
		for _, at := range [...]struct{ key, address string }{
			{"listen", d.door.Listen}, {"tls_listen", d.door.TLSListen},
		} {
			if closed(at.address) {
				continue
			}
			if !d.built {
				fault("doors.%s.%s: this build has no such door; only %q is possible", d.name, at.key, Off)
			} else if err := checkAddress(at.address, o.ListenAll); err != nil {
				fault("doors.%s.%s: %w", d.name, at.key, err)
			}
		}
		switch {
		case !closed(d.door.TLSListen):
			used = true
			faults = append(faults, o.validateTLS(d)...)
		case d.door.TLS.On():
			fault("doors.%s.tls_listen: without it nothing speaks the TLS of this door", d.name)
		}
	}
	if !used && o.TLS.On() {
		fault("tls: nothing speaks it; a door does where it has tls_listen")
	}
	return unique(faults)
}

// validateTLS returns what is wrong with the certificates of one door.
func (o *Options) validateTLS(d namedDoor) []error {
	merged, own := o.doorTLS(d.door), tlsFields(&d.door.TLS)
	if !merged.On() {
		return []error{fmt.Errorf("doors.%s.tls_listen: TLS needs a certificate: tls.cert, tls.key",
			d.name)}
	}
	list := merged.Validate()
	faults := make([]error, len(list))
	for i, fault := range list {
		prefix := "tls"
		if value := own[fault.Field]; value != nil && *value != "" {
			prefix = "doors." + d.name + ".tls"
		}
		faults[i] = fmt.Errorf("%s.%w", prefix, fault)
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
func checkAddress(listen string, all bool) error {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		if path == "" {
			return errors.New("unix: needs a path")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("%q is not host:port, unix:PATH or off", listen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: the port is not a number up to 65535", listen)
	}
	if ip := net.ParseIP(host); all || host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address; listen_all allows others", listen)
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
