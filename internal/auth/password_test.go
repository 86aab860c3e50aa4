// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

func TestHashes(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("\x90\x8d\xc6\x0atest12"))
	rabbit256 := base64.StdEncoding.EncodeToString(append([]byte("\x90\x8d\xc6\x0a"), sum[:]...))
	testCases := []struct {
		name, text, password, algorithm string
	}{
		// The example of RabbitMQ's page on passwords.
		{
			"RabbitMQ's example", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "test12",
			"rabbit_password_hashing_sha256",
		},
		{"SHA-256", rabbit256, "test12", "rabbit_password_hashing_sha256"},
		{
			"SHA-512", HashSHA512(NewSecret("s3 cret")).Text(), "s3 cret",
			"rabbit_password_hashing_sha512",
		},
		{
			"bcrypt", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U",
			"bcrypt",
		},
		{
			"argon2id, RFC 9106's reference implementation",
			"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
			"password", "argon2id",
		},
		{"argon2id of our own", hashArgon("pässword").Text(), "pässword", "argon2id"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			hash := mustHash(t, tc.text)
			if !hash.verify(tc.password) {
				t.Error("the password does not fit")
			}
			for _, wrong := range []string{"", tc.password + "x", tc.password[1:], "guest"} {
				if hash.verify(wrong) {
					t.Errorf("%q fits", wrong)
				}
			}
			if hash.Text() != tc.text || hash.Algorithm() != tc.algorithm {
				t.Errorf("text %q, algorithm %q", hash.Text(), hash.Algorithm())
			}
			if got, _ := hash.MarshalText(); hash.String() != stars || string(got) != stars {
				t.Errorf("the hash shows itself as %v, %s", hash, got)
			}
		})
	}
	if (Hash{}).verify("") || (Hash{}).verify("x") {
		t.Error("a password fits the zero hash")
	}
}

// A hash from outside cannot make the hub work for minutes or take a gigabyte.
func TestParseHashRefuses(t *testing.T) {
	t.Parallel()
	salt, sum := "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	argon := func(cost, salt, sum string) string {
		return "$argon2id$v=19$" + cost + "$" + salt + "$" + sum
	}
	testCases := []struct{ name, text string }{
		{"plain text", "guest"},
		{"MD5", base64.StdEncoding.EncodeToString(make([]byte, 20))},
		{"SHA-256 without salt", base64.StdEncoding.EncodeToString(make([]byte, 32))},
		{"too long", strings.Repeat("A", 1000)},
		{"argon2i", "$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + sum},
		{"old version", "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + sum},
		{"1 GiB", argon("m=1048576,t=2,p=1", salt, sum)},
		{"1000 passes", argon("m=256,t=1000,p=1", salt, sum)},
		{"255 threads", argon("m=256,t=2,p=255", salt, sum)},
		{"no pass", argon("m=256,t=0,p=1", salt, sum)},
		{"above 32 bits", argon("m=4294967552,t=2,p=1", salt, sum)},
		{"order", argon("t=2,m=256,p=1", salt, sum)},
		{"cost missing", argon("m=256,t=2", salt, sum)},
		{"short salt", argon("m=256,t=2,p=1", "c29t", sum)},
		{"empty sum", argon("m=256,t=2,p=1", salt, "")},
		{"part missing", "$argon2id$v=19$m=256,t=2,p=1$" + salt},
		{"bcrypt cost", "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
		{"bcrypt cut", "$2a$05$CCCC"},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			hash, err := ParseHash(tc.text)
			if err == nil {
				t.Fatalf("accepted as %s", hash.Algorithm())
			}
			if strings.Contains(err.Error(), tc.text) {
				t.Errorf("the error shows the hash: %v", err)
			}
		})
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")
	f.Add("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := ParseHash(text)
		if err == nil && hash.Text() != text {
			t.Fatalf("%q comes back as %q", text, hash.Text())
		}
		p, _ := parseHash(text)
		if p.memory > maxArgonMemoryKiB || p.time > maxArgonTime || p.threads > maxArgonThreads {
			t.Fatalf("%q costs %d KiB, %d passes", text, p.memory, p.time)
		}
	})
}
