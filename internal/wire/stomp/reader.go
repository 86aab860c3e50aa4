// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"errors"
	"io"
)

// tlsHandshake is the first octet of a TLS ClientHello record.
const tlsHandshake = 0x16

// emptyReadsMax is how many reads in a row may bring nothing before Fill gives up.
const emptyReadsMax = 100

// state is the part of a frame that the Reader stands in.
type state uint8

const (
	inNoise state = iota
	inHead
	inBody
)

// Reader reads frames from an io.Reader through one growing, bounded buffer:
//
//	for {
//		if _, err := r.Fill(); err != nil { … }
//		for r.Next() {
//			handle(r.Frame())
//		}
//		if err := r.Err(); err != nil { … }
//		flush()
//	}
//
// It is not safe for concurrent use.
type Reader struct {
	src     io.Reader
	version Version // 0 before login
	limits  Limits

	buf        []byte
	start, end int // the frame being read begins at start; octets are there up to end
	quietFills int // fills in a row that a smaller buffer would have done for
	srcErr     error

	// The frame being read. All offsets count from start.
	state   state
	line    int  // begin of the line being read (inHead)
	scan    int  // what was searched already, so that no octet is searched twice
	nulScan int  // the same for a NUL in a head that is not complete
	crlf    bool // its command line ended in CR LF
	any     bool // a frame was begun before
	lines   []span
	headers []headerSpan
	headEnd int
	bodyLen int  // by content-length, or -1
	plain   bool // its head has neither an escape nor a CR
	dedup   nameSet

	// The head of the last frame, if the next one may repeat it: senders often do.
	last        []byte
	lastBodyLen int

	frame Frame
	err   error
}

// span is a part of the frame being read.
type span struct{ from, to int }

// headerSpan is a header of the frame being read.
type headerSpan struct{ name, value span }

// NewReader returns a Reader of src in the state before login: no version, no escapes. Use
// [BeforeLogin] for the limits of a server's port.
func NewReader(src io.Reader, limits Limits) *Reader {
	return &Reader{src: src, limits: limits.withDefaults()}
}

// SetVersion switches to a version, from the next frame on.
func (r *Reader) SetVersion(v Version) { r.version, r.last = v, r.last[:0] }

// SetLimits switches to other limits, from the next frame on.
func (r *Reader) SetLimits(l Limits) { r.limits, r.last = l.withDefaults(), r.last[:0] }

// Frame returns the frame that the last Next found. It and its slices are borrowed: they are valid
// until the next Next or Fill. After Next failed it holds what was
// read of the frame's command and headers; an ERROR may name its receipt.
func (r *Reader) Frame() *Frame { return &r.frame }

// Err returns the error that made Next return false, or nil if it only lacks octets. It is always
// an [*Error], and it stays.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// Pending returns how many octets of an incomplete frame, or of frames that Next has not handed out
// yet, are in the buffer.
func (r *Reader) Pending() int { return r.end - r.start }

// Fill reads once from the source, so it blocks as the source does, and returns how many octets
// came. It invalidates all that Next handed out. At the source's end it returns io.EOF, or
// io.ErrUnexpectedEOF inside a frame. After a read that timed out it may be called again.
func (r *Reader) Fill() (int, error) {
	if r.srcErr == nil {
		r.room()
		for range emptyReadsMax {
			n, err := r.src.Read(r.buf[r.end:])
			r.end += n
			if err != nil && passing(err) {
				if n > 0 {
					return n, nil
				}
				return 0, err
			}
			r.srcErr = err
			if n > 0 {
				return n, nil
			}
			if err != nil {
				break
			}
		}
	}
	switch {
	case r.srcErr == nil:
		r.srcErr = io.ErrNoProgress
	case errors.Is(r.srcErr, io.EOF) && r.Pending() > 0:
		return 0, io.ErrUnexpectedEOF
	}
	return 0, r.srcErr
}

