package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/plugin"
)

// minimalRecord returns a record of that name and version, with more fields if given.
func minimalRecord(name, version string, more ...string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q%s}`, name, version, strings.Join(append([]string{""}, more...), ","))
}

func TestPluginType(t *testing.T) { // ST-12
	for _, tc := range []struct {
		raw   string // "" for none
		want  plugin.Type
		again string // as we write it
	}{
		{"", plugin.Once, "0"},
		{"null", plugin.Once, "0"},
		{`""`, plugin.Once, "0"},
		{`"Once"`, plugin.Once, "0"},
		{"0", plugin.Once, "0"},
		{`"Persist"`, plugin.Persist, "1"},
		{"1", plugin.Persist, "1"},
		{"1.0", plugin.Persist, "1"},
		{`"Commander"`, plugin.Commander, "2"},
		{"2", plugin.Commander, "2"},
		{"3", plugin.Unknown, "3"},
		{"-1", plugin.Unknown, "-1"},
		{"1.5", plugin.Unknown, "1.5"},
		{`"1"`, plugin.Unknown, `"1"`},
		{`"persist"`, plugin.Unknown, `"persist"`},
		{"true", plugin.Unknown, "true"},
		{`{ "a" : [1] }`, plugin.Unknown, `{"a":[1]}`},
	} {
		t.Run("ST-12 "+tc.raw, func(t *testing.T) {
			record := minimalRecord("p", "1")
			if tc.raw != "" {
				record = minimalRecord("p", "1", `"pluginType":`+tc.raw)
			}
			r, err := Decode([]byte(record))
			if err != nil || r.Type != tc.want {
				t.Fatalf("%v %v, want %v", r.Type, err, tc.want)
			}
			b, err := r.Encode()
			if err != nil || !strings.Contains(string(b), `"pluginType":`+tc.again+",") {
				t.Errorf("written as %s %v", b, err)
			}
		})
	}
	r := Record{Name: "p", Version: "1", Type: plugin.Unknown} // unknown, not decoded
	b, err := r.Encode()
	if again, derr := Decode(b); err != nil || derr != nil || again.Type != plugin.Unknown {
		t.Errorf("%s %v %v", b, err, derr)
	}
}

func TestLenientRecord(t *testing.T) {
	r, err := Decode([]byte(` {"NAME":"p","version":1.10,"timeout":30,"publisher":true,"url":null,"md5":["x"],
		"heartbeatInterval":" 90 ","isRemoved":"TRUE","addSysTag":1,"osType":"LINUX","arch":"X64","runPath":"bin/p","x":1} `))
	if err != nil {
		t.Fatal(err)
	}
	want := plugin.Plugin{
		Name: "p", Version: "1.10", OS: "LINUX", Arch: "X64", Publisher: "true", RunPath: "bin/p",
		Timeout: 30 * time.Second, HeartbeatInterval: 90 * time.Second, AddSysTag: true, Removed: true,
	}
	if diff := cmp.Diff(want, r.Plugin()); diff != "" {
		t.Error(diff)
	}
	for _, interval := range []string{"0", "-5", `"soon"`, `"NaN"`, "1e300", "[]", "null", "true"} {
		r, err := Decode([]byte(minimalRecord("p", "1", `"heartbeatInterval":`+interval)))
		if err != nil || r.Plugin().HeartbeatInterval != plugin.DefaultHeartbeatInterval {
			t.Errorf("interval %s: %v %v", interval, r.Plugin().HeartbeatInterval, err)
		}
	}
}

func TestUndecodableRecord(t *testing.T) { // ST-06
	for name, b := range map[string]string{
		"ST-06 nothing":      ``,
		"ST-06 not JSON":     `{"name":"p"`,
		"ST-06 two values":   `{"name":"p","version":"1"} {}`,
		"ST-06 an array":     `[]`,
		"ST-06 null":         `null`,
		"ST-06 no name":      `{"version":"1"}`,
		"ST-06 name null":    `{"name":null,"version":"1"}`,
		"ST-06 name no text": `{"name":{},"version":"1"}`,
		"ST-06 no version":   `{"name":"p"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := Decode([]byte(b)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

// The field order and the form are those of the programs that share the file; unknown
// fields survive, in their order and to the byte.
func TestEncode(t *testing.T) {
	r, err := Decode([]byte(`{"zeta": {"b": 1,  "a": "<é\u00e9>"}, "name":"p","version":"1","pluginType":"Persist","alpha":12345678901234567890,
		"isPreInstalled":"false","heartbeatInterval":30,"zeta2":null}`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"pluginId":"","name":"p","arch":"","osType":"","version":"1","publisher":"","url":"","md5":"","runPath":"","timeout":"",` +
		`"isPreInstalled":"false","pluginType":1,"heartbeatInterval":30,"isRemoved":false,"addSysTag":false,` +
		`"zeta":{"b":1,"a":"<é\u00e9>"},"alpha":12345678901234567890,"zeta2":null}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, seed := range []string{
		minimalRecord("a", "1.0", `"pluginId":"i","url":"http://h/p?a=1\u0026b=2","isRemoved":false,"heartbeatInterval":60`, `"x":{"y":1}`),
		minimalRecord("a", "1"), `{"name":"a","version":1.1,"pluginType":{"a":1},"heartbeatInterval":"x"}`,
		`{}`, `[]`, ``, `null`, `{"name":"a","version":"1","":0,"heartbeatInterval":1e400}`, " {\"name\"\t:\n \"a\" , \"version\": \"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		if r.Name == "" || r.Version == "" || r.HeartbeatInterval <= 0 {
			t.Errorf("%+v", r)
		}
		if d := r.Plugin().HeartbeatInterval; d < time.Second {
			t.Errorf("interval %v", d)
		}
		once, err := r.Encode()
		if err != nil || !json.Valid(once) {
			t.Fatalf("%s: %v", once, err)
		}
		again, err := Decode(once)
		if err != nil || again.Plugin() != r.Plugin() {
			t.Fatalf("%+v\n%+v\n%v", r, again, err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s\n%s\n%v", once, twice, err)
		}
	})
}
