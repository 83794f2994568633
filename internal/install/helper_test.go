package install_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/failure"
)

// files of a package; a name in bin/ is executable.
type files map[string]string

func sample() files {
	return files{
		"config.json": `{"name":"agent","version":"1.0","runPath":"bin/run","osType":"linux","arch":"x64"}`,
		"bin/run":     "#!/bin/sh\n",
	}
}

// withFile returns the files with one added or replaced.
func (f files) withFile(name, body string) files {
	more := files{name: body}
	for n, b := range f {
		if n != name {
			more[n] = b
		}
	}
	return more
}

func (f files) zip(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, body := range f {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if strings.Contains(name, "bin/") {
			h.SetMode(0o755)
		}
		e, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// writePackage writes a package to a new file and returns its path.
func writePackage(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "package.zip")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const live = "the running version"

// newRoot returns a BASE where agent 1.0 is installed.
func newRoot(t testing.TB) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "base")
	dir := filepath.Join(root, "plugin", "agent", "1.0")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "old"), []byte(live), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func newInstaller(t testing.TB, root string, change func(*install.Config)) *install.Installer {
	t.Helper()
	cfg := install.Config{Root: root, OS: "linux", Arch: "x64"}
	cfg.Fetch.Timeout, cfg.Fetch.FirstPause, cfg.Fetch.Tries = time.Minute, time.Millisecond, 2
	cfg.Limits.Size = 8 << 20
	if change != nil {
		change(&cfg)
	}
	i, err := install.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

// checkUntouched checks that the live folder is unchanged and no other file
// exists.
func checkUntouched(t *testing.T, root string) {
	t.Helper()
	want := []string{"plugin/agent/1.0/old"}
	if got := listFiles(t, root); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("left behind: %v, want %v", got, want)
	}
	if b, err := os.ReadFile(filepath.Join(root, want[0])); string(b) != live {
		t.Errorf("live version: %q, %v", b, err)
	}
}

// listFiles returns every file below root and beside it, except staging.lock.
func listFiles(t *testing.T, root string) (names []string) {
	t.Helper()
	outer := filepath.Dir(root)
	err := filepath.WalkDir(outer, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		inStaging := strings.HasPrefix(rel, "supervisor/staging/")
		if rel == "supervisor/staging.lock" || d.IsDir() && !inStaging {
			return nil
		}
		names = append(names, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func checkRefused(t *testing.T, err error, code int, message string) {
	t.Helper()
	var e *failure.Error
	if !errors.As(err, &e) || e.ExitCode() != code || !strings.Contains(err.Error(), message) {
		t.Errorf("got %v, want exit code %d and %q", err, code, message)
	}
	t.Logf("| %s | %d | %v |", t.Name(), code, err)
}

// sequences keeps sequences in memory.
type sequences map[string]uint64

func (s sequences) LastSequence(_ context.Context, name string) (uint64, error) { return s[name], nil }
