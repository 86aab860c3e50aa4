// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bufio"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-ipc/parley/internal/broker"
)

// What HTTP says of a message comes back as it went in.
func TestPropertiesBothWays(t *testing.T) {
	t.Parallel()
	in := fields([]string{
		"Content-Type: text/plain", "Content-Encoding: gzip", "Parley-Correlation-Id: c",
		"Parley-Reply-To: r", "Parley-Type: t", "Parley-Message-Id: m", "Parley-App-Id: a",
		"Parley-Expires-Ms: 5", "Parley-Priority: 9", "Parley-Header-A: 1", "Parley-Header-B-C: 2",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: s=1",
	})
	p, err := propertiesIn(in)
	if err != nil {
		t.Fatal(err)
	}
	out := http.Header{}
	propertiesOut(out, &p)
	if !reflect.DeepEqual(in, out) {
		t.Errorf("got  %v\nwant %v", out, in)
	}
}

// security.md, H5: nothing of a message can end a header and begin another.
func TestHeadersCannotBeInjected(t *testing.T) {
	t.Parallel()
	p := broker.Properties{
		Set:         broker.HasContentType | broker.HasCorrelationID | broker.HasHeaders,
		ContentType: "text/plain\r\nX: y", CorrelationID: "a\nb",
		Headers: broker.Table{
			{Name: "a\r\nb", Value: "x"},
			{Name: "c", Value: "x\r\nSet-Cookie: y"},
			{Name: "d e", Value: "x"},
			{Name: "", Value: "x"},
			{Name: "f:", Value: "x"},
			{Name: "good", Value: "x"},
			{Name: "table", Value: broker.Table{}},
		},
	}
	got := http.Header{}
	propertiesOut(got, &p)
	want := http.Header{"Content-Type": {unknownType}, "Parley-Header-Good": {"x"}}
	delete(got, "Content-Type")
	delete(want, "Content-Type")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The mapping of any headers to a message and back (security.md, HTTP mapping).
func FuzzProperties(f *testing.F) {
	f.Add("Content-Type: text/plain\r\nParley-Header-A: b\r\nParley-Priority: 3\r\n\r\n")
	f.Add("Parley-Expires-Ms: 99999999999999999999\r\n\r\n")
	f.Add("Parley-Header-\xc3\xbc: \xff\r\nPrefer: wait=1, respond-async\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(text))).ReadMIMEHeader()
		if err != nil {
			return
		}
		in := http.Header(h)
		parsePrefer(in)
		endToEnd(in)
		p, err := propertiesIn(in)
		if err != nil {
			return
		}
		m, err := newMessage(&p, nil)
		if err != nil {
			t.Fatalf("%v makes no message: %v", in, err)
		}
		back, err := m.Properties()
		if err != nil || !reflect.DeepEqual(back, p) {
			t.Fatalf("got %+v, %v, want %+v", back, err, p)
		}
		out := http.Header{}
		propertiesOut(out, &back)
		again, err := propertiesIn(out)
		if err != nil {
			t.Fatalf("%v: %v", out, err)
		}
		third := http.Header{}
		propertiesOut(third, &again)
		if !reflect.DeepEqual(out, third) {
			t.Fatalf("%v became %v", out, third)
		}
	})
}
