// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"errors"
)

// Bounds of what a client may send as its name and password.
const (
	// MaxNameBytes bounds the name of a user.
	MaxNameBytes = 255
	// MaxPasswordBytes bounds a password.
	MaxPasswordBytes = 1024
)

var errPlain = errors.New("malformed PLAIN response")

// ParsePlain reads the response of SASL PLAIN (RFC 4616): [authzid] NUL name NUL password. An
// authorization identity is accepted when it is the name itself. Nothing of the response is in
// the error, and nothing is kept but the two strings.
func ParsePlain(response []byte) (name string, password Secret, err error) {
	if len(response) > 2*MaxNameBytes+MaxPasswordBytes+2 {
		return "", Secret{value: nil}, errPlain
	}
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 || len(parts[1]) == 0 || len(parts[1]) > MaxNameBytes ||
		len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]) {
		return "", Secret{value: nil}, errPlain
	}
	return string(parts[1]), NewSecret(string(parts[2])), nil
}
