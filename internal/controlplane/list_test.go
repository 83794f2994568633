package controlplane

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pluginsupervisor/internal/control"
)

// listedRecord holds the checked fields of a listed package.
type listedRecord struct{ Name, Version, OSType, Arch, URL, SHA256, Manifest string }

func (f fleet) listRecords(body string) []listedRecord {
	f.t.Helper()
	code, text := f.sendRequest(http.MethodPost, control.PathList, "h", body)
	var a struct {
		Code                  int
		RequestID, InstanceID string
		PluginList            []listedRecord
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || code != 200 || a.Code != 0 || a.InstanceID != "h" || len(a.RequestID) < 10 {
		f.t.Fatalf("answered %d %s: %v", code, text, err)
	}
	return a.PluginList
}

func TestListRecord(t *testing.T) {
	f := newFleet(t)
	p := f.addPackage("package", string(packPlugin(t, "p_up", "1.0", "LINUX", "ALL", "")), "manifest", "signed\n<text>")
	code, text := f.sendRequest(http.MethodPost, control.PathList, "h", `{"pluginName":"p_up"}`)
	var a map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &a); err != nil || code != 200 {
		t.Fatalf("CP-01 answered %d %s: %v, want 200", code, text, err)
	}
	sameJSON(t, string(a["pluginList"]), fmt.Sprintf(`[{
		"pluginId":"","name":"p_up","arch":"all","osType":"linux","version":"1.0","publisher":"acme",
		"url":"%s/packages/p_up/1.0/%s.zip","md5":"%s","runPath":"run","timeout":"30","isPreInstalled":"","pluginType":1,
		"heartbeatInterval":20,"isRemoved":false,"addSysTag":true,"sha256":"%s","manifest":"signed\n<text>","size":%d}]`,
		f.url, p.SHA256, p.MD5, p.SHA256, p.Size))
}

func TestListFilters(t *testing.T) {
	f := newFleet(t)
	for _, p := range [][4]string{
		{"log", "2.0.3.9", "linux", "x64"},
		{"log", "2.0.3.12", "", ""},
		{"log", "2.0.3.12", "linux", "arm"},
		{"log", "2.0.3.12", "linux", ""},
		{"log", "1.9rc1", "windows", "x64"},
		{"newp", "1", "linux", "arm"},
		{"newp", "1", "Linux", "X86"},
	} {
		f.addPackage("package", string(packPlugin(t, p[0], p[1], p[2], p[3], "")))
	}
	const (
		any12, any12Linux, arm12 = "log 2.0.3.12 both/all", "log 2.0.3.12 linux/all", "log 2.0.3.12 linux/arm"
		x9, rc                   = "log 2.0.3.9 linux/x64", "log 1.9rc1 windows/x64"
		armNew, x86New           = "newp 1 linux/arm", "newp 1 linux/x86"
	)
	for name, tc := range map[string]struct {
		body string
		want []string
	}{
		// The recorded requests of the existing program.
		"CP-01 --list":               {"{\n    \"osType\": \"linux\",\n    \"pluginName\": \"\",\n    \"version\": \"\",\n    \"arch\": \"x64\"\n}\n", []string{any12Linux, any12, x9}},
		"CL-08 the newest first":     {`{"osType":"linux","pluginName":"log","version":"","arch":""}`, []string{arm12, any12Linux, any12, x9}},
		"CL-08 foreign arches, all":  {`{"osType":"linux","pluginName":"newp","version":"","arch":""}`, []string{armNew, x86New}},
		"CL-07 of a version":         {`{"osType":"linux","pluginName":"log","version":"2.0.3.9","arch":""}`, []string{x9}},
		"CL-08 neither":              {`{"osType":"linux","pluginName":"none","version":"","arch":""}`, nil},
		"CP-01 nothing asked":        {`{}`, []string{arm12, any12Linux, any12, x9, rc, armNew, x86New}},
		"CP-01 words in any case":    {`{"osType":"Linux","arch":"ARM"}`, []string{arm12, any12Linux, any12, armNew}},
		"CP-01 names are exact":      {`{"pluginName":"Log"}`, nil},
		"CP-01 an unknown machine":   {`{"arch":"unknown","osType":"unknown"}`, []string{any12}},
		"CP-01 a version's spelling": {`{"pluginName":"log","version":"2.0.3.012"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range f.listRecords(tc.body) {
				got = append(got, fmt.Sprintf("%s %s %s/%s", r.Name, r.Version, r.OSType, r.Arch))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), strings.Join(tc.want, ", "))
			}
		})
	}
}

func TestListFitsInAnAnswer(t *testing.T) {
	f := newFleet(t)
	manifest := strings.Repeat("m", maxManifest)
	for i := range 70 {
		f.addPackage("package", string(packPlugin(t, "log", fmt.Sprint(i), "", "", "")), "manifest", manifest)
	}
	_, text := f.sendRequest(http.MethodPost, control.PathList, "h", `{}`)
	if len(text) > control.MaxAnswer {
		t.Errorf("CP-01 answer of %d bytes", len(text))
	}
	if got := f.listRecords(`{}`); len(got) < 60 || got[0].Version != "69" {
		t.Errorf("CP-01 %d records, the first %s", len(got), got[0].Version)
	}
}

func FuzzDecodeList(f *testing.F) {
	for _, seed := range []string{
		"{\n    \"osType\": \"linux\",\n    \"pluginName\": \"p_up\",\n    \"version\": \"2.0\",\n    \"arch\": \"\"\n}\n",
		`{}`, `null`, `{"arch":7}`, `[]`, `{"pluginName":"` + strings.Repeat("n", 256) + `"}`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	p := Package{Name: "log", Version: "1.0", OS: "linux", Arch: "all"}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := decodeQuery(body)
		if err != nil {
			requireRequestError(t, err)
			return
		}
		if len(q.OSType) > maxText || len(q.PluginName) > maxText || len(q.Version) > maxText || len(q.Arch) > maxText {
			t.Errorf("accepted %+v", q)
		}
		if p.matchesQuery(q) && (q.PluginName != "" && q.PluginName != "log" || q.Version != "" && q.Version != "1.0") {
			t.Errorf("%+v fits %+v", p, q)
		}
	})
}
