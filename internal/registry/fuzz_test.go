package registry

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pluginsupervisor/plugin"
)

func FuzzDecodeRecord(f *testing.F) {
	for _, seed := range []string{
		existing("a", "1.0", `,"x":{"y":1}`), minimal("a", "1"), `{"name":"a","version":1.1,"pluginType":{"a":1},"heartbeatInterval":"x"}`,
		`{}`, `[]`, ``, `null`, `{"name":"a","version":"1","":0,"heartbeatInterval":1e400}`, " {\"name\"\t:\n \"a\" , \"version\": \"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecord(b)
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
		again, err := DecodeRecord(once)
		if err != nil || again.Plugin() != r.Plugin() {
			t.Fatalf("%+v\n%+v\n%v", r, again, err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s\n%s\n%v", once, twice, err)
		}
	})
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
		_ = c.Accepted("linux", "amd64")
		if rec.check() != nil {
			return
		}
		value, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeRecord(value); err != nil || again.Plugin() != rec.Plugin() {
			t.Errorf("%s: %+v %v", value, again, err)
		}
	})
}

func FuzzLegacy(f *testing.F) {
	for _, seed := range []string{
		`{"pluginList":[` + minimal("a", "1") + `,` + existing("b", "2", "") + `,{},1,null]}`,
		`{"pluginList":null}`, `{"pluginList":[[]]}`, `{}`, ``, ` `, `[]`, `{"pluginList":[{"name":"..","version":"1"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		records, damaged := decodeLegacy(b)
		for _, r := range records {
			if plugin.CheckName(r.Name) != nil || plugin.CheckName(r.Version) != nil {
				t.Errorf("%+v", r)
			}
		}
		for _, d := range damaged {
			if d.Why == "" {
				t.Error("damaged without a reason")
			}
		}
		var all struct{ PluginList []json.RawMessage }
		if json.Unmarshal(b, &all) == nil && len(records)+len(damaged) != len(all.PluginList) {
			t.Errorf("%d records, %d damaged of %d", len(records), len(damaged), len(all.PluginList))
		}
	})
}
