package pack

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// writeFolder writes a plugin's folder.
func writeFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"config.json": `{"name": "agent", "version": "1.0", "runPath": "bin/run", "arch": "x64"}`,
		"bin/run":     "#!/bin/sh\n", "data/a": "a", "data/.hidden": "h",
		".git/HEAD": "x", ".service/run.json": "{}", "heartbeat": "1", "data/heartbeat": "kept", ".DS_Store": "",
	} {
		path := filepath.Join(dir, name)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o750
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// AP-10: a package of a folder has its files and modes, without the excluded files, and
// the same files make the same bytes.
func TestMake(t *testing.T) {
	dir := writeFolder(t)
	files, left, err := Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(left)
	if diff := cmp.Diff([]string{".DS_Store", ".git", ".service", "heartbeat"}, left); diff != "" {
		t.Error(diff)
	}
	out := filepath.Join(t.TempDir(), "out.zip")
	made, err := Make(t.Context(), files, out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range made.Files {
		names = append(names, f.Name)
		if want := map[bool]os.FileMode{true: 0o750, false: 0o644}[f.Name == "bin/run"]; f.Mode() != want {
			t.Errorf("%s has mode %v, want %v", f.Name, f.Mode(), want)
		}
	}
	if diff := cmp.Diff([]string{"bin/run", "config.json", "data/.hidden", "data/a", "data/heartbeat"}, names); diff != "" {
		t.Error(diff)
	}
	first, err := os.ReadFile(out)
	if err != nil || int64(len(first)) != made.Size {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	if err := os.Chtimes(filepath.Join(dir, "data/a"), time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	if _, err := Make(t.Context(), files, out); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(out); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the second package differs, error %v", err)
	}
}

// AP-10: a package that hosts would reject is not made, and no file is left.
func TestMakeRejects(t *testing.T) {
	config := func(name string) File {
		return File{Name: "config.json", Mode: 0o644, Body: []byte(`{"name": "` + name + `", "version": "1.0", "runPath": "run"}`)}
	}
	run := File{Name: "run", Mode: 0o755}
	for want, files := range map[string][]File{
		"package has no config.json":           {run},
		`package lacks its executable "run"`:   {config("agent")},
		"is setuid, setgid or sticky":          {config("agent"), {Name: "run", Mode: 0o755 | os.ModeSetuid}},
		`differs from "RUN" only in case`:      {config("agent"), run, {Name: "RUN", Mode: 0o644}},
		`name "a b"; allowed: ASCII letters, `: {config("a b"), run},
		`pack run: open /not/there`:            {config("agent"), {Name: "run", Path: "/not/there"}},
	} {
		dir := t.TempDir()
		_, err := Make(t.Context(), files, filepath.Join(dir, "out.zip"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
	for _, make := range []func(path string) error{
		func(path string) error { return os.Symlink("config.json", path) },
		func(path string) error { return makeFIFO(path) },
	} {
		dir := writeFolder(t)
		if err := make(filepath.Join(dir, "odd")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Folder(dir); err == nil || !strings.Contains(err.Error(), "odd is ") {
			t.Errorf("%v", err)
		}
	}
}

func TestCheckNames(t *testing.T) {
	for name, good := range map[string]bool{
		"node-exporter": true, "a": true, "A.b_c+1": true, "": false, "-a": false, ".a": false, "a b": false, "ä": false, "a/b": false, "installed_plugins": false,
	} {
		if err := CheckNames(name, "1.0"); (err == nil) != good {
			t.Errorf("name %q: %v", name, err)
		}
		if err := CheckNames("a", name); (err == nil) != good {
			t.Errorf("version %q: %v", name, err)
		}
	}
}

// AP-08: the requirements of a program are read from its file.
func TestReadProgram(t *testing.T) {
	p, err := ReadProgram("/bin/sh")
	if err != nil || p.Loader == "" || !strings.HasPrefix(p.String(), "is linked dynamically and needs on each host: /lib") || !strings.Contains(p.String(), "libc") {
		t.Errorf("%+v, %v", p, err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if p, err := ReadProgram(script); err != nil || p.Arch != "" || p.String() != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := ReadProgram("/not/there"); err == nil {
		t.Error("a missing file is no error")
	}
	if err := Write(io.Discard, nil); err != nil {
		t.Error(err)
	}
}

func makeFIFO(path string) error { return syscall.Mkfifo(path, 0o600) }
