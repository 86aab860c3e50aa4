// SPDX-License-Identifier: Apache-2.0

package thrift

import "encoding/binary"

// infoScanner reads a header of either dialect: Apache's numbers are varints, Kitex's ids are one
// octet and its counts and lengths two.
type infoScanner struct {
	in         []byte
	at         int
	kitex      bool
	block      int // the block that key and value are of
	left       int // pairs of it that are still to come
	key, value []byte
	err        error
}

func (s *infoScanner) fail(kind Kind, text string) {
	if s.err == nil {
		s.err = fault(kind, headerMetaBytes+s.at, text)
	}
}

func (s *infoScanner) take(n int) []byte {
	if n > len(s.in)-s.at {
		s.fail(SizeLimit, "header ends inside a value")
	}
	if s.err != nil {
		return nil
	}
	b := s.in[s.at : s.at+n : s.at+n]
	s.at += n
	return b
}

// number reads an id, or a transform or their count.
func (s *infoScanner) number() int {
	if s.kitex {
		if b := s.take(1); b != nil {
			return int(b[0])
		}
		return 0
	}
	return s.varint()
}

func (s *infoScanner) varint() int {
	v, n := uvarint(s.in[s.at:], 32)
	if n <= 0 || v > 1<<31-1 {
		s.fail(InvalidData, "no varint of 31 bits")
		return 0
	}
	s.at += n
	return int(v)
}

// size reads a count or length.
func (s *infoScanner) size() int {
	if !s.kitex {
		return s.varint()
	}
	if b := s.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

// next reads the next pair of any block, and reports whether there is one. The end of the header, its
// padding and, with Apache, a block that nobody knows end it.
func (s *infoScanner) next() bool {
	for s.left == 0 {
		if s.err != nil || s.at == len(s.in) || !s.open() {
			return false
		}
	}
	s.left--
	s.key = nil
	switch s.block {
	case infoPairs:
		s.key = s.take(s.size())
	case infoKitexInts:
		s.key = s.take(2)
	}
	s.value = s.take(s.size())
	return s.err == nil
}

// open reads the head of a block.
func (s *infoScanner) open() bool {
	s.block = s.number()
	switch {
	case s.err != nil || s.block == 0:
		return false
	case s.block == infoPairs || s.kitex && s.block == infoKitexInts:
		s.left = s.size()
	case s.kitex && s.block == infoKitexToken:
		s.left = 1
	case s.kitex:
		s.fail(InvalidData, "unknown block")
	default:
		return false
	}
	return s.err == nil
}
