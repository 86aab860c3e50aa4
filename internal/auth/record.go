// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A user as a journal keeps it, without the name: a byte that says which layout this is, the hash,
// the tags, the permissions by virtual host, the topic permissions by virtual host and exchange, and,
// from layout 2 on, the limits. Texts have their length before them and lists their count, both as varints; what is a map is
// sorted, so that a user has one form.
const (
	recordLayout = 2
	// recordNoLimits is the layout before users had limits.
	recordNoLimits = 1
)

var errRecord = errors.New("damaged record of a user")

// record returns the user's form for a journal.
func (u User) record() []byte {
	w := recordWriter{recordLayout}
	w.texts(u.Hash.Text())
	w.count(len(u.Tags))
	w.texts(u.Tags...)
	w.count(len(u.Permissions))
	for _, vhost := range slices.Sorted(maps.Keys(u.Permissions)) {
		p := u.Permissions[vhost]
		w.texts(vhost, p.Configure, p.Write, p.Read)
	}
	w.count(len(u.Topics))
	for _, vhost := range slices.Sorted(maps.Keys(u.Topics)) {
		w.texts(vhost)
		w.count(len(u.Topics[vhost]))
		for _, exchange := range slices.Sorted(maps.Keys(u.Topics[vhost])) {
			p := u.Topics[vhost][exchange]
			w.texts(exchange, p.Write, p.Read)
		}
	}
	w.count(len(u.Limits))
	for _, name := range slices.Sorted(maps.Keys(u.Limits)) {
		w.texts(name)
		w = binary.AppendVarint(w, int64(u.Limits[name]))
	}
	return w
}

type recordWriter []byte

func (w *recordWriter) count(n int) { *w = binary.AppendUvarint(*w, uint64(n)) }

func (w *recordWriter) texts(list ...string) {
	for _, text := range list {
		w.count(len(text))
		*w = append(*w, text...)
	}
}

// userOf reads what record has written.
func userOf(name string, record []byte) (User, error) {
	if len(record) == 0 || record[0] != recordLayout && record[0] != recordNoLimits {
		return User{}, fmt.Errorf("%w %q: its layout is not one that this build knows", errRecord, name)
	}
	r := recordReader{rest: record[1:]}
	u := User{
		Name: name, Permissions: make(map[string]Permission),
		Topics: make(map[string]map[string]TopicPermission),
	}
	hash, err := ParseHash(r.text())
	if err != nil {
		return User{}, fmt.Errorf("%w %q: %w", errRecord, name, err)
	}
	u.Hash = hash
	for range r.count() {
		u.Tags = append(u.Tags, r.text())
	}
	for range r.count() {
		vhost := r.text()
		u.Permissions[vhost] = Permission{Configure: r.text(), Write: r.text(), Read: r.text()}
	}
	for range r.count() {
		vhost := r.text()
		u.Topics[vhost] = make(map[string]TopicPermission)
		for range r.count() {
			exchange := r.text()
			u.Topics[vhost][exchange] = TopicPermission{Write: r.text(), Read: r.text()}
		}
	}
	if record[0] != recordNoLimits {
		r.limits(&u)
	}
	if r.bad || len(r.rest) > 0 {
		return User{}, fmt.Errorf("%w %q: it does not hold what it says", errRecord, name)
	}
	return u, nil
}

// recordReader reads one value after the other. After the first one that is not there, bad is set
// and everything reads as empty.
type recordReader struct {
	rest []byte
	bad  bool
}

func (r *recordReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if r.bad || size <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *recordReader) limits(u *User) {
	for range r.count() {
		if u.Limits == nil {
			u.Limits = make(map[string]int)
		}
		name := r.text()
		n, size := binary.Varint(r.rest)
		if r.bad || size <= 0 {
			r.bad = true
			return
		}
		r.rest = r.rest[size:]
		u.Limits[name] = int(n)
	}
}

// count reads how many values follow; each takes a byte at least.
func (r *recordReader) count() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *recordReader) text() string {
	n := r.count()
	if r.bad {
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}
