// SPDX-License-Identifier: Apache-2.0

package rest

// Match reports whether a connection whose first octets these are speaks HTTP, and whether more
// octets are needed to tell. PRI begins HTTP/2 (RFC 9113 §3.4); STOMP has a CONNECT too, and a line
// break follows it.
func Match(first []byte) (ours, more bool) {
	for _, word := range [...]string{
		"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "TRACE ", "CONNECT ",
		"PRI * HTTP/2.0\r\n",
	} {
		n := min(len(first), len(word))
		if string(first[:n]) != word[:n] {
			continue
		}
		if n == len(word) {
			return true, false
		}
		more = true
	}
	return false, more
}
