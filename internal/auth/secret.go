// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
)

// stars is what a secret looks like from outside.
const stars = "***"

// Secret is a password or token. Printed, logged or encoded it is three stars, also inside
// other values; only Reveal gives it away. The zero value is the empty secret.
type Secret struct {
	// A pointer, so that fmt shows an address where it cannot call methods: in an unexported
	// field of a struct.
	value *string
}

// NewSecret wraps a secret.
func NewSecret(value string) Secret { return Secret{value: &value} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.value == nil || *s.value == "" }

// String returns stars.
func (s Secret) String() string { return stars }

// Format writes stars for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, stars) }

// LogValue returns stars.
func (s Secret) LogValue() slog.Value { return slog.StringValue(stars) }

// MarshalText returns stars; JSON and YAML use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// UnmarshalText reads a secret, as from a configuration file.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// RedactURI returns uri without its password, for logs and for what an API shows. What cannot be
// read as a URI loses everything before its last "@".
func RedactURI(uri string) string {
	parsed, err := url.Parse(uri)
	if err == nil && parsed.User == nil && parsed.Opaque == "" {
		return uri
	}
	if err == nil && parsed.User != nil {
		if _, has := parsed.User.Password(); !has {
			return uri
		}
		rest := *parsed
		rest.User = nil
		scheme, after, _ := strings.Cut(rest.String(), "//")
		return scheme + "//" + url.User(parsed.User.Username()).String() + ":" + stars + "@" + after
	}
	if at := strings.LastIndexByte(uri, '@'); at >= 0 {
		return stars + uri[at:]
	}
	return uri
}
