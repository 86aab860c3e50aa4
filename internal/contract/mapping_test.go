// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-ipc/parley/internal/wire/thrift"
)

// definitions are what the types of the rows below name.
const definitions = `
enum Color { RED = 1, GREEN = 2, VERT = 2, FAR = 100000, BELOW = -7 }
typedef i64 Id (api.js_conv = "true")
struct Inner { 1: required i32 a, 2: string b, 3: optional Inner next }
struct Given { 1: i32 n = 7, 2: string s = "x", 3: required i32 r, 4: optional list<i32> l = [1, 2],
  5: bool t = true, 6: bool f = 0, 7: Inner in = {"a": 1}, 8: Color c = Color.GREEN,
  9: map<string, double> m = {"k": 1}, 10: uuid u = "00112233-4455-6677-8899-aabbccddeeff",
  11: i64 big = 5, 12: set<i8> st = [1, 1, 2], 13: binary raw = "hi" }
union Either { 1: i32 i, 2: string s, 3: Inner in }
struct Conv { 1: i64 a (api.js_conv = ""), 2: i32 b (api.js_conv = "true"), 3: list<i64> c (api.js_conv),
  4: i64 d, 5: Id e, 6: i64 f (api.js_conv = "false"), 7: map<i64, i64> g (api.js_conv = "1") }
struct Odd { -3: i32 low, 7: i32 seven, 3: i32 three, 32767: i32 top, -32768: i32 bottom }
struct Empty {}
`

// row is a value and what it becomes when it goes to Thrift and back: out, or in itself if that is
// empty. A fault is where it is, and what the error says of it.
type row struct{ typ, in, out, fault string }

func (r row) want() string {
	if r.out != "" {
		return r.out
	}
	return r.in
}

// argument compiles a method with one argument v of a type.
func argument(t *testing.T, typ string) *Method {
	t.Helper()
	return method(t, definitions+"service S { void m(1: "+typ+" v, 2: i32 other) }")
}

// checkRow sends a value there and back in every protocol.
func checkRow(t *testing.T, r row) {
	t.Helper()
	m := argument(t, r.typ)
	var tr Transcoder
	for _, p := range protocols() {
		wire, err := tr.ArgumentsFromJSON(nil, m, p, []byte(`{"v":`+r.in+`}`))
		if r.fault != "" {
			var fault *ConvertError
			if !errors.As(err, &fault) || !strings.HasPrefix(fault.Error(), r.fault) || wire != nil {
				t.Errorf("%v: %s of %s gives %q, %v, not %s", p, r.in, r.typ, wire, err, r.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %s of %s: %v", p, r.in, r.typ, err)
			continue
		}
		out, err := tr.ArgumentsToJSON(nil, m, p, wire)
		if want := `{"v":` + r.want() + `}`; err != nil || string(out) != want {
			t.Errorf("%v: %s of %s comes back as %s, %v, not %s", p, r.in, r.typ, out, err, want)
		}
	}
}

// TestMapping holds the rows of the mapping, each with what is refused.
func TestMapping(t *testing.T) {
	t.Parallel()
	for name, rows := range mapping() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range rows {
				checkRow(t, r)
			}
		})
	}
}

