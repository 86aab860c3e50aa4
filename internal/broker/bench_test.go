// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// The benchmarks named Growth run with few and with many of something, and their figure for one
// operation must not follow that number. Only allocations and ratios mean anything here; end to end
// is bench/.

var many = []int{100, 10_000}

// quiet is a session whose sink keeps nothing.
func quiet(b *testing.B) *client {
	b.Helper()
	c := newClient(b, newBroker(b), "c")
	conn := c.Connection()
	s, err := conn.OpenSession(&quietSink{})
	if err != nil {
		b.Fatal(err)
	}
	return &client{Session: s, sink: newSink(), tb: b}
}

func (c *client) send(m *broker.Message) {
	if _, err := c.Publish(m, broker.PublishParams{}); err != nil {
		c.tb.Fatal(err)
	}
}

// topicBindings binds queues with keys of every form, of which few match one message.
func (c *client) topicBindings(n int) {
	c.tb.Helper()
	for i := range 10 {
		c.queue(fmt.Sprint("t", i))
	}
	forms := []string{"site.%d.temp", "site.%d.*", "site.%d.#", "*.%d.temp.high", "#.%d.alarm"}
	for i := range n {
		c.bind("amq.topic", fmt.Sprint("t", i%10), fmt.Sprintf(forms[i%len(forms)], i))
	}
}

// BenchmarkGrowthTopic publishes with ever new keys, so that no route is in the cache.
func BenchmarkGrowthTopic(b *testing.B) {
	for _, n := range append(many, 100_000) {
		b.Run(fmt.Sprint("bindings ", n), func(b *testing.B) {
			c := quiet(b)
			c.topicBindings(n)
			m := &broker.Message{}
			m.Exchange = []byte("amq.topic")
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				m.Key = fmt.Appendf(m.Key[:0], "site.%d.wind.%d", i%n, i)
				c.send(m)
				if i%1_000 == 999 {
					b.StopTimer()
					c.purge(10)
					b.StartTimer()
				}
			}
		})
	}
}

