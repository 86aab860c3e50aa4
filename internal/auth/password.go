// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Cost of new hashes: OWASP's second choice for argon2id, about 30 ms. Together with the two
// slots of a Store it bounds the memory that logins take to 38 MiB.
const (
	argonMemoryKiB = 19 << 10
	argonTime      = 2
	argonThreads   = 1
	argonSaltBytes = 16
	argonKeyBytes  = 32
)

// Bounds of the cost that a stored hash may ask for: whoever imports users must not be able to
// stop the hub with one.
const (
	maxArgonMemoryKiB = 64 << 10
	maxArgonTime      = 8
	maxArgonThreads   = 4
	maxBcryptCost     = 13
	minSaltBytes      = 8
	minKeyBytes       = 16
	maxHashBytes      = 256 // of the text
)

// rabbitSaltBytes is the length of the salt in RabbitMQ's hashes, which are
// base64(salt + SHA(salt + password)).
const rabbitSaltBytes = 4

// hashKind orders the algorithms by what they cost.
type hashKind uint8

const (
	hashNone hashKind = iota // no password fits
	hashSHA256
	hashSHA512
	hashBcrypt
	hashArgon2id
)

// Hash is a stored password hash. The zero value fits no password. Printed or logged it is
// three stars; Text gives the stored form.
type Hash struct {
	kind hashKind
	// The stored form. It is taken apart anew for each login: fmt, which prints what it can
	// reach, must reach neither text nor sum, so there is only a pointer as in Secret.
	text *string
}

// hashParts is a hash taken apart.
type hashParts struct {
	kind    hashKind
	salt    []byte
	sum     []byte
	memory  uint32 // argon2id: KiB
	time    uint32 // argon2id: passes
	threads uint8  // argon2id
}

var errHash = errors.New("malformed password hash")

// ParseHash reads the stored form of a hash: "$argon2id$v=19$m=…,t=…,p=…$salt$sum", a bcrypt
// hash, or RabbitMQ's base64 of salt and sum, where the length tells SHA-256 from SHA-512.
// The empty string is the hash that no password fits. The text is never in the error.
func ParseHash(text string) (Hash, error) {
	parts, err := parseHash(text)
	if err != nil || parts.kind == hashNone {
		return Hash{}, err
	}
	return Hash{kind: parts.kind, text: &text}, nil
}

func parseHash(text string) (hashParts, error) {
	switch {
	case len(text) > maxHashBytes:
		return hashParts{}, fmt.Errorf("%w: longer than %d bytes", errHash, maxHashBytes)
	case text == "":
		return hashParts{}, nil
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon(text)
	case strings.HasPrefix(text, "$2"):
		cost, err := bcrypt.Cost([]byte(text))
		if err != nil {
			return hashParts{}, fmt.Errorf("%w: bcrypt", errHash)
		}
		if cost > maxBcryptCost {
			return hashParts{}, fmt.Errorf("%w: bcrypt cost above %d", errHash, maxBcryptCost)
		}
		return hashParts{kind: hashBcrypt}, nil
	}
	return parseRabbit(text)
}

func parseRabbit(text string) (hashParts, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return hashParts{}, fmt.Errorf("%w: not base64", errHash)
	}
	h := hashParts{}
	switch len(raw) {
	case rabbitSaltBytes + sha256.Size:
		h.kind = hashSHA256
	case rabbitSaltBytes + sha512.Size:
		h.kind = hashSHA512
	default: // MD5 among them
		return hashParts{}, fmt.Errorf("%w: neither SHA-256 nor SHA-512", errHash)
	}
	h.salt, h.sum = raw[:rabbitSaltBytes], raw[rabbitSaltBytes:]
	return h, nil
}