func mapping() map[string][]row {
	return map[string][]row{
		"bool": {
			{typ: "bool", in: "true"},
			{typ: "bool", in: "false"},
			{typ: "list<bool>", in: "[true,false]"},
			{typ: "bool", in: "1", fault: "/v: expected a bool, found a number"},
			{typ: "bool", in: `"true"`, fault: "/v: expected a bool, found a string"},
			{typ: "bool", in: "truth", fault: `/v: expected a bool, found "t" at byte 5`},
		},
		"integers": {
			{typ: "i8", in: "-128"},
			{typ: "i8", in: "127"},
			{typ: "byte", in: "0"},
			{typ: "i8", in: "-0", out: "0"},
			{typ: "i8", in: "128", fault: "/v: 128 is outside i8"},
			{typ: "i8", in: "-129", fault: "/v: -129 is outside i8"},
			{typ: "i16", in: "-32768"},
			{typ: "i16", in: "32767"},
			{typ: "i16", in: "32768", fault: "/v: 32768 is outside i16"},
			{typ: "i32", in: "-2147483648"},
			{typ: "i32", in: "2147483647"},
			{typ: "i32", in: "2147483648", fault: "/v: 2147483648 is outside i32"},
			{typ: "i32", in: "1.0", fault: `/v: "1.0" is not an integer`},
			{typ: "i32", in: "1e2", fault: `/v: "1e2" is not an integer`},
			{typ: "i32", in: `"5"`, fault: "/v: expected an integer, found a string"},
			{typ: "i32", in: "01", fault: "/v: expected a number"},
			{typ: "i32", in: "+1", fault: "/v: expected an integer"},
			{typ: "i32", in: "-", fault: "/v: expected a number"},
			{typ: "i32", in: "99999999999999999999", fault: `/v: "99999999999999999999" is not an integer`},
			{typ: "i32", in: "[]", fault: "/v: expected an integer, found an array"},
		},
		"i64": {
			{typ: "i64", in: "-9223372036854775808"},
			{typ: "i64", in: "9223372036854775807"},
			{typ: "i64", in: `"9007199254740993"`, out: "9007199254740993"},
			{typ: "i64", in: `"-9223372036854775808"`, out: "-9223372036854775808"},
			{typ: "i64", in: `"\u0031\u0032"`, out: "12"},
			{typ: "i64", in: "9223372036854775808", fault: `/v: "9223372036854775808" is not an integer of 64 bits`},
			{typ: "i64", in: "-9223372036854775809", fault: `/v: "-9223372036854775809" is not`},
			{typ: "i64", in: `""`, fault: `/v: "" is not an integer`},
			{typ: "i64", in: `"-"`, fault: `/v: "-" is not an integer`},
			{typ: "i64", in: `"1.5"`, fault: `/v: "1.5" is not an integer`},
			{typ: "i64", in: `" 1"`, fault: `/v: " 1" is not an integer`},
			{typ: "i64", in: "1.5", fault: `/v: "1.5" is not an integer`},
		},
		"js_conv": {
			{
				typ: "Conv", in: `{"a":1,"b":"2","c":[3,"4"],"d":5,"e":6,"f":7,"g":{"8":9}}`,
				out: `{"a":"1","b":2,"c":["3","4"],"d":5,"e":"6","f":7,"g":{"8":"9"}}`,
			},
			{typ: "Conv", in: `{"b":"x"}`, fault: `/v/b: "x" is not an integer`},
		},
		"double": {
			{typ: "double", in: "1.5"},
			{typ: "double", in: "-0"},
			{typ: "double", in: "1e21", out: "1e+21"},
			{typ: "double", in: "1E+2", out: "100"},
			{typ: "double", in: "0.000001"},
			{typ: "double", in: "1e-7"},
			{typ: "double", in: "123456789012345680000"},
			{typ: "double", in: "5e-324"},
			{typ: "double", in: "1.7976931348623157e308", out: "1.7976931348623157e+308"},
			{typ: "double", in: `"NaN"`},
			{typ: "double", in: `"Infinity"`},
			{typ: "double", in: `"-Infinity"`},
			{typ: "list<double>", in: `[1,"NaN",2.5]`},
			{typ: "double", in: "1e400", fault: `/v: "1e400" is outside a double`},
			{typ: "double", in: `"1.5"`, fault: `/v: "1.5" is not a double`},
			{typ: "double", in: `"nan"`, fault: `/v: "nan" is not a double`},
			{typ: "double", in: "1.", fault: "/v: expected a number"},
			{typ: "double", in: ".5", fault: "/v: expected a number"},
			{typ: "double", in: "1e", fault: "/v: expected a number"},
			{typ: "double", in: "true", fault: "/v: expected a number, found a bool"},
			{typ: "double", in: "NaN", fault: "/v: expected a number"},
		},
		"string": {
			{typ: "string", in: `""`},
			{typ: "string", in: `"plain text, longer than eight"`},
			{typ: "string", in: `"ä€😀"`},
			{typ: "string", in: `"\u00e4\u20AC\ud83d\ude00"`, out: `"ä€😀"`},
			{typ: "string", in: `"\"\\\/\b\f\n\r\t"`, out: `"\"\\/\b\f\n\r\t"`},
			{typ: "string", in: `"\u0000\u001f\u007f"`, out: "\"\\u0000\\u001f\x7f\""},
			{typ: "string", in: `"12345678\n12345678"`},
			{typ: "string", in: "\"\u2028\""},
			{typ: "string", in: `"\ud83d"`, fault: "/v: an escape that is none"},
			{typ: "string", in: `"\ude00\ud83d"`, fault: "/v: an escape that is none"},
			{typ: "string", in: `"\ud83dx"`, fault: "/v: an escape that is none"},
			{typ: "string", in: `"\x41"`, fault: "/v: an escape that is none"},
			{typ: "string", in: `"\u00g0"`, fault: "/v: an escape that is none"},
			{typ: "string", in: "\"\xff\"", fault: "/v: a string that is not UTF-8"},
			{typ: "string", in: "\"12345678\xc3\"", fault: "/v: a string that is not UTF-8"},
			{typ: "string", in: "\"\\n\xff\"", fault: "/v: a string that is not UTF-8"},
			{typ: "string", in: "\"\xed\xa0\x80\"", fault: "/v: a string that is not UTF-8"},
			{typ: "string", in: "\"a\nb\"", fault: "/v: a control character in a string"},
			{typ: "string", in: "\"\\n\nb\"", fault: "/v: a control character in a string"},
			{typ: "string", in: `"open`, fault: "/v: a string without an end"},
			{typ: "string", in: "1", fault: "/v: expected a string, found a number"},
		},
		"binary": {
			{typ: "binary", in: `""`},
			{typ: "binary", in: `"AAEC/v8="`},
			{typ: "binary", in: `"AAEC_v8"`, out: `"AAEC/v8="`},
			{typ: "binary", in: `"-_-_"`, out: `"+/+/"`},
			{typ: "binary", in: `"\/+8="`, out: `"/+8="`},
			{typ: "binary", in: `"YQ=="`},
			{typ: "binary", in: `"YQ"`, out: `"YQ=="`},
			{typ: "binary", in: `"YWI"`, out: `"YWI="`},
			{typ: "binary", in: `"YQ="`, fault: `/v: "YQ=" is not base64`},
			{typ: "binary", in: `"Y"`, fault: `/v: "Y" is not base64`},
			{typ: "binary", in: `"===="`, fault: `/v: "====" is not base64`},
			{typ: "binary", in: `"YW I"`, fault: `/v: "YW I" is not base64`},
			{typ: "binary", in: `"YWI=YWI="`, fault: `/v: "YWI=YWI=" is not base64`},
			{typ: "binary", in: "[1,2]", fault: "/v: expected octets in base64, found an array"},
		},
		"uuid": {
			{typ: "uuid", in: `"00112233-4455-6677-8899-aabbccddeeff"`},
			{typ: "uuid", in: `"00112233-4455-6677-8899-AaBbCcDdEeFf"`, out: `"00112233-4455-6677-8899-aabbccddeeff"`},
			{typ: "uuid", in: `"00112233445566778899aabbccddeeff"`, fault: "/v: "},
			{typ: "uuid", in: `"{0112233-4455-6677-8899-aabbccddeeff"`, fault: "/v: "},
			{typ: "uuid", in: `"00112233-4455-6677-8899_aabbccddeeff"`, fault: "/v: "},
			{typ: "uuid", in: "5", fault: "/v: expected a uuid, found a number"},
		},
		"enum": {
			{typ: "Color", in: `"RED"`},
			{typ: "Color", in: "1", out: `"RED"`},
			{typ: "Color", in: "3"},
			{typ: "Color", in: `"VERT"`, out: `"GREEN"`},
			{typ: "Color", in: "100000", out: `"FAR"`},
			{typ: "Color", in: `"BELOW"`},
			{typ: "Color", in: "-1"},
			{typ: "Color", in: `"red"`, fault: `/v: "red" is no value of the enum Color`},
			{typ: "Color", in: `"1"`, fault: `/v: "1" is no value of the enum Color`},
			{typ: "Color", in: "1.5", fault: `/v: "1.5" is not an integer`},
			{typ: "Color", in: "3000000000", fault: "/v: 3000000000 is outside i32"},
			{typ: "Color", in: "true", fault: "/v: expected a name of the enum Color or a number, found a bool"},
		},
		"struct":  structRows(),
		"default": defaultRows(),
		"union": {
			{typ: "Either", in: `{"i":1}`},
			{typ: "Either", in: `{"s":"x"}`},
			{typ: "Either", in: `{"in":{"a":1}}`},
			{typ: "Either", in: `{"i":null,"s":"x"}`, out: `{"s":"x"}`},
			{typ: "Either", in: `{}`, fault: "/v: Either is a union: expected one member, found 0"},
			{typ: "Either", in: `{"i":null}`, fault: "/v: Either is a union: expected one member, found 0"},
			{typ: "Either", in: `{"i":1,"s":"x"}`, fault: "/v: Either is a union: expected one member, found 2"},
		},
		"list": {
			{typ: "list<i32>", in: "[]"},
			{typ: "list<i32>", in: " [ 1 , 2 ] ", out: "[1,2]"},
			{typ: "list<list<string>>", in: `[[],["a"],["b","c"]]`},
			{typ: "list<Empty>", in: "[{},{}]"},
			{typ: "list<i32>", in: "[1,2,3,4,5,6,7,8,9,10,11,12,13,14]"}, // as many as a nibble holds
			{typ: "list<i32>", in: "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]"},
			{typ: "list<i32>", in: "[1,]", fault: "/v: expected a value"},
			{typ: "list<i32>", in: "[,1]", fault: "/v/0: expected an integer"},
			{typ: "list<i32>", in: "[1 2]", fault: "/v: expected a comma or ]"},
			{typ: "list<i32>", in: "[1", fault: `/v: expected a comma or ], found "}" at byte 7`},
			{typ: "list<i32>", in: "[1,null]", fault: "/v/1: expected an integer, found null"},
			{typ: "list<i32>", in: "{}", fault: "/v: expected an array, found an object"},
			{typ: "list<list<i32>>", in: "[[1],[2,x]]", fault: "/v/1/1: expected an integer"},
		},
		"set": {
			{typ: "set<i32>", in: "[3,1,3,2,1]", out: "[3,1,2]"},
			{typ: "set<string>", in: `["a","\u0061","b"]`, out: `["a","b"]`},
			{typ: "set<set<i8>>", in: "[[1,1],[1],[2]]", out: "[[1],[2]]"},
			{typ: "set<i8>", in: "[1,2,3,4,5,6,7,8,9,1,10,2,11]", out: "[1,2,3,4,5,6,7,8,9,10,11]"},
			{typ: "set<Empty>", in: "[{},{},{}]", out: "[{}]"},
			{typ: "set<bool>", in: "[false,true,false]", out: "[false,true]"},
		},
		"map of text keys": textKeyRows(),
		"map of pairs": {
			{typ: "map<binary, i32>", in: `[["AQI=",1],["",2]]`},
			{typ: "map<Inner, i32>", in: `[[{"a":1},1],[{"a":2,"b":"x"},2]]`},
			{typ: "map<list<i32>, string>", in: `[[[],"a"],[[1],"b"]]`},
			{typ: "map<set<i8>, i8>", in: "[]"},
			{typ: "map<map<i32, i32>, i32>", in: `[[{"1":2},3]]`},
			{typ: "map<binary, i32>", in: `[["AQI=",1],["AQI",2]]`, fault: "/v/1: two equal keys"},
			{typ: "map<binary, i32>", in: `{}`, fault: "/v: expected an array of keys and values, found an object"},
			{typ: "map<binary, i32>", in: `[["AQI="]]`, fault: "/v/0: expected a comma and a value"},
			{typ: "map<binary, i32>", in: `[["AQI=",1,2]]`, fault: "/v/0: expected the end of the pair"},
			{typ: "map<binary, i32>", in: `[["AQI=",x]]`, fault: "/v/0/1: expected an integer"},
			{typ: "map<binary, i32>", in: `[[1,1]]`, fault: "/v/0/0: expected octets in base64"},
			{typ: "map<binary, i32>", in: `[1]`, fault: "/v/0: expected an array of key and value"},
		},
	}
}

