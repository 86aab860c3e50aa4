// SPDX-License-Identifier: Apache-2.0

package stomp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// plain is a frame with strings, for comparing.
type plain struct {
	Command Command
	Headers []string // name=value
	Body    string
}

// plainOf copies a borrowed frame.
func plainOf(f *Frame) plain {
	p := plain{Command: f.Command, Body: string(f.Body)}
	for _, h := range f.Headers {
		p.Headers = append(p.Headers, string(h.Name)+"="+string(h.Value))
	}
	return p
}

// readAll reads every frame of src and the error that ended it.
func readAll(src io.Reader, v Version, l Limits) ([]plain, error) {
	r := NewReader(src, l)
	r.SetVersion(v)
	var frames []plain
	for {
		if _, err := r.Fill(); err != nil {
			return frames, err
		}
		for r.Next() {
			frames = append(frames, plainOf(r.Frame()))
		}
		if err := r.Err(); err != nil {
			return frames, err
		}
	}
}

// readForgetful is readAll by a reader that parses every head.
func readForgetful(in []byte, v Version) []plain {
	r := NewReader(bytes.NewReader(in), Limits{})
	r.SetVersion(v)
	var frames []plain
	for {
		if _, err := r.Fill(); err != nil {
			return frames
		}
		for r.Next() {
			frames = append(frames, plainOf(r.Frame()))
			r.last = r.last[:0]
		}
		if r.Err() != nil {
			return frames
		}
	}
}

// A frame whose head is that of the one before says so, and is the same as if it were parsed.
func TestRepeatedHeads(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		frame    string
		repeated bool
	}{
		{"SEND\na:b\ncontent-length:2\n\nx\x00\x00", false},
		{"SEND\na:b\ncontent-length:2\n\n\x00y\x00", true},
		{"\n\nSEND\na:b\ncontent-length:2\n\nzz\x00", true},
		{"SEND\na:b\ncontent-length:2\nc:d\n\nzz\x00", false},
		{"SEND\na:b\n\nto the NUL\x00", false},
		{"SEND\na:b\n\nto this NUL\x00", true},
		{"SEND\na:b\\n\n\n\x00", false}, // an escape is undone in place: nothing to compare with
		{"SEND\na:b\\n\n\n\x00", false},
		{"SEND\r\na:b\r\n\r\n\x00", false},
		{"SEND\r\na:b\r\n\r\n\x00", false},
		{"SEND\na:" + strings.Repeat("b", repeatBytesMax) + "\n\n\x00", false},
		{"SEND\na:" + strings.Repeat("b", repeatBytesMax) + "\n\n\x00", false},
	}
	var in string
	for _, tc := range testCases {
		in += tc.frame
	}
	r := NewReader(strings.NewReader(in), Limits{})
	r.SetVersion(V12)
	var frames []plain
	for len(frames) < len(testCases) {
		if _, err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		for r.Next() {
			if want := testCases[len(frames)].repeated; r.Frame().Repeated != want {
				t.Errorf("frame %d: repeated %v, want %v", len(frames), !want, want)
			}
			frames = append(frames, plainOf(r.Frame()))
		}
	}
	octets, err := readAll(iotest.OneByteReader(strings.NewReader(in)), V12, Limits{})
	if diff := cmp.Diff(octets, frames); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("%v, octet by octet and whole:\n%s", err, diff)
	}
	if diff := cmp.Diff(readForgetful([]byte(in), V12), frames); diff != "" {
		t.Errorf("parsed and repeated:\n%s", diff)
	}
}

// Another version may read the same octets differently, and other limits refuse them.
func TestRepeatedHeadsEndWithTheirVersion(t *testing.T) {
	t.Parallel()
	const frame = "SEND\na: b\n\n\x00"
	r := NewReader(strings.NewReader(frame+frame+frame), Limits{})
	r.SetVersion(V12)
	if _, err := r.Fill(); err != nil || !r.Next() {
		t.Fatal(err, r.Err())
	}
	r.SetVersion(V10)
	if !r.Next() || r.Frame().Repeated || plainOf(r.Frame()).Headers[0] != "a=b" {
		t.Errorf("after SetVersion: %+v", plainOf(r.Frame()))
	}
	r.SetLimits(Limits{HeaderLineBytes: 2})
	if r.Next() {
		t.Errorf("after SetLimits: %+v", plainOf(r.Frame()))
	}
}

