package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/plugin"
)

// SPEC 1: the axt-commander.json of a Commander is part of its record.
func TestCommander(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", `{"name":"c","version":"2","runPath":"c","pluginType":"Commander"}`)
	if c, err := ReadPackageConfig(dir); err != nil || c.Record().CommanderInfo != nil {
		t.Errorf("unpacked without axt-commander.json: %+v %v", c, err)
	}
	write("axt-commander.json", `{"PIDFILE":"c.pid","endpointType":"unix","more":{"a": 1},"apiVersion":1,"endpointFile":"c.sock"}`)
	c, err := ReadPackageConfig(dir)
	if err != nil || c.Type != plugin.Commander {
		t.Fatal(c, err)
	}
	const info = `"commanderInfo":{"pidFile":"c.pid","endpointType":"unix","endpointFile":"c.sock","apiVersion":"1","more":{"a":1}}`
	b, err := c.Record().Encode()
	if err != nil || !strings.HasSuffix(string(b), `"addSysTag":false,`+info+"}") {
		t.Errorf("recorded %s %v", b, err)
	}
	old, err := Decode([]byte(minimalRecord("c", "1", `"pluginType":2`, `"commanderInfo":{"pidFile":"old", "x":[]}`, `"extra":true`)))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = old.Encode(); err != nil || !strings.HasSuffix(string(b), `"commanderInfo":{"pidFile":"old","x":[]},"extra":true}`) {
		t.Errorf("rewritten %s %v", b, err)
	}
	if b, err = c.Record().InheritUnknown(old).Encode(); err != nil || !strings.HasSuffix(string(b), info+`,"extra":true}`) {
		t.Errorf("upgraded %s %v", b, err)
	}
	if b, err = (Record{Name: "c", Version: "3"}).InheritUnknown(old).Encode(); err != nil || strings.Contains(string(b), "commanderInfo") {
		t.Errorf("a Commander no longer %s %v", b, err)
	}
	for _, bad := range []string{"", "[]", `{"apiVersion":[]}`, `{"a":1` + strings.Repeat(" ", MaxCommanderSize) + "}"} {
		write("axt-commander.json", bad)
		if c, err := ReadPackageConfig(dir); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.20q: %+v %v", bad, c, err)
		}
	}
}

func FuzzCommander(f *testing.F) {
	for _, seed := range []string{`{"pidFile":"p","endpointType":"unix","endpointFile":"e","apiVersion":"v1","x":{}}`, `{"pidFile":[]}`, `{`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := PackageConfig{Name: "c", Version: "1"}.WithCommander(b)
		if err != nil {
			return
		}
		value, err := c.Record().Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Decode(value); err != nil || string(again.CommanderInfo) != string(c.Record().CommanderInfo) {
			t.Errorf("%s %v", value, err)
		}
	})
}
