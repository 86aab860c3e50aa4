// SPDX-License-Identifier: Apache-2.0

package broker

import "sort"

// delivered is one delivery that waits for its outcome.
type delivered struct {
	tag      uint64
	consumer *Consumer // nil for Get
	queue    *Queue    // nil: this slot is settled already
	entry    entry
	// dueMS is until when it has to have its outcome, in milliseconds since 1970, timeoutMS after it
	// was delivered; 0 is for ever.
	dueMS, timeoutMS int64
}

// unsettledList holds deliveries in the order of their tags. Settling from the front pops; in the
// middle it leaves a gap, and gaps are squeezed out when they outnumber what is left.
type unsettledList struct {
	slots []delivered
	head  int
	live  int
}

const unsettledSqueeze = 64

func (l *unsettledList) len() int { return l.live }

func (l *unsettledList) push(d delivered) {
	if l.head > 0 && len(l.slots) == cap(l.slots) && l.head >= len(l.slots)/2 {
		l.squeeze()
	}
	l.slots = append(l.slots, d)
	l.live++
}

// find returns the index of the first slot whose tag is at least tag. Tags without gaps are found
// at once, others by bisection.
func (l *unsettledList) find(tag uint64) int {
	if l.head < len(l.slots) {
		first := l.slots[l.head].tag
		if tag <= first {
			return l.head
		}
		if i := l.head + int(min(tag-first, uint64(len(l.slots)))); i < len(l.slots) &&
			l.slots[i].tag == tag {
			return i
		}
	}
	rest := l.slots[l.head:]
	return l.head + sort.Search(len(rest), func(i int) bool { return rest[i].tag >= tag })
}

// take removes one delivery.
func (l *unsettledList) take(tag uint64) (delivered, bool) {
	i := l.find(tag)
	if i >= len(l.slots) || l.slots[i].tag != tag || l.slots[i].queue == nil {
		return delivered{}, false
	}
	d := l.slots[i]
	l.clear(i)
	l.tidy()
	return d, true
}

// takeUpTo appends to out the deliveries up to tag, of one consumer if of is not nil.
func (l *unsettledList) takeUpTo(tag uint64, of *Consumer, out []delivered) []delivered {
	for i := l.first(of); i < len(l.slots) && l.slots[i].tag <= tag; i++ {
		d := &l.slots[i]
		if of != nil {
			of.settledTo = d.tag
		}
		if d.queue == nil || (of != nil && d.consumer != of) {
			continue
		}
		out = append(out, *d)
		l.clear(i)
	}
	l.tidy()
	return out
}

// first returns where a consumer's deliveries begin, or all of them. What others have not settled
// before that is passed over, not looked at each time.
func (l *unsettledList) first(of *Consumer) int {
	if of == nil {
		return l.head
	}
	return l.find(of.settledTo + 1)
}

// upTo returns the deliveries up to tag, of one consumer if of is not nil, and leaves them.
func (l *unsettledList) upTo(tag uint64, of *Consumer) (out []delivered) {
	for i := l.first(of); i < len(l.slots) && l.slots[i].tag <= tag; i++ {
		if d := &l.slots[i]; d.queue != nil && (of == nil || d.consumer == of) {
			out = append(out, *d)
		}
	}
	return out
}

func (l *unsettledList) clear(i int) {
	tag := l.slots[i].tag
	l.slots[i] = delivered{tag: tag}
	l.live--
}

func (l *unsettledList) tidy() {
	for l.head < len(l.slots) && l.slots[l.head].queue == nil {
		l.head++
	}
	switch {
	case l.head == len(l.slots):
		l.slots, l.head = l.slots[:0], 0
		if cap(l.slots) > 4_096 {
			l.slots = nil // a long list gives its array back
		}
	case len(l.slots)-l.head > unsettledSqueeze && l.live < (len(l.slots)-l.head)/4:
		l.squeeze()
	}
}

// squeeze moves the live slots to the front.
func (l *unsettledList) squeeze() {
	out := l.slots[:0]
	for i := l.head; i < len(l.slots); i++ {
		if l.slots[i].queue != nil {
			out = append(out, l.slots[i])
		}
	}
	clear(l.slots[len(out):])
	l.slots, l.head = out, 0
}