// parseArgon reads the PHC string format.
func parseArgon(text string) (hashParts, error) {
	h := hashParts{kind: hashArgon2id}
	parts := strings.Split(text, "$") // "", argon2id, v=19, m=…,t=…,p=…, salt, sum
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return hashParts{}, fmt.Errorf("%w: argon2id", errHash)
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return hashParts{}, fmt.Errorf("%w: argon2id cost", errHash)
	}
	var values [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		number, ok := strings.CutPrefix(costs[i], name)
		value, err := strconv.ParseUint(number, 10, 32)
		limit := [...]uint64{maxArgonMemoryKiB, maxArgonTime, maxArgonThreads}[i]
		if !ok || err != nil || value == 0 || value > limit {
			return hashParts{}, fmt.Errorf("%w: argon2id %s1 to %d", errHash, name, limit)
		}
		values[i] = value
	}
	h.memory, h.time, h.threads = uint32(values[0]), uint32(values[1]), uint8(values[2])
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	h.sum, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < minSaltBytes || len(h.sum) < minKeyBytes {
		return hashParts{}, fmt.Errorf("%w: argon2id salt or sum", errHash)
	}
	return h, nil
}

// hashArgon hashes a password as new ones are. It takes about 30 ms and 19 MiB.
func hashArgon(password string) Hash {
	salt := make([]byte, argonSaltBytes)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program where it cannot read
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemoryKiB, argonThreads,
		argonKeyBytes)
	text := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemoryKiB,
		argonTime, argonThreads, base64.RawStdEncoding.EncodeToString(salt),
		base64.RawStdEncoding.EncodeToString(sum))
	return Hash{kind: hashArgon2id, text: &text}
}

// HashSHA512 hashes a password with RabbitMQ's salted SHA-512: fast, and so no protection once
// the hash is known. It is for passwords that are no secret, and for definitions.
func HashSHA512(password Secret) Hash {
	salt := make([]byte, rabbitSaltBytes)
	_, _ = rand.Read(salt)
	sum := sha512.Sum512(append(salt[:rabbitSaltBytes:rabbitSaltBytes], password.Reveal()...))
	text := base64.StdEncoding.EncodeToString(append(salt[:rabbitSaltBytes:rabbitSaltBytes],
		sum[:]...))
	return Hash{kind: hashSHA512, text: &text}
}

// slow reports whether the hash is meant to be slow, and so goes through the slots.
func (h Hash) slow() bool { return h.kind >= hashBcrypt }

// verify compares in a time that does not depend on where the two differ. A hash that no
// password fits takes no time: Login puts a dummy in its place.
func (h Hash) verify(password string) bool {
	p, err := parseHash(h.Text())
	if err != nil {
		return false
	}
	switch p.kind {
	case hashNone:
		return false
	case hashSHA256:
		sum := sha256.Sum256(append(slices.Clip(p.salt), password...))
		return subtle.ConstantTimeCompare(sum[:], p.sum) == 1
	case hashSHA512:
		sum := sha512.Sum512(append(slices.Clip(p.salt), password...))
		return subtle.ConstantTimeCompare(sum[:], p.sum) == 1
	case hashBcrypt:
		return bcrypt.CompareHashAndPassword([]byte(h.Text()), []byte(password)) == nil
	case hashArgon2id:
		sum := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads,
			uint32(len(p.sum)))
		return subtle.ConstantTimeCompare(sum, p.sum) == 1
	}
	return false
}

// Text returns the stored form, as ParseHash reads it.
func (h Hash) Text() string {
	if h.text == nil {
		return ""
	}
	return *h.text
}

// Algorithm returns RabbitMQ's name of the algorithm, as definitions show it; "" without a hash.
func (h Hash) Algorithm() string {
	return [...]string{
		"", "rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512", "bcrypt",
		"argon2id",
	}[h.kind]
}

// String returns stars.
func (h Hash) String() string { return stars }

// MarshalText returns stars; what stores a hash asks for its Text.
func (h Hash) MarshalText() ([]byte, error) { return []byte(stars), nil }

// UnmarshalText reads the stored form, as from a configuration file.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}
