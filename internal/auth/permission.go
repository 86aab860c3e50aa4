// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"fmt"
	"regexp"
	"strings"
)

// MaxPatternBytes bounds a pattern of a permission.
const MaxPatternBytes = 1024

// maxExpandedBytes bounds a pattern after names have been put into it.
const maxExpandedBytes = 8 << 10

// Action is what a caller wants to do with a resource.
type Action uint8

// The actions. The topic forms concern the routing keys of a topic exchange; Impersonate, which is to
// publish with another's user-id, has no resource.
const (
	Configure Action = iota
	Write
	Read
	WriteTopic
	ReadTopic
	Impersonate
)

// String returns the word that error texts use.
func (a Action) String() string {
	switch a {
	case Configure:
		return "configure"
	case Write, WriteTopic:
		return "write"
	case Read, ReadTopic:
		return "read"
	case Impersonate:
		return "impersonate"
	}
	return "unknown"
}

// Permission is what a user may do in one virtual host: three regular expressions (Go's syntax,
// RE2) that have to match the whole name of an exchange or queue. The default exchange has the
// name amq.default. An empty pattern matches nothing that has a name.
type Permission struct {
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// TopicPermission limits the routing keys that a user may publish to (Write) and bind with
// (Read) on one topic exchange. In the patterns {username} and {vhost} stand for those names,
// taken literally. Where a user has none for an exchange, every key is allowed.
type TopicPermission struct {
	Write string `json:"write"`
	Read  string `json:"read"`
}

// Unanchored turns a pattern that may match anywhere in a name, as RabbitMQ's do, into one that
// allows the same and matches whole names. The empty pattern stays: it allows nothing.
func Unanchored(pattern string) (string, error) {
	if pattern == "" {
		return "", nil
	}
	if _, err := compile(pattern, MaxPatternBytes); err != nil {
		return "", err
	}
	return ".*(?:" + pattern + ").*", nil
}

// compile makes a pattern match whole names, of which line breaks are a part.
func compile(pattern string, limitBytes int) (*regexp.Regexp, error) {
	if len(pattern) > limitBytes {
		return nil, fmt.Errorf("pattern is longer than %d bytes", limitBytes)
	}
	// Alone first: ")|(" has to be an error, not a way out of the group.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("compile pattern: %w", err)
	}
	whole, err := regexp.Compile(`(?s)\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("compile pattern: %w", err)
	}
	return whole, nil
}

// expand puts names into the pattern of a topic permission.
func expand(pattern, user, vhost string) string {
	return strings.NewReplacer("{username}", quote(user), "{vhost}", quote(vhost)).Replace(pattern)
}

// quote makes a name stand for itself in a pattern, inside a character class too, where
// regexp.QuoteMeta would leave "a-z" a range.
func quote(name string) string {
	var quoted strings.Builder
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if c > ' ' && c < 0x7f && !letter && (c < '0' || c > '9') {
			quoted.WriteByte('\\')
		}
		quoted.WriteByte(c)
	}
	return quoted.String()
}

// grant is a compiled Permission.
type grant struct {
	patterns               Permission
	configure, write, read *regexp.Regexp
}

func compileGrant(p Permission) (*grant, error) {
	g := &grant{patterns: p}
	for _, part := range []struct {
		name, pattern string
		to            **regexp.Regexp
	}{
		{"configure", p.Configure, &g.configure},
		{"write", p.Write, &g.write},
		{"read", p.Read, &g.read},
	} {
		compiled, err := compile(part.pattern, MaxPatternBytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.to = compiled
	}
	return g, nil
}

// topicGrant is a compiled TopicPermission of one user, virtual host and exchange.
type topicGrant struct {
	patterns    TopicPermission
	write, read *regexp.Regexp
}

func compileTopic(p TopicPermission, user, vhost string) (*topicGrant, error) {
	g := &topicGrant{patterns: p, write: nil, read: nil}
	for _, part := range []struct {
		name, pattern string
		to            **regexp.Regexp
	}{
		{"write", p.Write, &g.write},
		{"read", p.Read, &g.read},
	} {
		if len(part.pattern) > MaxPatternBytes {
			return nil, fmt.Errorf("%s: pattern is longer than %d bytes", part.name, MaxPatternBytes)
		}
		compiled, err := compile(expand(part.pattern, user, vhost), maxExpandedBytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.to = compiled
	}
	return g, nil
}
