package registry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"pluginsupervisor/plugin"
)

func writeLegacy(t *testing.T, r *Registry, content string) string {
	t.Helper()
	path := filepath.Join(r.dir, "installed_plugins")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestST02Migration(t *testing.T) { // ST-02
	r := newTestRegistry(t)
	content := `{"pluginList":[` +
		`{"name":"b","version":1.1,"timeout":30,"pluginType":"Persist","heartbeatInterval":"15","x":{"y": 1}},` +
		`{"name":"a","version":"2","isRemoved":true},` +
		`{"name":"c","version":"3","pluginType":7}]}`
	path := writeLegacy(t, r, content)
	defer unix.Umask(unix.Umask(0o077))
	l := expectPlugins(t, r, "1 b 1.1", "2 a 2 removed", "3 c 3")
	checkUndamaged(t, l)
	if b := l.Plugins[0]; b.HeartbeatInterval.Seconds() != 15 || b.Timeout.Seconds() != 30 {
		t.Errorf("%+v", b)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != content {
		t.Errorf("the legacy list is now %q, %v", b, err)
	}
	if info, err := os.Stat(r.path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	editRaw(t, r.path, func(b *bbolt.Bucket) error {
		if b.Sequence() != 3 {
			t.Errorf("sequence %d", b.Sequence())
		}
		return nil
	})
	first := decodeMembers(t, readAllRaw(t, r.path)[1])
	want := map[string]any{"version": "1.1", "timeout": "30", "pluginType": 1.0, "heartbeatInterval": 15.0, "x": map[string]any{"y": 1.0}}
	for k, v := range want {
		if diff := cmp.Diff(v, first[k]); diff != "" {
			t.Errorf("%s: %s", k, diff)
		}
	}
	checkNoTempFiles(t, r)
}

func TestST02UnusableRecordsAreReported(t *testing.T) { // ST-02, ST-15
	r := newTestRegistry(t)
	writeLegacy(t, r, `{"pluginList":[`+minimalRecord("a", "1")+`,{"name":"x"},`+minimalRecord("..", "1")+`,17,`+minimalRecord("b", "1")+`]}`)
	l := expectPlugins(t, r, "1 a 1", "2 b 1")
	if len(l.Damaged) != 3 || !strings.HasSuffix(l.Damaged[1].Where, "installed_plugins record 3") {
		t.Errorf("%v", l.Damaged)
	}
}

func TestST04ManyMigrateAtOnce(t *testing.T) { // ST-04
	for run := range 5 {
		r := newTestRegistry(t)
		writeLegacy(t, r, `{"pluginList":[`+minimalRecord("a", "1")+`,`+minimalRecord("b", "2")+`,`+minimalRecord("c", "3")+`]}`)
		var others []otherProcess
		for range 4 {
			others = append(others, startProcess(t, "lister", r))
		}
		for _, o := range others {
			_ = o.in.Close()
		}
		for _, o := range others {
			if got, want := o.readLine(), "1 a 1,2 b 2,3 c 3 <nil> []"; got != want {
				t.Errorf("run %d: %s, want %s", run, got, want)
			}
		}
		if n := len(readAllRaw(t, r.path)); n != 3 {
			t.Errorf("run %d: %d records, want 3", run, n)
		}
		checkNoTempFiles(t, r)
	}
}

func TestST03NothingToMigrate(t *testing.T) { // ST-03
	for name, tc := range map[string]struct {
		content string
		damage  int
	}{
		"ST-03 empty":         {"", 0},
		"ST-03 blank":         {" \n", 0},
		"ST-03 no list":       {"{}", 0},
		"ST-03 null list":     {`{"pluginList":null}`, 0},
		"ST-03 invalid":       {`{"pluginList":[`, 1},
		"ST-03 another shape": {`{"pluginList":{"name":"a"}}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRegistry(t)
			writeLegacy(t, r, tc.content)
			if l := expectPlugins(t, r); len(l.Damaged) != tc.damage {
				t.Errorf("%v", l.Damaged)
			}
			writeLegacy(t, r, `{"pluginList":[`+minimalRecord("late", "1")+`]}`) // ST-01
			expectPlugins(t, r)
		})
	}
	t.Run("ST-03 missing", func(t *testing.T) {
		r := New(Options{Root: t.TempDir()})
		checkUndamaged(t, expectPlugins(t, r))
		if id := putRecord(t, r, minimalRecord("a", "1")); id != 1 {
			t.Errorf("id %d", id)
		}
	})
	t.Run("ST-03 a pipe in its place", func(t *testing.T) {
		r := newTestRegistry(t)
		if err := unix.Mkfifo(filepath.Join(r.dir, "installed_plugins"), 0o600); err != nil {
			t.Fatal(err)
		}
		expectPlugins(t, r)
	})
}

func FuzzLegacy(f *testing.F) {
	for _, seed := range []string{
		`{"pluginList":[` + minimalRecord("a", "1") + `,` + existingRecord("b", "2", "") + `,{},1,null]}`,
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
