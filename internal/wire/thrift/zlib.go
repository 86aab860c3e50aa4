// SPDX-License-Identifier: Apache-2.0

package thrift

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
)

// inflateStepBytes is how a buffer grows that is inflated into: by what has come, never by a size
// that the peer names.
const inflateStepBytes = 16 << 10

// Inflater undoes the zlib transform of frames. It keeps 40 KiB once it has been used, for the
// frames after. It is not safe for concurrent use.
type Inflater struct {
	src bytes.Reader
	z   io.ReadCloser // deflate: the few octets around it are read here, where zlib would allocate
}

// Append inflates src, one whole zlib stream (RFC 1950), behind dst. It stops above limit octets,
// which a bomb reaches at the price of that many.
func (f *Inflater) Append(dst, src []byte, limit int) ([]byte, error) {
	if err := f.begin(src); err != nil {
		return dst, err
	}
	defer f.src.Reset(nil)
	from := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, inflateStepBytes)...)[:len(dst)]
		}
		// One octet more than allowed tells a stream of just the limit from a longer one.
		room := min(cap(dst)-len(dst), limit-(len(dst)-from)+1)
		n, err := f.z.Read(dst[len(dst) : len(dst)+room])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-from > limit:
			return dst[:from], fault(SizeLimit, 0, fmt.Sprintf("inflates to more than %d octets", limit))
		case err == nil:
		case !errors.Is(err, io.EOF) || f.src.Len() < adler32.Size:
			return dst[:from], fault(InvalidData, len(src)-f.src.Len(), "broken zlib stream")
		default:
			sum := src[len(src)-f.src.Len():]
			if binary.BigEndian.Uint32(sum) != adler32.Checksum(dst[from:]) {
				return dst[:from], fault(InvalidData, 0, "checksum of a zlib stream")
			}
			return dst, nil
		}
	}
}

// begin reads the head of a zlib stream: deflate, no dictionary, a multiple of 31.
func (f *Inflater) begin(src []byte) error {
	const method, deflate, dictionary, multiple = 0x0f, 8, 0x20, 31
	if len(src) < len(zlibHead) || src[0]&method != deflate || src[1]&dictionary != 0 ||
		binary.BigEndian.Uint16(src)%multiple != 0 {
		return fault(InvalidData, 0, "no zlib stream")
	}
	f.src.Reset(src[len(zlibHead):])
	if again, ok := f.z.(flate.Resetter); ok {
		return again.Reset(&f.src, nil)
	}
	f.z = flate.NewReader(&f.src)
	return nil
}

// Open undoes the transforms of a frame and returns its message: the payload itself when there is
// none, else a slice of buf, which grows as needed. No transform may make more than limit octets.
func (h *Header) Open(f *Inflater, buf []byte, limit int) ([]byte, error) {
	payload := h.Payload
	for range h.Zlib {
		// A second one reads what the first made, so it writes behind that.
		from := len(buf)
		var err error
		if buf, err = f.Append(buf, payload, limit); err != nil {
			return nil, err
		}
		payload = buf[from:]
	}
	return payload, nil
}

// zlibHead opens a stream: a window of 32 KiB, the default level (RFC 1950 §2.2).
const zlibHead = "\x78\x9c"

// Deflater writes zlib. It holds about 800 KB once it has been used and nothing of the stream, so
// connections share a few of them. It is not safe for concurrent use.
type Deflater struct {
	out sliceWriter
	z   *flate.Writer
}

// sliceWriter appends.
type sliceWriter struct{ dst []byte }

func (s *sliceWriter) Write(p []byte) (int, error) {
	s.dst = append(s.dst, p...)
	return len(p), nil
}

// AppendHead opens the stream of a zlib transport.
func (d *Deflater) AppendHead(dst []byte) []byte { return append(dst, zlibHead...) }

// AppendMessage writes a message into the stream of a zlib transport and flushes it: a reader gets
// all of it. No block looks back beyond its own message, so any Deflater may write the next.
func (d *Deflater) AppendMessage(dst, src []byte) ([]byte, error) {
	return d.run(dst, src, (*flate.Writer).Flush)
}

// AppendWhole writes src as a zlib stream of its own, as the transform of a frame.
func (d *Deflater) AppendWhole(dst, src []byte) ([]byte, error) {
	dst, err := d.run(append(dst, zlibHead...), src, (*flate.Writer).Close)
	return binary.BigEndian.AppendUint32(dst, adler32.Checksum(src)), err
}

func (d *Deflater) run(dst, src []byte, end func(*flate.Writer) error) ([]byte, error) {
	d.out.dst = dst
	defer func() { d.out.dst = nil }()
	if d.z == nil {
		z, err := flate.NewWriter(&d.out, flate.DefaultCompression)
		if err != nil {
			return dst, fmt.Errorf("thrift: %w", err)
		}
		d.z = z
	} else {
		d.z.Reset(&d.out)
	}
	if _, err := d.z.Write(src); err != nil {
		return dst, fmt.Errorf("thrift: deflate: %w", err)
	}
	if err := end(d.z); err != nil {
		return dst, fmt.Errorf("thrift: deflate: %w", err)
	}
	return d.out.dst, nil
}

// ZlibReader is the reading side of a zlib transport: one stream for the whole connection. It
// inflates as much as is asked for and no more, so who bounds the message bounds a bomb. It holds
// about 45 KB.
type ZlibReader struct {
	src io.Reader
	z   io.Reader
}

// NewZlibReader returns a ZlibReader of src. Nothing is read before the first Read.
func NewZlibReader(src io.Reader) *ZlibReader { return &ZlibReader{src: src} }

// Read implements io.Reader.
func (r *ZlibReader) Read(p []byte) (int, error) {
	if r.z == nil {
		z, err := zlib.NewReader(r.src)
		if err != nil {
			return 0, zlibFault(err)
		}
		r.z = z
	}
	n, err := r.z.Read(p)
	return n, zlibFault(err)
}

// zlibFault makes a fault of what is wrong with the bytes, and passes what is wrong with the source.
func zlibFault(err error) error {
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) ||
		errors.Is(err, zlib.ErrDictionary) {
		return fault(InvalidData, 0, err.Error())
	}
	return err
}
