// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func compiled(tb testing.TB, r Rules) rules {
	tb.Helper()
	out, err := r.compile()
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// security.md H10: what is not the Internet is refused, however it is written.
func TestSecH10Addresses(t *testing.T) {
	t.Parallel()
	r := compiled(t, Rules{Networks: []string{"10.1.0.0/16", "fd00::7"}})
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true,
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "fd00::7": true,
		"10.2.0.1": false, "fd00::8": false, "192.168.1.1": false, "172.16.0.1": false,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "::ffff:127.0.0.1": false,
		"::127.0.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false,
		"169.254.169.254": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false,
		"100.64.0.1": false, "192.0.0.8": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "240.0.0.1": false,
		"255.255.255.255": false, "224.0.0.1": false, "ff02::1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false,
		"100::1": false,
	} {
		if got := r.allows(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: allowed %t, want %t", text, got, want)
		}
	}
}

// security.md H10: the URL itself.
func TestSecH10URLs(t *testing.T) {
	t.Parallel()
	r := compiled(t, Rules{Networks: []string{"127.0.0.1"}})
	for _, text := range []string{
		"https://ci.example/done?token=x", "http://127.0.0.1:8080/", "HTTP://a.example",
		"https://localhost/", // refused when it is dialled
	} {
		if _, err := r.parseTarget(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "/done", "//a.example/", "file:///etc/passwd", "gopher://a.example/", "ftp://a.example/",
		"https:///done", "https://u:p@a.example/", "https://a.example/#f", "http://[::1]/",
		"http://169.254.169.254/latest/meta-data/", "http://127.0.0.2/", "http://[fe80::1%25eth0]/",
		"http://[::ffff:10.0.0.1]/", "https://a.example/\x7f", "https://a.example/" +
			strings.Repeat("x", urlBytesMax),
	} {
		if u, err := r.parseTarget(text); err == nil {
			t.Errorf("%.60q is taken as %v", text, u)
		}
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	bad := Rules{
		Networks:  []string{"lb", "10.0.0.0/33"},
		Callbacks: []string{"ci.example", "ftp://ci.example", "https://ci.example/path", "https://"},
		PublicURL: "hub.example",
	}
	err := bad.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("faults: %v", err)
	}
	r := compiled(t, Rules{Callbacks: []string{"https://CI.example", "http://a.example:8080"}})
	for text, want := range map[string]bool{
		"https://ci.example/done": true, "https://ci.example:443/": true, "http://ci.example/": false,
		"http://a.example:8080/x": true, "http://a.example/x": false,
		"https://ci.example.evil/": false,
	} {
		u, err := r.parseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.origins[originOf(u)]; got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// rest.md, Webhooks: what each answer means.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		status int
		after  string
		want   verdict
		pause  time.Duration
	}{
		{200, "", taken, 0},
		{201, "", taken, 0},
		{202, "", taken, 0},
		{204, "", taken, 0},
		{301, "", failed, 0},
		{307, "", failed, 0},
		{400, "", refused, 0},
		{404, "", refused, 0},
		{410, "", gone, 0},
		{415, "", formatRefused, 0},
		{429, "", wait, 0},
		{429, "7", wait, 7 * time.Second},
		{503, "7", wait, 7 * time.Second},
		{503, "Fri, 02 Jan 2026 03:05:05 GMT", wait, time.Minute},
		{503, "Fri, 02 Jan 2026 03:03:05 GMT", wait, 0},
		{503, "99999999", wait, pauseMax},
		{503, "soon", failed, 0},
		{503, "", failed, 0},
		{500, "7", failed, 0},
		{504, "", failed, 0},
	} {
		h := http.Header{"Retry-After": {c.after}}
		got, pause := verdictOf(c.status, h, now)
		if got != c.want || pause != c.pause {
			t.Errorf("%d %q: %s %v, want %s %v", c.status, c.after, got.word(), pause, c.want.word(),
				c.pause)
		}
	}
}

// rest.md, Webhooks: the window doubles and halves, and is at least 1.
func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWindow(10)
	sizes := []int{w.size}
	for _, success := range []bool{true, true, true, true, true, false, false, false, false, true} {
		if success {
			w.grow()
		} else {
			w.shrink()
		}
		sizes = append(sizes, w.size)
	}
	want := []int{1, 2, 4, 8, 10, 10, 5, 2, 1, 1, 2}
	for i := range want {
		if sizes[i] != want[i] {
			t.Fatalf("sizes %v, want %v", sizes, want)
		}
	}
}

