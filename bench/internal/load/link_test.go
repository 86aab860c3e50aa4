// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"net"
	"testing"
)

// echoScanner takes records of a length in four octets and so many more.
type echoScanner struct{ got [][]byte }

func (s *echoScanner) scan(buf []byte) (int, error) {
	used := 0
	for len(buf)-used >= 4 {
		n := int(buf[used])<<16 | int(buf[used+1])<<8 | int(buf[used+2])
		if len(buf)-used < 4+n {
			break
		}
		s.got = append(s.got, bytes.Clone(buf[used+4:used+4+n]))
		used += 4 + n
	}
	return used, nil
}

// A link reads what is larger than its buffer, up to a bound.
func TestLinkGrowsItsBuffer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sizes := []int{10, 3 << 20, 7, 2 << 20, 300 << 10}
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for i, n := range sizes {
			msg := append([]byte{byte(n >> 16), byte(n >> 8), byte(n), 0}, bytes.Repeat([]byte{byte(i)}, n)...)
			if _, err := conn.Write(msg); err != nil {
				return
			}
		}
		_, _ = conn.Write(bytes.Repeat([]byte{0xff}, maxBufferBytes+1))
	}()
	in, err := dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	s := &echoScanner{}
	if err := in.ready(s); err != nil {
		t.Fatal(err)
	}
	if err := in.pump(nil); err == nil {
		t.Error("a record beyond the bound was taken")
	}
	for i, n := range sizes {
		if i >= len(s.got) || len(s.got[i]) != n || bytes.Count(s.got[i], []byte{byte(i)}) != n {
			t.Fatalf("record %d of %d is wrong", i, len(s.got))
		}
	}
}