func structRows() []row {
	return []row{
		{typ: "Inner", in: `{"a":1,"b":"x","next":{"a":2,"next":{"a":3}}}`},
		{typ: "Inner", in: `{"next":{"a":2},"b":"x","a":1}`, out: `{"a":1,"b":"x","next":{"a":2}}`},
		{typ: "Inner", in: "\t{ \"a\" :\n1 ,\r\"b\": null } ", out: `{"a":1}`},
		{typ: "Inner", in: `{"\u0061":1}`, out: `{"a":1}`},
		{typ: "Inner", in: `{}`, fault: "/v/a: the field is required"},
		{typ: "Inner", in: `{"a":null}`, fault: "/v/a: the field is required"},
		{typ: "Inner", in: `{"a":1,"next":{}}`, fault: "/v/next/a: the field is required"},
		{typ: "Inner", in: `{"a":1,"c":2}`, fault: "/v/c: there is no field of that name in Inner"},
		{typ: "Inner", in: `{"a":1,"x/y~z":2}`, fault: "/v/x~1y~0z: there is no field"},
		{typ: "Inner", in: `{"a":1,"a":1}`, fault: "/v/a: a second time"},
		{typ: "Inner", in: `{"a":1,"b":null,"b":"x"}`, fault: "/v/b: a second time"},
		{typ: "Inner", in: `{"a":1,}`, fault: "/v: expected a value"},
		{typ: "Inner", in: `{"a" 1}`, fault: "/v: expected a colon, found a number"},
		{typ: "Inner", in: `{a:1}`, fault: "/v: expected a name"},
		{typ: "Inner", in: `{"a":1 "b":"x"}`, fault: "/v: expected a comma or }, found a string"},
		{typ: "Inner", in: `[]`, fault: "/v: expected an object, found an array"},
		{typ: "Inner", in: `{"a":nul}`, fault: "/v/a: expected an integer"},
		{
			typ: "Odd", in: `{"top":5,"three":3,"low":1,"bottom":0,"seven":4}`,
			out: `{"bottom":0,"low":1,"three":3,"seven":4,"top":5}`,
		},
		{typ: "Odd", in: `{"seven":4,"three":3}`, out: `{"three":3,"seven":4}`},
		{typ: "Empty", in: "{}"},
		{typ: "Empty", in: `{"x":1}`, fault: "/v/x: there is no field"},
	}
}

