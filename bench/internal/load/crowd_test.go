// SPDX-License-Identifier: Apache-2.0

package load

import "testing"

func TestCrowdGetsAMessageEach(t *testing.T) {
	t.Parallel()
	p := hubParams(t)
	if _, err := Crowd(t.Context(), p, 1); err == nil {
		t.Error("no way to read memory was accepted")
	}
	rss := uint64(1 << 20)
	p.RSS = func() (uint64, error) { rss += 200 << 10; return rss, nil }
	res, err := Crowd(t.Context(), p, 100)
	if err != nil {
		t.Fatal(err)
	}
	if res.Messages != 100 || res.Received != 100 || res.Idle == nil {
		t.Fatalf("%+v", res)
	}
	if idle, consuming := res.Idle.EachKiB(); idle != 2 || consuming != 4 || res.Idle.Connecting <= 0 {
		t.Errorf("%+v: %v and %v KiB", *res.Idle, idle, consuming)
	}
	for _, bad := range []int{0, maxCrowd + 1} {
		if _, err := Crowd(t.Context(), p, bad); err == nil {
			t.Errorf("%d connections were accepted", bad)
		}
	}
}