func (c *client) purge(queues int) {
	for i := range queues {
		if _, err := c.PurgeQueue(fmt.Sprint("t", i)); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// BenchmarkGrowthTopicHashes is security.md A9: a key of 127 words that keeps many `#` going.
func BenchmarkGrowthTopicHashes(b *testing.B) {
	c := quiet(b)
	c.queue("q")
	key := ""
	for i := range 100 {
		key += "#.x."
		c.bind("amq.topic", "q", key+"end")
		c.bind("amq.topic", "q", fmt.Sprintf("%s*.%d", key, i))
	}
	m := &broker.Message{}
	m.Exchange = []byte("amq.topic")
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		m.Key = fmt.Appendf(m.Key[:0], "%d", i)
		for range 126 {
			m.Key = append(m.Key, ".x"...)
		}
		c.send(m)
	}
}

// BenchmarkGrowthBind binds and unbinds once, beside many other bindings.
func BenchmarkGrowthBind(b *testing.B) {
	testCases := []struct {
		name, exchange string
		queue, key     func(i int) string
	}{
		{"topic", "amq.topic", one, numbered},
		{"one queue, many keys", "amq.direct", one, numbered},
		{"one key, many queues", "amq.direct", numbered, one},
		{"fanout", "amq.fanout", numbered, one},
		{"headers", "amq.headers", one, numbered},
	}
	for _, tc := range testCases {
		for _, n := range many {
			b.Run(fmt.Sprint(tc.name, " ", n), func(b *testing.B) {
				c := quiet(b)
				for i := range n {
					c.queue(tc.queue(i))
					c.bind(tc.exchange, tc.queue(i), tc.key(i))
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					// The oldest goes, where a list would be longest behind it.
					p := broker.BindingParams{
						Source: tc.exchange, Destination: tc.queue(i % n), Key: tc.key(i % n),
					}
					if err := c.Unbind(p); err != nil {
						b.Fatal(err)
					}
					if err := c.Bind(p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func one(int) string        { return "q" }
func numbered(i int) string { return fmt.Sprint("q.", i) }

// BenchmarkGrowthPublishChurn publishes to one key while bindings come and go: at other exchanges, whose
// changes must cost this one nothing, and at the same one.
func BenchmarkGrowthPublishChurn(b *testing.B) {
	for _, churned := range []string{"nothing", "amq.direct", "amq.topic"} {
		b.Run(churned, func(b *testing.B) {
			c := quiet(b)
			c.topicBindings(10_000)
			m := &broker.Message{}
			m.Exchange, m.Key = []byte("amq.topic"), []byte("site.x.y")
			p := broker.BindingParams{Source: churned, Destination: "t0", Key: "churn"}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				c.send(m)
				if churned == "nothing" || i%2 == 1 {
					continue
				}
				b.StopTimer()
				change := c.Bind
				if i%4 == 0 {
					change = c.Unbind
				}
				if err := change(p); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkGrowthPublishManyQueues publishes to one queue after the other by its name.
func BenchmarkGrowthPublishManyQueues(b *testing.B) {
	for _, n := range many {
		b.Run(fmt.Sprint("queues ", n), func(b *testing.B) {
			c := quiet(b)
			messages := make([]broker.Message, n)
			for i := range n {
				c.queue(numbered(i), broker.Field{Name: "x-max-length", Value: int32(1)})
				messages[i].Key = []byte(numbered(i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				c.send(&messages[i%n])
			}
		})
	}
}

// BenchmarkGrowthDeclare declares and deletes a bound queue beside many others.
func BenchmarkGrowthDeclare(b *testing.B) {
	for _, n := range many {
		b.Run(fmt.Sprint("queues ", n), func(b *testing.B) {
			c := quiet(b)
			for i := range n {
				c.queue(numbered(i))
				c.bind("amq.topic", numbered(i), numbered(i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c.queue("new")
				c.bind("amq.topic", "new", "new")
				if _, err := c.DeleteQueue(broker.DeleteParams{Name: "new"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGrowthDeleteBound deletes a queue with many bindings; the figure is of one binding.
func BenchmarkGrowthDeleteBound(b *testing.B) {
	for _, n := range many {
		b.Run(fmt.Sprint("bindings ", n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				c := quiet(b)
				c.queue("q")
				for i := range n {
					c.bind("amq.direct", "q", numbered(i))
				}
				b.StartTimer()
				if _, err := c.DeleteQueue(broker.DeleteParams{Name: "q"}); err != nil {
					b.Fatal(err)
				}
			}
			perItem(b, n)
		})
	}
}

// perItem reports the time of one of n things that an operation does.
func perItem(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/item")
}

// BenchmarkGrowthFanOut publishes 4 KiB to queues whose messages wait; the body is copied once.
func BenchmarkGrowthFanOut(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint("queues ", n), func(b *testing.B) {
			c := quiet(b)
			for i := range n {
				c.queue(fmt.Sprint("t", i))
				c.bind("amq.fanout", fmt.Sprint("t", i), "")
			}
			m := &broker.Message{Body: make([]byte, 4<<10)}
			m.Exchange = []byte("amq.fanout")
			b.SetBytes(int64(len(m.Body)))
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				c.send(m)
				if i%100 == 99 {
					b.StopTimer()
					c.purge(n)
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkGrowthPriorities publishes and gets messages of ten priorities behind many others.
func BenchmarkGrowthPriorities(b *testing.B) {
	for _, n := range many {
		b.Run(fmt.Sprint("waiting ", n), func(b *testing.B) {
			c := quiet(b)
			c.queue("q", broker.Field{Name: "x-max-priority", Value: int32(10)})
			m := &broker.Message{Body: make([]byte, 100)}
			m.Key = []byte("q")
			for i := range n {
				m.Priority = uint8(i % 11)
				c.send(m)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				m.Priority = uint8(i % 11)
				c.send(m)
				if ok, err := c.Get("q", true); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

// BenchmarkGrowthAcks acknowledges many unsettled deliveries one by one, by the order of their tags, the
// reverse, and a stride through all of them; the figure is of one.
func BenchmarkGrowthAcks(b *testing.B) {
	orders := map[string]func(i, n int) int{
		"in order": func(i, _ int) int { return i },
		"reverse":  func(i, n int) int { return n - 1 - i },
		"stride":   func(i, n int) int { return i * 7_919 % n },
	}
	for name, order := range orders {
		for _, n := range []int{1_000, 100_000} {
			b.Run(fmt.Sprint(name, " ", n), func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					c := quiet(b)
					c.queue("q")
					c.consume("q", "t", 0)
					m := &broker.Message{Body: make([]byte, 100)}
					m.Key = []byte("q")
					for range n {
						c.send(m)
					}
					b.StartTimer()
					for i := range n {
						tag := uint64(1 + order(i, n))
						if err := c.Settle(broker.SettleParams{Tag: tag}); err != nil {
							b.Fatal(err)
						}
					}
				}
				perItem(b, n)
			})
		}
	}
}

// BenchmarkGrowthAckMultiple acknowledges up to a tag for one consumer, as STOMP does, while another of the
// same session settles nothing.
func BenchmarkGrowthAckMultiple(b *testing.B) {
	for _, n := range many {
		b.Run(fmt.Sprint("of another ", n), func(b *testing.B) {
			c := quiet(b)
			c.queue("lazy")
			c.queue("busy")
			c.consume("lazy", "lazy", 0)
			c.consume("busy", "busy", 0)
			lazy, busy := &broker.Message{}, &broker.Message{}
			lazy.Key, busy.Key = []byte("lazy"), []byte("busy")
			for range n {
				c.send(lazy)
			}
			of, _ := c.Consumer("busy")
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				c.send(busy)
				p := broker.SettleParams{Tag: uint64(n + i + 1), Multiple: true, Of: of}
				if err := c.Settle(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGrowthDelayed lets messages wait beside many others, and be deleted with their exchange.
func BenchmarkGrowthDelayed(b *testing.B) {
	for _, n := range many {
		b.Run(fmt.Sprint("waiting ", n), func(b *testing.B) {
			c := quiet(b)
			c.exchange("x", "x-delayed-message", args("x-delayed-type", "direct")...)
			m := &broker.Message{Body: make([]byte, 100)}
			m.Exchange = []byte("x")
			delay := func(i int) broker.Table { return args("x-delay", int32(1<<30+i*7_919%n)) }
			for i := range n {
				m.Overlay = delay(i)
				c.send(m)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				m.Overlay = delay(i)
				c.send(m)
			}
		})
	}
}