func defaultRows() []row {
	const all = `"l":[1,2],"t":true,"f":false,"in":{"a":1},"c":"GREEN","m":{"k":1},` +
		`"u":"00112233-4455-6677-8899-aabbccddeeff","big":5,"st":[1,2],"raw":"aGk="}`
	return []row{
		{typ: "Given", in: `{"r":1}`, out: `{"n":7,"s":"x","r":1,` + all},
		{typ: "Given", in: `{"r":1,"n":null,"s":null}`, out: `{"n":7,"s":"x","r":1,` + all},
		{typ: "Given", in: `{"s":"","r":2,"n":0}`, out: `{"n":0,"s":"","r":2,` + all},
		{
			typ: "Given", in: `{"t":false,"f":true,"r":2,"l":[]}`,
			out: `{"n":7,"s":"x","r":2,"l":[],"t":false,"f":true` + all[strings.Index(all, `,"in"`):],
		},
	}
}

func textKeyRows() []row {
	return []row{
		{typ: "map<string, i32>", in: `{"":1,"b":2,"ä\"":3}`},
		{typ: "map<string, list<i32>>", in: "{}"},
		{typ: "map<i8, i8>", in: `{"-128":1,"127":2}`},
		{typ: "map<i16, i8>", in: `{"300":1}`},
		{typ: "map<i32, i8>", in: `{"-70000":1}`},
		{typ: "map<i64, i64>", in: `{"9007199254740993":1}`},
		{typ: "map<bool, i8>", in: `{"true":1,"false":0}`},
		{typ: "map<Color, i8>", in: `{"RED":1,"3":2}`},
		{typ: "map<Color, i8>", in: `{"1":1}`, out: `{"RED":1}`},
		{typ: "map<double, i8>", in: `{"1.5":1,"NaN":2,"-Infinity":3}`},
		{typ: "map<double, i8>", in: `{"1e0":1}`, out: `{"1":1}`},
		{
			typ: "map<uuid, i8>", in: `{"00112233-4455-6677-8899-AABBCCDDEEFF":1}`,
			out: `{"00112233-4455-6677-8899-aabbccddeeff":1}`,
		},
		{typ: "map<string, map<i32, bool>>", in: `{"a":{"1":true},"b":{}}`},
		{typ: "map<i8, i8>", in: `{"128":1}`, fault: "/v/128: 128 is outside i8"},
		{typ: "map<i32, i8>", in: `{"x":1}`, fault: "/v/x: the key is not of type i32"},
		{typ: "map<i32, i8>", in: `{"1.0":1}`, fault: "/v/1.0: the key is not of type i32"},
		{typ: "map<bool, i8>", in: `{"1":1}`, fault: "/v/1: the key is not of type bool"},
		{typ: "map<Color, i8>", in: `{"BLUE":1}`, fault: "/v/BLUE: no value of the enum Color"},
		{typ: "map<double, i8>", in: `{"x":1}`, fault: "/v/x: the key is not of type double"},
		{typ: "map<double, i8>", in: `{"":1}`, fault: "/v/: the key is not of type double"},
		{typ: "map<uuid, i8>", in: `{"x":1}`, fault: "/v/x: the key is not of type uuid"},
		{typ: "map<string, i32>", in: `{"a":1,"\u0061":2}`, fault: "/v/a: two equal keys"},
		{typ: "map<Color, i8>", in: `{"RED":1,"1":2}`, fault: "/v/1: two equal keys"},
		{typ: "map<double, i8>", in: `{"1":1,"1.0":2}`, fault: "/v/1.0: two equal keys"},
		{
			typ: "map<i8, i8>", in: `{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"4":1}`,
			fault: "/v/4: two equal keys",
		},
		{typ: "map<string, i32>", in: `{"a/b":"x"}`, fault: "/v/a~1b: expected an integer"},
		{typ: "map<string, i32>", in: `{"a":null}`, fault: "/v/a: expected an integer, found null"},
		{typ: "map<string, i32>", in: `[["a",1]]`, fault: "/v: expected an object, found an array"},
		{typ: "map<string, i32>", in: `{"a":1,}`, fault: "/v: expected a value"},
		{typ: "map<string, i32>", in: `{1:1}`, fault: "/v: expected a key"},
		{typ: "map<string, i32>", in: `{"a"}`, fault: "/v: expected a colon"},
	}
}

