package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// listRecord returns a record in the package list of a control plane.
func listRecord(name, version, osType, arch string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q,"osType":%q,"arch":%q,"url":"u","md5":"m"}`, name, version, osType, arch)
}

func newListClient(t *testing.T, records string) *Client {
	t.Helper()
	s, _ := startServer(t, answerWith(http.StatusOK, `{"code":0,"pluginList":[`+records+`]}`))
	return newClient(t, Config{URL: s.URL})
}

func TestPackagesAreThoseForThisHost(t *testing.T) {
	foreign := "arm"
	if platform.LocalArch() == foreign {
		foreign = "x64"
	}
	c := newListClient(t, listRecord("b", "1.0", "", "")+","+listRecord("a", "1.10", "BOTH", "All")+","+listRecord("a", "1.9", "linux", platform.LocalArch())+
		","+listRecord("a", "2.0", "windows", "")+","+listRecord("a", "2.0", "linux", foreign)+","+listRecord("a", "1.10rc1", "", "")+
		","+listRecord("../a", "3", "", "")+","+listRecord("a", "..", "", "")+`,7,null,{"name":"c","version":1.1,"arch":{"x":[]},"md5":true,"SHA256":"f00"}`)
	all, err := c.ListPackages(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		got = append(got, p.Name+" "+p.Version)
	}
	if diff := cmp.Diff([]string{"a 1.10", "a 1.10rc1", "a 1.9", "b 1.0", "c 1.1"}, got); diff != "" {
		t.Errorf("CL-07 sorted, the newest first (-want +got):\n%s", diff)
	}
	if last := all[len(all)-1]; last != (Package{Name: "c", Version: "1.1", MD5: "true", SHA256: "f00"}) {
		t.Errorf("CL-07 a lenient record: %+v", last)
	}
}

func TestNewestPackage(t *testing.T) {
	c := newListClient(t, listRecord("a", "2.0.3.9", "", "")+","+listRecord("a", "2.0.3.12", "", "")+","+listRecord("a", "2.0.3.12rc1", "", "")+","+listRecord("b", "9", "", ""))
	if p, err := c.NewestPackage(t.Context(), "a"); err != nil || p.Version != "2.0.3.12" {
		t.Errorf("newest of a: %+v, %v", p, err)
	}
	if p, err := c.NewestPackage(t.Context(), "none"); !errors.Is(err, ErrNotListed) {
		t.Errorf("newest of none: %+v, %v", p, err)
	}
	if p, err := c.FindPackage(t.Context(), "a", "2.0.3.9"); err != nil || p.Version != "2.0.3.9" {
		t.Errorf("CL-07 found %+v, %v", p, err)
	}
	if p, err := c.FindPackage(t.Context(), "a", "3"); !errors.Is(err, ErrNotListed) {
		t.Errorf("CL-08 found %+v, %v", p, err)
	}
	for _, name := range []string{"", "..", "a/b"} {
		if p, err := c.NewestPackage(t.Context(), name); err == nil {
			t.Errorf("ST-15 newest of %q: %+v", name, p)
		}
	}
}

func TestPackagesNotUnderstood(t *testing.T) {
	for _, body := range []string{"", "{", `[]`, `{"pluginList":{}}`} {
		s, _ := startServer(t, answerWith(http.StatusOK, body))
		if _, err := newClient(t, Config{URL: s.URL}).ListPackages(t.Context(), "", ""); !errors.Is(err, plugin.ErrUnreadableAnswer) {
			t.Errorf("body %q: error %v, want %v", body, err, plugin.ErrUnreadableAnswer)
		}
	}
}

func FuzzPackages(f *testing.F) {
	f.Add([]byte(`{"pluginList":[{"name":"a","version":"1.0","osType":"linux","arch":"x64","url":"u","md5":"m","pluginType":1}]}`))
	f.Add([]byte(`{"pluginList":[null,7,{"name":1.10,"version":true,"arch":[[]]},{}]}`))
	f.Add([]byte(`{"pluginList":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := readPackages(response{body: body})
		if err != nil && (!errors.Is(err, plugin.ErrUnreadableAnswer) || found != nil) {
			t.Fatalf("%v with %+v", err, found)
		}
		for _, p := range found {
			if _, err := json.Marshal(p); err != nil {
				t.Fatal(err)
			}
		}
	})
}
