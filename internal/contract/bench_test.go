// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// benchFile is an IDL of n structs, enums, constants and functions, with what people write.
func benchFile(n int) string {
	var b strings.Builder
	b.WriteString("namespace go bench\n")
	for i := range n {
		fmt.Fprintf(&b, `
/**
 * Account number %[1]d of somebody.
 * It has a few fields.
 */
struct Account%[1]d {
  /** the key */
  1: required i64 id (api.path = "id"),
  2: optional string name = "nobody",
  3: map<string, list<State%[1]d>> states,
  4: double balance = 1.5, // in euros
  5: optional Account%[1]d & parent,
}
enum State%[1]d { UNKNOWN = 0, OPEN = 1, CLOSED = 2 }
const list<State%[1]d> STATES%[1]d = [State%[1]d.OPEN, 2]
service Accounts%[1]d {
  Account%[1]d get(1: i64 id) (api.get = "/accounts/:id"),
  oneway void touch(1: i64 id, 2: State%[1]d state = State%[1]d.OPEN),
}
`, i)
	}
	return b.String()
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("definitions=%d", 4*n), func(b *testing.B) {
			src := benchFile(n)
			fsys := files("a.thrift", src)
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(fsys, "a.thrift", Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTranscode converts arguments of every type, which bench/transcode cannot have.
func BenchmarkTranscode(b *testing.B) {
	m := rich(b)
	body := []byte(richBody)
	var tr Transcoder
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON(nil, m, p, body)
		if err != nil {
			b.Fatal(err)
		}
		var buf []byte
		run := func(name string, do func() ([]byte, error)) {
			b.Run(fmt.Sprint(name, " ", p), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					if buf, err = do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		run("from JSON", func() ([]byte, error) { return tr.ArgumentsFromJSON(buf[:0], m, p, body) })
		run("to JSON", func() ([]byte, error) { return tr.ArgumentsToJSON(buf[:0], m, p, wire) })
		to := thrift.Binary
		if p == thrift.Binary {
			to = thrift.Compact
		}
		run("to another", func() ([]byte, error) { return tr.ConvertArguments(buf[:0], m, Conversion{p, to}, wire) })
	}
}