// passing says whether a read failed only because its time was up.
func passing(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// room moves what is pending to the front of the buffer and makes sure that there is space behind
// it. The buffer doubles when octets have filled it: no length that a peer claims sizes it.
func (r *Reader) room() {
	pending := r.Pending()
	size := len(r.buf)
	full := r.end == size // the last read filled it
	switch {
	case size == 0:
		size = firstBufferBytes
	case full && pending > size/2:
		size = r.grown(2*size, pending)
		r.quietFills = 0
	case full && size < readAheadBytes:
		size *= 2
		r.quietFills = 0
	case size > readAheadBytes && pending <= readAheadBytes/2:
		r.quietFills++
		if size > keepBufferBytes || r.quietFills > shrinkAfterFills {
			size = readAheadBytes
			r.quietFills = 0
		}
	default:
		r.quietFills = 0
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

// grown returns the next size of the buffer: double, but not beyond what the frame needs.
func (r *Reader) grown(double, pending int) int {
	need := r.limits.FrameBytes
	if r.state == inBody && r.bodyLen >= 0 {
		need = r.headEnd + r.bodyLen + 1
	}
	need = max(need, readAheadBytes, pending+1)
	return max(min(double, need), len(r.buf))
}

// Next reads the next frame from the buffer without reading from the source. It returns false when
// no complete frame is there, or when the octets are no frame: see Err.
func (r *Reader) Next() bool {
	for r.err == nil {
		switch r.state {
		case inNoise:
			if !r.skipNoise() {
				return false
			}
			if r.buf[r.start] == tlsHandshake && !r.any {
				return r.fail(Error{Fault: FaultTLS})
			}
			r.any = true
			if !r.repeats() {
				r.beginFrame()
			}
		case inHead:
			if !r.readHead() {
				return false
			}
			if !r.parseHead() {
				return false
			}
			r.state, r.scan = inBody, r.headEnd
		case inBody:
			return r.readBody()
		}
	}
	return false
}

// fail notes the error and returns false.
func (r *Reader) fail(e Error) bool {
	r.err = &e
	return false
}

// skipNoise skips NUL and EOL before a command, and says whether an octet of a command is there.
// STOMP 1.2, Augmented BNF: frames may be followed by EOLs; clients also send NULs.
func (r *Reader) skipNoise() bool {
	for ; r.start < r.end; r.start++ {
		switch r.buf[r.start] {
		case 0, '\n':
		case '\r':
			if r.start+1 == r.end {
				return false
			}
			if r.buf[r.start+1] != '\n' {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// beginFrame forgets the last frame.
func (r *Reader) beginFrame() {
	r.state = inHead
	r.line, r.scan, r.nulScan, r.crlf = 0, 0, 0, false
	r.lines = r.lines[:0]
	r.headers = r.headers[:0]
	r.frame = Frame{Headers: r.frame.Headers[:0]}
}

// repeats begins a frame whose head is that of the last one, if it is.
func (r *Reader) repeats() bool {
	if len(r.last) == 0 || !bytes.HasPrefix(r.buf[r.start:r.end], r.last) {
		return false
	}
	r.frame.Repeated, r.frame.Body = true, nil
	r.headEnd, r.bodyLen = len(r.last), r.lastBodyLen
	r.state, r.scan = inBody, r.headEnd
	return true
}

// remember keeps a head for frames that repeat it, and returns the octets that its frame is to
// point to.
func (r *Reader) remember(data []byte) []byte {
	r.last = r.last[:0]
	if !r.plain || r.headEnd > repeatBytesMax {
		return data
	}
	r.last, r.lastBodyLen = append(r.last, data[:r.headEnd]...), r.bodyLen
	return r.last
}

// readHead finds the lines up to the blank one. It returns false when that is not there yet.
func (r *Reader) readHead() bool {
	data := r.buf[r.start:r.end]
	for {
		i := bytes.IndexByte(data[r.scan:], '\n')
		if i < 0 {
			return r.partialLine(data)
		}
		end := r.scan + i
		text := span{r.line, end}
		r.line, r.scan = end+1, end+1
		if end > text.from && data[end-1] == '\r' && r.dropsCR(data[text.from:end]) {
			text.to--
		}
		if len(r.lines) > 0 && text.from == text.to {
			r.headEnd = r.line
			return true
		}
		if e := r.lineFault(len(r.lines), text.to-text.from); e.Fault != 0 {
			return r.fail(e)
		}
		r.lines = append(r.lines, text)
	}
}

// dropsCR says whether the CR at the end of a line belongs to its EOL. A 1.0 value may end in CR,
// unless its sender ends every line so; a line of a CR alone can be nothing but the blank one.
func (r *Reader) dropsCR(line []byte) bool {
	if len(r.lines) == 0 {
		r.crlf = true
	}
	return r.version != V10 || r.crlf || len(line) == 1
}

// lineFault checks the length of line n of the head, 0 being the command.
func (r *Reader) lineFault(n, length int) Error {
	switch {
	case n == 0:
		if length > CommandBytesMax {
			return Error{Fault: FaultCommandLong, Limit: CommandBytesMax}
		}
	case n > r.limits.HeadersMax:
		return Error{Fault: FaultHeadersMany, Limit: r.limits.HeadersMax}
	case length > r.limits.HeaderLineBytes:
		return Error{Fault: FaultHeaderLong, Limit: r.limits.HeaderLineBytes}
	}
	return Error{}
}

// partialLine checks a line whose end has not come; it always returns false.
func (r *Reader) partialLine(data []byte) bool {
	const cr = 1
	length := len(data) - r.line
	if length > 0 {
		if e := r.lineFault(len(r.lines), length-cr); e.Fault != 0 {
			return r.fail(e)
		}
	}
	if i := bytes.IndexByte(data[r.nulScan:], 0); i >= 0 { // the frame ends without a blank line
		return r.fail(Error{Fault: FaultHeader, Text: quote(data[:r.nulScan+i+1])})
	}
	r.scan, r.nulScan = len(data), len(data)
	return r.incomplete(data)
}

// incomplete checks the frame's length so far; it always returns false.
func (r *Reader) incomplete(data []byte) bool {
	if len(data) >= r.limits.FrameBytes {
		return r.fail(Error{Fault: FaultFrameLarge, Limit: r.limits.FrameBytes})
	}
	return false
}

// readBody finds the end of the body and hands the frame out.
func (r *Reader) readBody() bool {
	data := r.buf[r.start:r.end]
	end := r.headEnd + r.bodyLen
	if r.bodyLen < 0 {
		i := bytes.IndexByte(data[r.scan:], 0)
		end = r.scan + i
		if i < 0 {
			end = len(data)
			r.scan = end
		}
		if end-r.headEnd > r.limits.BodyBytes {
			return r.fail(Error{Fault: FaultBodyLarge, Limit: r.limits.BodyBytes})
		}
	}
	if end >= len(data) {
		return r.incomplete(data)
	}
	if data[end] != 0 {
		return r.fail(Error{Fault: FaultNUL})
	}
	if end >= r.limits.FrameBytes {
		return r.fail(Error{Fault: FaultFrameLarge, Limit: r.limits.FrameBytes})
	}
	if !r.frame.Repeated {
		r.handOut(r.remember(data))
	}
	r.frame.Body = data[r.headEnd:end:end]
	r.start += end + 1
	r.state = inNoise
	return true
}

// handOut turns the spans into slices; before, a fill might still move the buffer.
func (r *Reader) handOut(data []byte) {
	word := r.lines[0]
	r.frame.Word = data[word.from:word.to:word.to]
	headers := r.frame.Headers[:0]
	for _, h := range r.headers {
		headers = append(headers, Header{
			Name:  data[h.name.from:h.name.to:h.name.to],
			Value: data[h.value.from:h.value.to:h.value.to],
		})
	}
	r.frame.Headers = headers
}