func TestReadFrames(t *testing.T) {
	t.Parallel()
	testCases := []struct {
		name    string // the row of the checklist in reference order, then what it shows
		version Version
		in      string
		want    []plain
	}{
		{
			"row 1: 1.0 reads LF, a value may end in CR", V10, "SEND\na:b\r\n\nx\x00",
			[]plain{{Send, []string{"a=b\r"}, "x"}},
		},
		{
			"row 1: 1.0 whose lines all end in CR LF", V10, "SEND\r\na:b\r\n\r\nx\x00",
			[]plain{{Send, []string{"a=b"}, "x"}},
		},
		{
			"row 1: 1.1 accepts CR LF", V11, "SEND\r\na:b\r\n\r\nx\x00\r\n",
			[]plain{{Send, []string{"a=b"}, "x"}},
		},
		{
			"row 1: 1.2 CR LF and LF mixed", V12, "SEND\na:b\r\nc:d\n\r\nx\x00\r\n\nSEND\n\n\x00",
			[]plain{{Send, []string{"a=b", "c=d"}, "x"}, {Send, nil, ""}},
		},
		{
			"row 2: 1.0 has no escapes", V10, "SEND\na\\n:b\\c\\q\n\n\x00",
			[]plain{{Send, []string{`a\n=b\c\q`}, ""}},
		},
		{
			"row 2: 1.1 escapes", V11, "SEND\na\\cb:1\\n2\\c3\\\\n\n\n\x00",
			[]plain{{Send, []string{"a:b=1\n2:3\\n"}, ""}},
		},
		{
			"row 2: 1.2 escapes", V12, "SEND\na\\r:1\\n2\\r3\\c\\\\\n\n\x00",
			[]plain{{Send, []string{"a\r=1\n2\r3:\\"}, ""}},
		},
		{
			"row 3: CONNECT and CONNECTED are not unescaped", V12, "CONNECT\na:\\q\n\n\x00CONNECTED\nb:\\c\n\n\x00",
			[]plain{{Connect, []string{`a=\q`}, ""}, {Connected, []string{`b=\c`}, ""}},
		},
		{
			"row 4: 1.0 trims leading blanks", V10, "SEND\na:  b c \n\n\x00",
			[]plain{{Send, []string{"a=b c "}, ""}},
		},
		{
			"row 4: 1.1 and 1.2 do not trim", V12, "SEND\na :  b \n\n\x00",
			[]plain{{Send, []string{"a =  b "}, ""}},
		},
		{
			"row 4: before login an old client may pad", 0, "CONNECT\nlogin: u\npasscode: p\n\n\x00",
			[]plain{{Connect, []string{"login=u", "passcode=p"}, ""}},
		},
		{
			"row 4: a later client's passcode is its own", 0, "CONNECT\npasscode: p\naccept-version:1.2\n\n\x00",
			[]plain{{Connect, []string{"passcode= p", "accept-version=1.2"}, ""}},
		},
		{
			"row 5: UTF-8 passes", V12, "SEND\nä:ö€😀\n\n\x00",
			[]plain{{Send, []string{"ä=ö€😀"}, ""}},
		},
		{
			"row 6: first of a repeated name wins", V12, "SEND\na:1\nb:2\na:3\nb:4\n\n\x00",
			[]plain{{Send, []string{"a=1", "b=2"}, ""}},
		},
		{
			"row 6: names that are equal unescaped are repeated", V12, "SEND\na\\c:1\na\\c:2\n\n\x00",
			[]plain{{Send, []string{"a:=1"}, ""}},
		},
		{
			"row 8: STOMP is a command", V12, "STOMP\nhost:x\n\n\x00",
			[]plain{{Stomp, []string{"host=x"}, ""}},
		},
		{
			"row 11: content-length wins over NUL", V11, "SEND\ncontent-length:5\n\na\x00b\x00c\x00SEND\n\n\x00",
			[]plain{{Send, []string{"content-length=5"}, "a\x00b\x00c"}, {Send, nil, ""}},
		},
		{
			"row 11: content-length 0, padded, repeated alike", V12,
			"SEND\ncontent-length:0\n\n\x00SEND\ncontent-length: 2 \ncontent-length:02\n\nab\x00",
			[]plain{
				{Send, []string{"content-length=0"}, ""},
				{Send, []string{"content-length= 2 "}, "ab"},
			},
		},
		{
			"row 11: without it the first NUL ends the body", V12, "SEND\n\na\x00\nSEND\n\nb\x00",
			[]plain{{Send, nil, "a"}, {Send, nil, "b"}},
		},
		{
			"row 25: unknown commands are told by the door, case counts", V12, "Send\n\n\x00WRONGCOMMAND\n\n\x00",
			[]plain{{Unknown, nil, ""}, {Unknown, nil, ""}},
		},
		{
			"noise between frames", V12, "\n\r\n\x00\n\x00SEND\n\n\x00\x00\r\n\nSEND\n\n\x00\n",
			[]plain{{Send, nil, ""}, {Send, nil, ""}},
		},
		{
			"colons in values", V12, "SEND\nselector:a='x:y'\n\n\x00",
			[]plain{{Send, []string{"selector=a='x:y'"}, ""}},
		},
		{
			"empty value", V12, "SEND\na:\n\n\x00",
			[]plain{{Send, []string{"a="}, ""}},
		},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			sources := map[string]io.Reader{
				"whole":     strings.NewReader(tc.in),
				"by octets": iotest.OneByteReader(strings.NewReader(tc.in)),
				"with EOF":  iotest.DataErrReader(strings.NewReader(tc.in)),
			}
			for how, src := range sources {
				got, err := readAll(src, tc.version, Limits{})
				if err != io.EOF {
					t.Errorf("%s: ended with %v, want EOF", how, err)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: frames (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestReadFaults(t *testing.T) {
	t.Parallel()
	small := Limits{HeadersMax: 3, HeaderLineBytes: 10, BodyBytes: 8}
	testCases := []struct {
		name    string
		version Version
		in      string
		fault   Fault
		detail  string
	}{
		{"row 2: 1.1 has no \\r", V11, "SEND\na:\\r\n\n\x00", FaultEscape, `"\\r"`},
		{"row 2: \\t in 1.2", V12, "SEND\na:\\t\n\n\x00", FaultEscape, `"\\t"`},
		{"row 2: a backslash at the end", V12, "SEND\na:\\\n\n\x00", FaultEscape, `"\\"`},
		{"row 3: names too", V12, "SEND\n\\t:a\n\n\x00", FaultEscape, ""},
		{"no colon", V12, "SEND\nab\n\n\x00", FaultHeader, `"ab"`},
		{"no name", V12, "SEND\n:ab\n\n\x00", FaultHeader, `":ab"`},
		{"S4: raw CR in 1.2", V12, "SEND\na:b\rc\n\n\x00", FaultHeader, `"a:b\rc"`},
		{"S2: content-length -1", V12, "SEND\ncontent-length:-1\n\n\x00", FaultContentLength, `"-1"`},
		{"S2: content-length 1e3", V12, "SEND\ncontent-length:1e3\n\n\x00", FaultContentLength, ""},
		{"S2: content-length empty", V12, "SEND\ncontent-length:\n\n\x00", FaultContentLength, ""},
		{
			"S2: content-length 2^63", V12, "SEND\ncontent-length:9223372036854775808\n\n\x00",
			FaultBodyLarge, "16777216",
		},
		{
			"S2: content-length 2^64+1", V12, "SEND\ncontent-length:18446744073709551617\n\n\x00",
			FaultBodyLarge, "",
		},
		{
			"S2: two content-lengths", V12, "SEND\ncontent-length:1\ncontent-length:2\n\na\x00",
			FaultContentLength, `"2"`,
		},
		{"S2: smaller than the body", V12, "SEND\ncontent-length:1\n\nab\x00", FaultNUL, ""},
		{
			"S2: larger than the body", V12, "SEND\ncontent-length:4\n\nab\x00\nSEND\n\n\x00",
			FaultNUL, "",
		},
		{"S3: NUL in the head", V12, "SEND\na:b\x00\n\n\x00", FaultHeader, ""},
		{"S3: no blank line", V12, "SEND\na:b\n\x00", FaultHeader, ""},
		{"S3: no blank line, then LF", V12, "SEND\na:b\x00\n", FaultHeader, ""},
		{"TLS on the plain port", 0, "\x16\x03\x01\x02\x00\x01\x00", FaultTLS, ""},
		{"command of 33 octets", V12, strings.Repeat("A", 33) + "\n\n\x00", FaultCommandLong, "32"},
		{"endless command", V12, strings.Repeat("A", 34), FaultCommandLong, ""},
	}
	for _, tc := range testCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			wantFault(t, tc.in, tc.version, Limits{}, tc.fault, tc.detail)
		})
	}
	limitCases := []struct {
		name  string
		ok    string // at the limit
		over  string // one beyond it
		fault Fault
	}{
		{
			"command", strings.Repeat("A", 32) + "\n\n\x00", strings.Repeat("A", 33) + "\n\n\x00",
			FaultCommandLong,
		},
		{
			"row 23: headers", "SEND\na:1\nb:2\na:3\n\n\x00", "SEND\na:1\na:2\na:3\na:4\n\n\x00",
			FaultHeadersMany,
		},
		{
			"row 23: header line", "SEND\na:" + strings.Repeat("x", 8) + "\r\n\n\x00",
			"SEND\na:" + strings.Repeat("x", 9) + "\n\n\x00", FaultHeaderLong,
		},
		{
			"S1: line without LF", "SEND\na:" + strings.Repeat("x", 8) + "\r\n\n\x00",
			"SEND\na:" + strings.Repeat("x", 20), FaultHeaderLong,
		},
		{
			"row 23: body", "SEND\n\n" + strings.Repeat("x", 8) + "\x00",
			"SEND\n\n" + strings.Repeat("x", 9) + "\x00", FaultBodyLarge,
		},
		{
			"row 23: body without NUL", "SEND\n\n" + strings.Repeat("x", 8) + "\x00",
			"SEND\n\n" + strings.Repeat("x", 9), FaultBodyLarge,
		},
	}
	for _, tc := range limitCases {
		t.Run("limit of "+tc.name, func(t *testing.T) {
			t.Parallel()
			if got, err := readAll(strings.NewReader(tc.ok), V12, small); err != io.EOF || len(got) != 1 {
				t.Errorf("at the limit: %d frames and %v, want 1 and EOF", len(got), err)
			}
			wantFault(t, tc.over, V12, small, tc.fault, "")
		})
	}
}

// wantFault reads in whole and octet by octet and wants the fault as the last thing of both.
func wantFault(t *testing.T, in string, v Version, l Limits, fault Fault, detail string) {
	t.Helper()
	for _, src := range []io.Reader{
		strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in)),
	} {
		_, err := readAll(src, v, l)
		var e *Error
		if !errors.As(err, &e) || e.Fault != fault {
			t.Fatalf("reading %.60q: error %v, want fault %d", in, err, fault)
		}
		if !strings.Contains(e.Detail(), detail) {
			t.Errorf("detail %q does not have %q", e.Detail(), detail)
		}
		if e.Message() == "" || !strings.HasPrefix(e.Error(), "stomp: ") {
			t.Errorf("message %q, error %q", e.Message(), e.Error())
		}
	}
}

