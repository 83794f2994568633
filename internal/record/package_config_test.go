package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/plugin"
)

func TestDecodePackageConfig(t *testing.T) {
	got, err := DecodePackageConfig([]byte(`{"name":"p","arch":"ALL","osType":"linux","runPath":"a/b","timeout":30,"publisher":false,
		"version":2.0,"pluginType":"Persist","heartbeatInterval":"120","addSysTag":"true","more":[]}`))
	want := PackageConfig{
		Name: "p", Arch: "ALL", OSType: "linux", RunPath: "a/b", Timeout: "30", Publisher: "false", Version: "2.0",
		Type: plugin.Persist, HeartbeatInterval: 120, AddSysTag: true,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(PackageConfig{})); diff != "" || err != nil {
		t.Error(err, diff)
	}
	rec := got.Record()
	if rec.Name != "p" || rec.Version != "2.0" || rec.Type != plugin.Persist || rec.HeartbeatInterval != 120 || !rec.AddSysTag || rec.RunPath != "a/b" {
		t.Errorf("%+v", rec)
	}
	for _, bad := range []string{``, `[]`, `{"name":["p"]}`, `{"heartbeatInterval":"soon"}`, `{"heartbeatInterval":{}}`, `{"addSysTag":"perhaps"}`} {
		if c, err := DecodePackageConfig([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v %v", bad, c, err)
		}
	}
	_, err = DecodePackageConfig([]byte("{\n\"name\": \"p\",\n}"))
	if err == nil || !strings.Contains(err.Error(), "not JSON in line 3: invalid character '}'") { // F23
		t.Error(err)
	}
	for _, interval := range []string{"0", "-1", `""`, "null"} {
		if c, err := DecodePackageConfig([]byte(`{"heartbeatInterval":` + interval + `}`)); err != nil || c.HeartbeatInterval != 60 {
			t.Errorf("%s: %d %v", interval, c.HeartbeatInterval, err)
		}
	}
}

func TestReadPackageConfig(t *testing.T) {
	for _, tc := range []struct {
		name, content string
		want          error
	}{
		{"a package", `{"name":"p","version":"1","runPath":"./p"}`, nil},
		{"ST-15 name", `{"name":"..","version":"1","runPath":"p"}`, ErrRefused},
		{"ST-15 version", `{"name":"p","version":"../1","runPath":"p"}`, ErrRefused},
		{"ST-15 runPath above", `{"name":"p","version":"1","runPath":"../p"}`, ErrRefused},
		{"ST-15 runPath absolute", `{"name":"p","version":"1","runPath":"/bin/sh"}`, ErrRefused},
		{"no runPath", `{"name":"p","version":"1"}`, ErrRefused},
		{"no name", `{"version":"1","runPath":"p"}`, ErrRefused},
		{"no JSON", `name=p`, ErrMalformed},
		{"too large", `{"name":"p","version":"1","runPath":"p"}` + strings.Repeat(" ", MaxConfigSize), ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(tc.content), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := ReadPackageConfig(dir); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	dir := t.TempDir()
	if _, err := ReadPackageConfig(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "config.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPackageConfig(dir); !errors.Is(err, ErrNotRegular) {
		t.Errorf("folder: %v", err)
	}
}

func TestCheckHost(t *testing.T) {
	for _, tc := range []struct {
		osType, arch, goarch string
		want                 bool
	}{
		{"", "", "amd64", true},
		{"BOTH", "All", "arm64", true},
		{"LINUX", "X64", "amd64", true},
		{"linux", "x64", "x86_64", true},
		{"linux", "x64", "x64", true},
		{"linux", "arm", "aarch64", true},
		{"linux", "x86", "386", true},
		{"linux", "x86", "amd64", false},
		{"linux", "x64", "arm64", false},
		{"windows", "all", "amd64", false},
		{"linux", "mips", "amd64", false},
	} {
		err := PackageConfig{Name: "p", OSType: tc.osType, Arch: tc.arch}.CheckHost("linux", tc.goarch)
		if (err == nil) != tc.want {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func FuzzDecodePackageConfig(f *testing.F) {
	for _, seed := range []string{
		`{"name":"p","arch":"all","osType":"linux","runPath":"p","timeout":"60","publisher":"a","version":"1","pluginType":1,"heartbeatInterval":60,"addSysTag":true}`,
		`{"heartbeatInterval":"-7","addSysTag":"yes"}`, `{"name":1,"version":true}`, `{"pluginType":[]}`, `{`, `{}x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodePackageConfig(b)
		if err != nil {
			return
		}
		rec := c.Record()
		if c.HeartbeatInterval <= 0 || rec.Type != c.Type {
			t.Errorf("%+v", c)
		}
		_ = c.CheckHost("linux", "amd64")
		if rec.Check() != nil {
			return
		}
		value, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Decode(value); err != nil || again.Plugin() != rec.Plugin() {
			t.Errorf("%s: %+v %v", value, again, err)
		}
	})
}
