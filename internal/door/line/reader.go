// SPDX-License-Identifier: Apache-2.0

package line

import (
	"bytes"
	"io"
)

// Sizes of the read buffer.
const (
	firstBufferBytes = 4 << 10  // a connection that has just come, or idles
	readAheadBytes   = 64 << 10 // what many short lines let the buffer grow to
	// shrinkAfterFills is for how many reads a larger buffer stays without need; one above keepBytes
	// does not.
	shrinkAfterFills = 64
	// eolBytes is the longest end of a line.
	eolBytes = len("\r\n")
	// emptyReadsMax is how many reads in a row may bring nothing.
	emptyReadsMax = 100
)

// reader cuts what comes into lines, through one growing, bounded buffer.
type reader struct {
	src   io.Reader
	limit int // of a line, without its end

	buf        []byte
	start, end int // what has come and is not handed out
	scanned    int // of it: there is no end of a line
	quiet      int // fills in a row for which a smaller buffer would have done
	ended      bool
}

// fill reads once from the source. What next handed out is gone then.
func (r *reader) fill() error {
	if r.ended {
		return io.EOF
	}
	r.room()
	for range emptyReadsMax {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		switch {
		case n > 0:
			return nil // an error comes again
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// room moves what is pending to the front of the buffer and makes sure that there is space behind it.
// The buffer doubles as octets come: no line claims its size.
func (r *reader) room() {
	pending, size := r.pending(), len(r.buf)
	switch {
	case size == 0:
		size = firstBufferBytes
	case pending == size:
		r.quiet = 0
		size = min(2*size, max(r.limit+eolBytes, readAheadBytes))
	case r.end == size && size < readAheadBytes:
		size *= 2 // the last read filled it
	case size > readAheadBytes && pending <= readAheadBytes/2:
		if r.quiet++; size > keepBytes || r.quiet > shrinkAfterFills {
			size, r.quiet = readAheadBytes, 0
		}
	}
	if size != len(r.buf) {
		buf := make([]byte, size)
		copy(buf, r.buf[r.start:r.end])
		r.buf = buf
	} else if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
	}
	r.start, r.end = 0, pending
}

// pending returns how many octets of a line that has not ended are there.
func (r *reader) pending() int { return r.end - r.start }

// next returns the next line without its end, borrowed until fill; false when its end has not come.
// A line that is too long is an error.
func (r *reader) next() (line []byte, ok bool, err *fault) {
	data := r.buf[r.start:r.end]
	i := bytes.IndexByte(data[r.scanned:], '\n')
	if i < 0 {
		r.scanned = len(data)
		if n := len(trimCR(data)); n > r.limit {
			return nil, false, tooLong(r.limit)
		}
		return nil, false, nil
	}
	line = trimCR(data[:r.scanned+i])
	r.start += r.scanned + i + 1
	r.scanned = 0
	if len(line) > r.limit {
		return nil, false, tooLong(r.limit)
	}
	return line, true, nil
}

// last returns what came behind the last end of a line: a client that half-closes may leave it out.
func (r *reader) last() []byte {
	line := trimCR(r.buf[r.start:r.end])
	r.start, r.scanned, r.ended = r.end, 0, true
	return line
}

func trimCR(line []byte) []byte { return bytes.TrimSuffix(line, []byte{'\r'}) }