// resilience.md: 1 s x 2^n up to 5 min, with jitter.
func TestBackOff(t *testing.T) {
	t.Parallel()
	r := Retry{FirstMS: 1_000, MaxMS: 300_000}
	for n, most := range map[uint32]time.Duration{
		1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 300 * time.Second,
		20: 300 * time.Second, 100: 300 * time.Second,
	} {
		for range 100 {
			if d := r.backOff(n); d < most/2 || d > most {
				t.Fatalf("attempt %d waits %v, want %v to %v", n, d, most/2, most)
			}
		}
	}
}

// CloudEvents webhook §4: consent is WebHook-Allowed-Origin, and a rate where one was asked for.
func TestConsent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		origin, allowed string
		rate            int
		granted         bool
		perMinute       int
	}{
		{"*", "", 0, true, 0},
		{"hub", "", 0, true, 0},
		{"HUB", "", 0, true, 0},
		{"", "", 0, false, 0},
		{"other", "", 0, false, 0},
		{"hub.evil", "", 0, false, 0},
		{"*", "60", 0, true, 60},
		{"*", "60", 120, true, 60},
		{"*", "*", 120, true, 0},
		{"*", "", 120, false, 0},
		{"*", "0", 120, false, 0},
		{"*", "many", 120, false, 0},
	} {
		h := http.Header{}
		h.Set("WebHook-Allowed-Origin", c.origin)
		h.Set("WebHook-Allowed-Rate", c.allowed)
		got, err := readConsent(h, "hub", c.rate)
		if (err == nil) != c.granted || got.perMinute != c.perMinute {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

func TestDefinition(t *testing.T) {
	t.Parallel()
	d, err := decodeDefinition([]byte(`{"source":{"queue":"q"},"push":{"url":"u"}}`))
	if err != nil || d.Push.Format != "binary" || d.Push.Retry.Attempts != 20 ||
		d.Push.Retry.FirstMS != 1_000 || d.Push.Retry.MaxMS != 300_000 || d.Push.MaxInflight != 16 ||
		d.Push.TimeoutMS != 30_000 || d.Push.batch() != 1 {
		t.Errorf("defaults %+v, %v", d, err)
	}
	for _, text := range []string{
		`{`, `[]`, `{"source":{}}`, `{"source":{"queue":"q","topic":"t"}}`,
		`{"source":{"queue":"q","dead_letter":"d"}}`, `{"source":{"queue":"q"},"by":"root"}`,
		`{"source":{"queue":"q"},"disabled":"x"}`,
		`{"source":{"queue":"q"},"push":{"format":"xml"}}`,
		`{"source":{"queue":"q"},"push":{"batch_max":3}}`,
		`{"source":{"queue":"q"},"push":{"format":"batch","batch_max":101}}`,
		`{"source":{"queue":"q"},"push":{"max_inflight":257}}`,
		`{"source":{"queue":"q"},"push":{"max_inflight":-1}}`,
		`{"source":{"queue":"q"},"push":{"timeout_ms":300001}}`,
		`{"source":{"queue":"q"},"push":{"retry":{"attempts":101}}}`,
		`{"source":{"queue":"q"},"push":{"retry":{"first_ms":3600001}}}`,
		`{"source":{"queue":"q"},"push":{"rate":-1}}`,
		`{"source":{"queue":"q"},"push":{"secret":"whsec_!"}}`,
		`{"source":{"queue":"q"},"push":{"authorization":"a\r\nb"}}`,
	} {
		if d, err := decodeDefinition([]byte(text)); err == nil {
			t.Errorf("%s is taken as %+v", text, d)
		}
	}
}

// Standard Webhooks: the example of its specification's libraries.
func TestSign(t *testing.T) {
	t.Parallel()
	p := Push{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	key, err := p.key()
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	sign(h, &post{id: "msg_p5jXN8AQM9LWM0D4loKWxJek", key: key, body: []byte(`{"test": 2432232314}`)},
		time.Unix(1_614_265_330, 0))
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := h.Get("Webhook-Signature"); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}
