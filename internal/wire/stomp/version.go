// SPDX-License-Identifier: Apache-2.0

package stomp

// Version is a version of the protocol; the zero value is none.
type Version uint8

// The versions. Their order is the protocol's: a later one is greater.
const (
	V10 Version = iota + 1
	V11
	V12
)

// Supported is the list of versions as it stands in the header version of an ERROR frame.
const Supported = "1.0,1.1,1.2"

// String returns the version as it stands in a header, or "" for none.
func (v Version) String() string {
	switch v {
	case V10:
		return "1.0"
	case V11:
		return "1.1"
	case V12:
		return "1.2"
	}
	return ""
}

// ParseVersion returns the version that a word of an accept-version list names, or 0.
func ParseVersion(word []byte) Version {
	switch string(word) {
	case "1.0":
		return V10
	case "1.1":
		return V11
	case "1.2":
		return V12
	}
	return 0
}

// Highest returns the highest supported version in a comma-separated accept-version list, or 0.
// Blanks around a word are skipped: clients write them.
func Highest(list []byte) Version {
	var best Version
	for len(list) > 0 {
		word := list
		list = nil
		for i, c := range word {
			if c == ',' {
				word, list = word[:i], word[i+1:]
				break
			}
		}
		best = max(best, ParseVersion(trimBlanks(word)))
	}
	return best
}

// trimBlanks takes spaces and tabs off both ends.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
