// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"slices"
)

// searchBytes is read at once when frames are searched for.
const searchBytes = 1 << 20

// frameCursor reads the frames of a segment.
type frameCursor struct {
	segment *segment
	at      int64
	buf     []byte
	window  []byte // of search
	from    int64  // where window begins
}

// read returns the frame at the cursor; ok is false when there is no sound one. The frame is
// borrowed until the next call.
func (c *frameCursor) read() (h frameHead, frame []byte, ok bool, err error) {
	room := c.segment.size - c.at
	if room < frameHeadBytes {
		return h, nil, false, nil
	}
	c.buf = slices.Grow(c.buf[:0], frameHeadBytes)[:frameHeadBytes]
	if _, err := c.segment.file.ReadAt(c.buf, c.at); err != nil {
		return h, nil, false, err
	}
	if h, ok = readFrameHead(c.buf, c.segment.life, room); !ok {
		return h, nil, false, nil
	}
	c.buf = slices.Grow(c.buf[:0], int(h.bytes))[:h.bytes] // no more than the segment has
	if _, err := c.segment.file.ReadAt(c.buf, c.at); err != nil {
		return h, nil, false, err
	}
	return h, c.buf, sound(c.buf), nil
}

// search moves the cursor to the first sound frame at or behind it.
func (c *frameCursor) search() (h frameHead, found bool, err error) {
	for ; c.at+frameHeadBytes <= c.segment.size; c.at += frameAlignBytes {
		b, err := c.look()
		if err != nil {
			return h, false, err
		}
		if binary.LittleEndian.Uint64(b) != frameMagic {
			continue
		}
		h, _, ok, err := c.read()
		if ok || err != nil {
			return h, ok, err
		}
	}
	return h, false, nil
}

// look returns eight bytes at the cursor.
func (c *frameCursor) look() ([]byte, error) {
	i := c.at - c.from
	if i < 0 || i+frameAlignBytes > int64(len(c.window)) {
		n := min(c.segment.size-c.at, searchBytes)
		c.window = slices.Grow(c.window[:0], int(n))[:n]
		c.from, i = c.at, 0
		if _, err := c.segment.file.ReadAt(c.window, c.at); err != nil {
			c.window = c.window[:0]
			return nil, err
		}
	}
	return c.window[i:], nil
}
