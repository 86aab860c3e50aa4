// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/parley-ipc/parley/internal/auth"
)

// policyKey is what a key of a definition takes.
type policyKey struct {
	// what is the value's name in an error.
	what string
	// least is the least number; texts are the allowed ones. Neither: any text.
	number   bool
	least    int64
	texts    []string
	operator bool
	// ignored keys are taken with any value: what they set, one machine does not have.
	ignored bool
}

// policyKeys are the keys of definitions. Of those that it only takes, the hub has no use for
// mirrors, leaders and memory limits of their own.
//
//nolint:gochecknoglobals // a table, never written
var policyKeys = map[string]policyKey{
	"message-ttl":      {what: "message TTL", number: true, operator: true},
	"expires":          {what: "queue expiry", number: true, least: 1, operator: true},
	"max-length":       {what: "maximum length", number: true, operator: true},
	"max-length-bytes": {what: "maximum length in bytes", number: true, operator: true},
	"delivery-limit":   {what: "delivery limit", number: true, operator: true},
	"consumer-timeout": {what: "consumer timeout", number: true},
	"overflow": {
		what: "overflow value", operator: true,
		texts: []string{"drop-head", "reject-publish", "reject-publish-dlx"},
	},
	"dead-letter-exchange":    {what: "dead letter exchange name"},
	"dead-letter-routing-key": {what: "dead letter routing key"},
	"dead-letter-strategy": {
		what: "dead letter strategy", texts: []string{"at-most-once", "at-least-once"},
	},
	"alternate-exchange": {what: "alternate exchange name"},
	"queue-mode":         {what: "queue-mode value", texts: []string{"default", "lazy"}},
	"queue-version":      {what: "queue version", number: true, least: 1},
	"max-priority":       {ignored: true},

	"max-in-memory-length":          {ignored: true, operator: true},
	"max-in-memory-bytes":           {ignored: true, operator: true},
	"ha-mode":                       {ignored: true},
	"ha-params":                     {ignored: true},
	"ha-sync-mode":                  {ignored: true},
	"ha-sync-batch-size":            {ignored: true},
	"ha-promote-on-shutdown":        {ignored: true},
	"ha-promote-on-failure":         {ignored: true},
	"queue-master-locator":          {ignored: true},
	"queue-leader-locator":          {ignored: true},
	"initial-cluster-size":          {ignored: true},
	"target-group-size":             {ignored: true},
	"max-age":                       {ignored: true},
	"stream-max-segment-size-bytes": {ignored: true},
	"federation-upstream":           {ignored: true},
	"federation-upstream-set":       {ignored: true},
	"federation-upstream-pattern":   {ignored: true},
}

// compile checks a policy and makes it ready to act.
func (s *storedPolicy) compile(op string, kind PolicyKind, name string) (*compiledPolicy, error) {
	p := &compiledPolicy{Policy: Policy{Name: name, ApplyTo: applyToAll}}
	for _, step := range [...]func() error{
		func() error { return s.priority(p) },
		func() error { return s.pattern(p) },
		func() error { return s.applyTo(p) },
		func() error { return s.definition(kind, p) },
	} {
		if err := step(); err != nil {
			return nil, invalid(op, err.Error())
		}
	}
	return p, nil
}

func (s *storedPolicy) priority(p *compiledPolicy) error {
	n, ok := wholeNumber(s.Priority)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		return fmt.Errorf("priority should be a number, actually was %s", erlang(s.Priority))
	}
	p.Priority = int(n)
	return nil
}

func (s *storedPolicy) pattern(p *compiledPolicy) error {
	text, ok := s.Pattern.(string)
	if !ok {
		return fmt.Errorf("pattern should be a binary but was %s", erlang(s.Pattern))
	}
	if len(text) > auth.MaxPatternBytes {
		return fmt.Errorf("pattern should be at most %d bytes", auth.MaxPatternBytes)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return fmt.Errorf("pattern should be regular expression but is invalid: %w", err)
	}
	p.Pattern, p.pattern = text, compiled
	return nil
}

func (s *storedPolicy) applyTo(p *compiledPolicy) error {
	if s.ApplyTo == nil {
		return nil
	}
	text, _ := s.ApplyTo.(string)
	switch text {
	case applyToAll, applyToExchanges, applyToQueues, applyToClassic, applyToQuorum, applyToStreams:
		p.ApplyTo = text
		return nil
	}
	return fmt.Errorf("apply-to '%v' unrecognised; should be one of: 'queues', 'classic_queues', "+
		"'quorum_queues', 'streams', 'exchanges', or 'all' (default)", s.ApplyTo)
}

func (s *storedPolicy) definition(kind PolicyKind, p *compiledPolicy) error {
	if len(s.Definition) == 0 {
		return fmt.Errorf("no policy provided")
	}
	p.Definition = make(map[string]any, len(s.Definition))
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(s.Definition)) {
		value := s.Definition[name]
		key, known := policyKeys[name]
		if !known || kind == OperatorPolicy && !key.operator {
			unknown = append(unknown, "{"+erlang(name)+","+erlang(value)+"}")
			continue
		}
		taken, ok := key.take(value)
		if !ok {
			return fmt.Errorf("%s is not a valid %s", erlang(value), key.what)
		}
		p.Definition[name] = taken
	}
	if len(unknown) > 0 {
		return fmt.Errorf("[%s] are not recognised policy settings", strings.Join(unknown, ","))
	}
	return nil
}

// take returns a value as the hub reads it: whole numbers are int64.
func (k *policyKey) take(value any) (any, bool) {
	n, whole := wholeNumber(value)
	text, isText := value.(string)
	switch {
	case k.ignored && whole:
		return n, true
	case k.ignored:
		return value, true
	case k.number:
		return n, whole && n >= k.least && n <= maxLimit
	case len(k.texts) > 0:
		return text, slices.Contains(k.texts, text)
	}
	return text, isText
}

// maxLimit bounds numbers in definitions; times are bounded by what arguments may name.
const maxLimit = 1<<62 - 1

// wholeNumber reads a number of JSON.
func wholeNumber(value any) (int64, bool) {
	switch n := value.(type) {
	case json.Number:
		whole, err := strconv.ParseInt(n.String(), 10, 64)
		return whole, err == nil
	case int:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// decodeJSON decodes with numbers as they stand.
func decodeJSON(value []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	return d.Decode(to)
}

// erlang prints a value of JSON as RabbitMQ's texts do.
func erlang(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		return erlangBinary(v)
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			list = append(list, erlang(e))
		}
		return "[" + strings.Join(list, ",") + "]"
	case map[string]any:
		list := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, erlang(name)+" => "+erlang(v[name]))
		}
		return "#{" + strings.Join(list, ",") + "}"
	}
	return fmt.Sprint(value)
}

// erlangBinary prints text as Erlang does: as numbers when it holds what no text should.
func erlangBinary(s string) string {
	if s == "" {
		return "<<>>"
	}
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return "<<" + strconv.Quote(s) + ">>"
	}
	numbers := make([]string, 0, len(s))
	for _, b := range []byte(s) {
		numbers = append(numbers, strconv.Itoa(int(b)))
	}
	return "<<" + strings.Join(numbers, ",") + ">>"
}
