// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"encoding/base64"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// base64Digits are the values of the digits of both alphabets of RFC 4648, standard and URL-safe, by
// octet; ff is none.
const base64Digits = noDigits + noDigits +
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x3e\xff\x3e\xff\x3f" +
	"\x34\x35\x36\x37\x38\x39\x3a\x3b\x3c\x3d\xff\xff\xff\xff\xff\xff" +
	"\xff\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e" +
	"\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\xff\xff\xff\xff\x3f" +
	"\xff\x1a\x1b\x1c\x1d\x1e\x1f\x20\x21\x22\x23\x24\x25\x26\x27\x28" +
	"\x29\x2a\x2b\x2c\x2d\x2e\x2f\x30\x31\x32\x33\xff\xff\xff\xff\xff" +
	noDigits + noDigits + noDigits + noDigits + noDigits + noDigits + noDigits + noDigits

const noDigits = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

// readBinary reads octets in base64, of either alphabet, padded or not.
func (t *Transcoder) readBinary() *ConvertError {
	if t.peek() != '"' {
		return t.unexpected("octets in base64")
	}
	text, fault := t.str()
	if fault != nil {
		return fault
	}
	digits := text
	if n := len(digits); n > 0 && n%4 == 0 && digits[n-1] == '=' {
		if digits = digits[:n-1]; digits[n-2] == '=' {
			digits = digits[:n-2]
		}
	}
	size := len(digits) / 4 * 3
	if rest := len(digits) % 4; rest == 1 {
		return t.fail("%s is not base64", shown(text))
	} else if rest > 1 {
		size += rest - 1
	}
	if t.compact {
		t.varint(uint64(size))
	} else {
		t.put32(uint32(size))
	}
	if !t.decode64(digits) {
		return t.fail("%s is not base64", shown(text))
	}
	return nil
}

// decode64 appends what digits mean.
func (t *Transcoder) decode64(digits []byte) bool {
	bad := byte(0)
	for ; len(digits) >= 4; digits = digits[4:] {
		a, b := base64Digits[digits[0]], base64Digits[digits[1]]
		c, d := base64Digits[digits[2]], base64Digits[digits[3]]
		bad |= a | b | c | d
		t.out = append(t.out, a<<2|b>>4, b<<4|c>>2, c<<6|d)
	}
	if len(digits) > 1 {
		a, b := base64Digits[digits[0]], base64Digits[digits[1]]
		bad |= a | b
		t.out = append(t.out, a<<2|b>>4)
		if len(digits) > 2 {
			c := base64Digits[digits[2]]
			bad |= c
			t.out = append(t.out, b<<4|c>>2)
		}
	}
	const digitMask = 0x3f
	return bad&^digitMask == 0
}

// octets writes octets in standard base64 with padding.
func (t *Transcoder) octets(v []byte) {
	t.out = append(t.out, '"')
	t.out = base64.StdEncoding.AppendEncode(t.out, v)
	t.out = append(t.out, '"')
}

func (t *Transcoder) readUUID() *ConvertError {
	if t.peek() != '"' {
		return t.unexpected("a uuid")
	}
	text, fault := t.str()
	if fault != nil {
		return fault
	}
	id, ok := thrift.ParseUUID(text)
	if !ok {
		return t.fail("%s is not a uuid", shown(text))
	}
	t.out = append(t.out, id[:]...)
	return nil
}

// uuid writes a uuid in lower case.
func (t *Transcoder) uuid(id *[16]byte) {
	t.out = thrift.AppendUUID(append(t.out, '"'), id)
	t.out = append(t.out, '"')
}