// TestFrameLimitBeforeLogin: at most 64 KiB before login, tested at N-1, N and N+1.
func TestFrameLimitBeforeLogin(t *testing.T) {
	t.Parallel()
	frame := func(size int) string {
		const around = len("CONNECT\n\n\x00")
		return "CONNECT\n\n" + strings.Repeat("x", size-around) + "\x00"
	}
	for _, size := range []int{BeforeLoginFrameBytes - 1, BeforeLoginFrameBytes} {
		got, err := readAll(strings.NewReader(frame(size)), 0, BeforeLogin())
		if err != io.EOF || len(got) != 1 {
			t.Errorf("frame of %d: %d frames and %v, want 1 and EOF", size, len(got), err)
		}
	}
	wantFault(t, frame(BeforeLoginFrameBytes+1), 0, BeforeLogin(), FaultFrameLarge, "65536")
	wantFault(t, "CONNECT\ncontent-length:65530\n\n", 0, BeforeLogin(), FaultFrameLarge, "")
	wantFault(t, "CONNECT\n"+strings.Repeat("a:b\n", 101)+"\n\x00", 0, BeforeLogin(),
		FaultHeadersMany, "100")
	r := NewReader(strings.NewReader(strings.Repeat("x:y\n", 1<<20)), BeforeLogin())
	for r.Err() == nil {
		if _, err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		for r.Next() {
			t.Fatal("a frame")
		}
		if len(r.buf) > BeforeLoginFrameBytes {
			t.Fatalf("buffer of %d before login", len(r.buf))
		}
	}
}