// TestLongContainers: counts of more octets than were left for them.
func TestLongContainers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{127, 128, 129, 2000} {
		var list, object strings.Builder
		for i := range n {
			fmt.Fprintf(&list, ",%d", i)
			fmt.Fprintf(&object, `,"%d":"x"`, i)
		}
		for _, typ := range []string{"list<i32>", "set<i32>"} {
			checkRow(t, row{typ: typ, in: "[" + list.String()[1:] + "]"})
		}
		checkRow(t, row{typ: "map<i64, string>", in: "{" + object.String()[1:] + "}"})
		checkRow(t, row{typ: "list<map<i64, string>>", in: "[{},{" + object.String()[1:] + "},{}]"})
	}
	const three = 1 << 14 // the first count of three octets
	checkRow(t, row{typ: "list<i8>", in: "[" + strings.Repeat("1,", three-1) + "1]"})
}

// TestI64Strings: the option of the contract.
func TestI64Strings(t *testing.T) {
	t.Parallel()
	c := compiled(t, "struct P { 1: i64 a, 2: list<i64> l, 3: map<i64, i64> m, 4: i32 i } service S { void m(1: P p) }",
		Settings{I64Strings: true})
	m := c.Operations("S").Method([]byte("m"))
	var tr Transcoder
	wire, err := tr.ArgumentsFromJSON(nil, m, thrift.Binary, []byte(`{"a":1,"l":[2,"3"],"m":{"4":5},"i":6}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"p":{"a":"1","l":["2","3"],"m":{"4":"5"},"i":6}}`
	if out, err := tr.ArgumentsToJSON(nil, m, thrift.Binary, wire); err != nil || string(out) != want {
		t.Errorf("%s, %v", out, err)
	}
}

// TestDoublesAreShortest holds what is written without the general way against it.
func TestDoublesAreShortest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := float64(rapid.Int64Range(-1e15, 1e15).Draw(t, "digits")) /
			math.Pow10(rapid.IntRange(0, 9).Draw(t, "places"))
		if rapid.Bool().Draw(t, "next") {
			v = math.Nextafter(v, rapid.Float64().Draw(t, "to"))
		}
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var tr Transcoder
		if tr.float(v); !bytes.Equal(tr.out, want) {
			t.Fatalf("%s is written as %s", want, tr.out)
		}
		if got, end, ok := exactDouble(want, 0); ok && (got != v || end != len(want)) {
			t.Fatalf("%s is read as %v", want, got)
		}
	})
}
