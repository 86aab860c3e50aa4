// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cloudwego/gopkg/bufiox"
	"github.com/cloudwego/gopkg/protocol/ttheader"

	wire "github.com/parley-ipc/parley/internal/wire/thrift"
)

// headers are those of one TTHeader frame, as Kitex's own codec has them.
type headers struct {
	seq   int32
	ints  map[uint16]string
	pairs map[string]string
}

func (m maker) headers() headers {
	h := headers{seq: int32(m.Uint32()), ints: map[uint16]string{}, pairs: map[string]string{}}
	for range m.IntN(5) {
		h.ints[uint16(m.Uint32())] = m.text(true)
	}
	for range m.IntN(5) {
		h.pairs[m.text(false)] = m.text(true)
	}
	return h
}

// TestKitexHeader: frames with a TTHeader are read and written as CloudWeGo's codec does.
func TestKitexHeader(t *testing.T) {
	t.Parallel()
	m := maker{rand.New(rand.NewPCG(3, 4))}
	f := forms()[0]
	for i, v := range messages(many) {
		message, err := ours(f, v)
		if err != nil {
			t.Fatal(err)
		}
		want := m.headers()
		if err := kitexToUs(t, f, v, message, want); err != nil {
			t.Fatalf("%d: ours reads theirs: %v", i, err)
		}
		if err := usToKitex(t, message, want); err != nil {
			t.Fatalf("%d: theirs reads ours: %v", i, err)
		}
	}
}

func kitexToUs(t *testing.T, f form, v value, message []byte, want headers) error {
	t.Helper()
	var buf bytes.Buffer
	w := bufiox.NewDefaultWriter(&buf)
	size, err := ttheader.Encode(t.Context(), ttheader.EncodeParam{
		Flags: ttheader.HeaderFlagSupportOutOfOrder, SeqID: want.seq, IntInfo: want.ints, StrInfo: want.pairs,
	}, w)
	if err != nil {
		return err
	}
	if _, err := w.WriteBinary(message); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(size, uint32(w.WrittenLen()-len(size)))
	if err := w.Flush(); err != nil {
		return err
	}
	m, err := wire.NewStream(&buf, wire.DefaultLimits()).Next()
	if err != nil {
		return err
	}
	h := &m.Shape.Header
	got := headers{seq: h.Seq, ints: map[uint16]string{}, pairs: map[string]string{}}
	for key, value := range h.Ints() {
		got.ints[key] = string(value)
	}
	for key, value := range h.All() {
		got.pairs[string(key)] = string(value)
	}
	if err := got.same(want); err != nil || h.Flags != wire.FlagOutOfOrder {
		return fmt.Errorf("flags %x, %w", h.Flags, err)
	}
	return readOurs(f, m.Bytes, v)
}

func usToKitex(t *testing.T, message []byte, want headers) error {
	t.Helper()
	var info wire.Info
	for _, key := range slices.Sorted(maps.Keys(want.ints)) {
		info.Ints = append(info.Ints, wire.Int{Key: key, Value: []byte(want.ints[key])})
	}
	for _, key := range slices.Sorted(maps.Keys(want.pairs)) {
		info.Pairs = append(info.Pairs, wire.Pair{Key: []byte(key), Value: []byte(want.pairs[key])})
	}
	h := wire.Header{Kitex: true, Seq: want.seq, Payload: message}
	out, err := h.Append(nil, &info, wire.DefaultLimits())
	if err != nil {
		return err
	}
	r := bufiox.NewBytesReader(out)
	d, err := ttheader.Decode(t.Context(), r)
	if err != nil {
		return err
	}
	if err := (headers{d.SeqID, d.IntInfo, d.StrInfo}).same(want); err != nil {
		return err
	}
	rest, err := r.Next(d.PayloadLen)
	if err != nil || !bytes.Equal(rest, message) {
		return fmt.Errorf("payload of %d, want %d, %w", len(rest), len(message), err)
	}
	return nil
}

func (h headers) same(want headers) error {
	if h.seq != want.seq || !maps.Equal(h.ints, want.ints) || !maps.Equal(h.pairs, want.pairs) {
		return fmt.Errorf("%v, want %v", h, want)
	}
	return nil
}