// TestSecS1ManyHeaders: a head of very many different names costs its length, not its square, and
// a name repeated at the end is still found.
func TestSecS1ManyHeaders(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	const headers = hardHeaders - 2
	b.WriteString("SEND\n")
	for i := range headers {
		b.WriteString("name")
		b.WriteString(strings.Repeat("x", i%7))
		b.Write([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/26/26%26)})
		b.WriteString(":v\n")
	}
	b.WriteString("namea" + "aa:again\n\n\x00")
	distinct := map[string]bool{}
	for line := range strings.Lines(b.String()) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			distinct[name] = true
		}
	}
	got, err := readAll(&b, V12, Limits{HeadersMax: hardHeaders})
	if err != io.EOF || len(got) != 1 {
		t.Fatalf("%d frames and %v", len(got), err)
	}
	if len(got[0].Headers) != len(distinct) {
		t.Errorf("%d headers, want the %d distinct names", len(got[0].Headers), len(distinct))
	}
	if got[0].Headers[0] != "nameaaa=v" {
		t.Errorf("first header %q", got[0].Headers[0])
	}
}

// TestBatch: frames already in the buffer come without another read, and Next tells the end.
func TestBatch(t *testing.T) {
	t.Parallel()
	src := &countingReader{parts: []string{"\nSEND\n\na\x00SEND\n\nb\x00SEN", "D\n\nc\x00", "\n"}}
	r := NewReader(src, Limits{})
	var got []string
	for _, want := range []int{2, 1, 0} {
		n, err := r.Fill()
		if err != nil || n == 0 {
			t.Fatalf("fill: %d, %v", n, err)
		}
		frames := 0
		for r.Next() {
			got = append(got, string(r.Frame().Body))
			frames++
		}
		if frames != want {
			t.Errorf("batch of %d frames, want %d", frames, want)
		}
	}
	if strings.Join(got, "") != "abc" || src.reads != 3 || r.Pending() != 0 {
		t.Errorf("bodies %q in %d reads, %d pending", got, src.reads, r.Pending())
	}
	if _, err := r.Fill(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// countingReader hands out its parts, one a read.
type countingReader struct {
	parts []string
	reads int
}

func (c *countingReader) Read(p []byte) (int, error) {
	if len(c.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.parts[0])
	c.parts = c.parts[1:]
	c.reads++
	return n, nil
}

// TestHeartBeatIsSeen: row 20, a lone LF is no frame, but Fill tells of it.
func TestHeartBeatIsSeen(t *testing.T) {
	t.Parallel()
	r := NewReader(strings.NewReader("\n"), Limits{})
	if n, err := r.Fill(); n != 1 || err != nil {
		t.Fatalf("fill: %d, %v", n, err)
	}
	if r.Next() || r.Err() != nil || r.Pending() != 0 {
		t.Errorf("a frame, %v, %d pending", r.Err(), r.Pending())
	}
}

// TestLargeBody: the largest body passes, assembled in steps, and the buffer is given back.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789abcdef"), DefaultBodyBytes/16)
	for _, head := range []string{"SEND\n\n", "SEND\ncontent-length:16777216\n\n"} {
		src := io.MultiReader(strings.NewReader(head), bytes.NewReader(body),
			strings.NewReader("\x00SEND\n\n\x00"), strings.NewReader("\n"))
		r := NewReader(src, Limits{})
		frames, before := 0, 0
		for {
			n, err := r.Fill()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if before += n; len(r.buf) > 2*before+readAheadBytes {
				t.Fatalf("buffer of %d after %d octets", len(r.buf), before)
			}
			for r.Next() {
				if frames == 0 && !bytes.Equal(r.Frame().Body, body) {
					t.Error("the body is another")
				}
				frames++
			}
			if r.Err() != nil {
				t.Fatal(r.Err())
			}
		}
		if frames != 2 || len(r.buf) > readAheadBytes {
			t.Errorf("%d frames, buffer of %d left", frames, len(r.buf))
		}
	}
}

// TestTruncated: what ends inside a frame is told from what ends between two.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"SEN", "SEND\n", "SEND\na:b\n\nxyz", "SEND\ncontent-length:3\n\nab"} {
		if _, err := readAll(strings.NewReader(in), V12, Limits{}); err != io.ErrUnexpectedEOF {
			t.Errorf("%q ended with %v", in, err)
		}
	}
	r := NewReader(emptyReader{}, Limits{})
	if _, err := r.Fill(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reads of nothing: %v", err)
	}
}

