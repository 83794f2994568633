package outbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/plugin"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func entry(name string, s plugin.Status, tag plugin.SysTag) plugin.ReportEntry {
	return plugin.ReportEntry{Name: name, Version: "1.0", Status: s, SysTag: tag}
}

func put(t *testing.T, root string, at time.Time, e plugin.ReportEntry) {
	t.Helper()
	if err := Put(root, at, e); err != nil {
		t.Fatal(err)
	}
}

// listReports returns the reports in the outbox.
func listReports(t *testing.T, root string) (all []plugin.LateReport) {
	t.Helper()
	left, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range left {
		all = append(all, r.LateReport)
	}
	return all
}

// CL-20: of each plugin the newest report is kept, with the tag of the one that it
// replaces.
func TestPut(t *testing.T) {
	root := t.TempDir()
	if got := listReports(t, root); got != nil {
		t.Errorf("without a folder: %+v", got)
	}
	put(t, root, at, entry("a", plugin.StatusRunning, plugin.SysTagAdd))
	put(t, root, at.Add(time.Second), entry("b", plugin.StatusInstalled, ""))
	put(t, root, at.Add(2*time.Second), entry("a", plugin.StatusFailed, ""))
	want := []plugin.LateReport{
		{At: at.Add(time.Second), ReportEntry: entry("b", plugin.StatusInstalled, "")},
		{At: at.Add(2 * time.Second), ReportEntry: entry("a", plugin.StatusFailed, plugin.SysTagAdd)},
	}
	if diff := cmp.Diff(want, listReports(t, root)); diff != "" {
		t.Error(diff)
	}
	left, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range left {
		if name := filepath.Base(r.path); !strings.HasSuffix(name, ".json") || strings.Count(name, "-") != 1 {
			t.Errorf("the name is %s", name)
		}
		for range 2 { // also when another process has removed it
			if err := r.Remove(); err != nil {
				t.Error(err)
			}
		}
	}
	if files, _ := os.ReadDir(layout.Outbox(root)); len(files) > 0 {
		t.Errorf("left %v", files)
	}
}

// CL-20: a file that is no report is removed, unless it is being written.
func TestListForeignFiles(t *testing.T) {
	root := t.TempDir()
	put(t, root, at, entry("a", plugin.StatusRemoved, ""))
	folder := layout.Outbox(root)
	for name, text := range map[string]string{
		"bad.json": "{", "path.json": `{"name":"../a","version":"1","status":"running"}`, "unknown.json": `{"name":"b","version":"1","status":"unknown"}`,
		"large.json": strings.Repeat(" ", maxFile+1), "1-2.json.new": "{",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := listReports(t, root); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("%+v", got)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 2 {
		t.Errorf("files %v, %v", files, err)
	}
}

// CL-20: the files hold at most MaxSize together; the oldest go first.
func TestMaxSize(t *testing.T) {
	root := t.TempDir()
	version := strings.Repeat("v", 255)
	one := plugin.ReportEntry{Version: version, Status: plugin.StatusRunning}
	folder := layout.Outbox(root)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	padding := strings.Repeat(" ", maxFile-200)
	for i := range MaxSize/maxFile + 100 {
		name := "p" + strings.Repeat("x", i%50) + string(rune('a'+i/50))
		text := `{"at":"` + at.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano) + `","name":"` + name + `","version":"1","status":"running"}` + padding
		if err := os.WriteFile(filepath.Join(folder, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one.Name = "newest"
	put(t, root, at.Add(time.Hour), one)
	var size int64
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	left := listReports(t, root)
	if size > MaxSize || size < MaxSize-2*maxFile || left[len(left)-1].Name != "newest" {
		t.Errorf("%d bytes, the newest is %s", size, left[len(left)-1].Name)
	}
	if diff := cmp.Diff(one, left[len(left)-1].ReportEntry, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte(`{"at":"2026-01-02T03:04:05Z","name":"a","version":"1.0","status":"running","sysTagType":"add"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := t.TempDir()
		folder := layout.Outbox(root)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "x.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, r := range listReports(t, root) {
			if plugin.CheckName(r.Name) != nil || r.Status == plugin.StatusUnknown {
				t.Errorf("%+v", r)
			}
		}
	})
}