// emptyReader brings nothing and never ends.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// TestTimeoutPasses: a read that timed out inside a frame loses nothing.
func TestTimeoutPasses(t *testing.T) {
	t.Parallel()
	r := NewReader(&timeoutReader{parts: []string{"SEND\n", "", "\nx\x00"}}, Limits{})
	for i, wantTimeout := range []bool{false, true, false} {
		if _, err := r.Fill(); errors.Is(err, os.ErrDeadlineExceeded) != wantTimeout {
			t.Fatalf("fill %d: %v", i, err)
		}
	}
	if !r.Next() || string(r.Frame().Body) != "x" {
		t.Errorf("body %q, %v", r.Frame().Body, r.Err())
	}
}

// timeoutReader hands out its parts; an empty one is a read that times out.
type timeoutReader struct{ parts []string }

func (r *timeoutReader) Read(p []byte) (int, error) {
	part := r.parts[0]
	r.parts = r.parts[1:]
	if part == "" {
		return 0, fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
	}
	return copy(p, part), nil
}

// TestFaultKeepsHeaders: an ERROR names the receipt of the frame that is too large.
func TestFaultKeepsHeaders(t *testing.T) {
	t.Parallel()
	r := NewReader(strings.NewReader("SEND\nreceipt:r1\ncontent-length:99\n\n"), Limits{BodyBytes: 9})
	if _, err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	if r.Next() {
		t.Fatal("a frame")
	}
	if got, _ := r.Frame().Get("receipt"); string(got) != "r1" || r.Frame().Command != Send {
		t.Errorf("receipt %q of %v", got, r.Frame().Command)
	}
}

// TestSwitchInsideBatch: what CONNECT settles holds for the frame behind it in the same batch.
func TestSwitchInsideBatch(t *testing.T) {
	t.Parallel()
	r := NewReader(strings.NewReader("CONNECT\naccept-version:1.2\n\n\x00SEND\na:\\c\n\n\x00"), BeforeLogin())
	if _, err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	if !r.Next() {
		t.Fatal(r.Err())
	}
	list, _ := r.Frame().Get("accept-version")
	r.SetVersion(Highest(list))
	r.SetLimits(Limits{})
	if !r.Next() {
		t.Fatal(r.Err())
	}
	if got, _ := r.Frame().Get("a"); string(got) != ":" {
		t.Errorf("a = %q", got)
	}
}

func TestHighest(t *testing.T) {
	t.Parallel()
	testCases := map[string]Version{
		"1.0": V10, "1.0,1.1,1.2": V12, "1.1, 1.0": V11, "1.3,1.2": V12, "1.9": 0, "": 0, "1.2,,": V12,
	}
	for list, want := range testCases {
		if got := Highest([]byte(list)); got != want {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
}
