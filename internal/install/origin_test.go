package install

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

func TestOrigin(t *testing.T) {
	for _, by := range []plugin.Verified{plugin.BySignature, plugin.BySHA256, plugin.ByMD5, plugin.ByNothing} {
		s := &Staged{Dir: t.TempDir(), Verified: by, Sum: "abc", Config: record.PackageConfig{Name: "hello", Version: "1.0"}}
		// An entry of the package with that name is ignored.
		if err := os.MkdirAll(filepath.Join(s.Dir, layout.Origin, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := s.writeOrigin(); err != nil {
			t.Fatal(err)
		}
		if got := VerifiedBy(s.Dir, "hello", "1.0"); got != by {
			t.Errorf("verified by %q, want %q", got, by)
		}
		if got := VerifiedBy(s.Dir, "hello", "2.0"); got != plugin.VerifiedUnknown {
			t.Errorf("folder copied to another version is verified by %q, want unknown", got)
		}
	}
}

// A plugin may replace the file by anything: it is not followed, does not block,
// and is not trusted.
func TestOriginUnknown(t *testing.T) {
	dir := t.TempDir()
	good := []byte(`{"name":"hello","version":"1.0","verified":"sha256"}`)
	elsewhere := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(elsewhere, good, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(path string) error{
		"absent":    func(string) error { return nil },
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"link":      func(path string) error { return os.Symlink(elsewhere, path) },
		"fifo":      func(path string) error { return unix.Mkfifo(path, 0o644) },
		"folder":    func(path string) error { return os.Mkdir(path, 0o755) },
		"too large": func(path string) error { return os.WriteFile(path, append(good, make([]byte, 1<<20)...), 0o644) },
	} {
		path := filepath.Join(dir, layout.Origin)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if got := VerifiedBy(dir, "hello", "1.0"); got != plugin.VerifiedUnknown {
			t.Errorf("%s: verified by %q, want unknown", name, got)
		}
	}
	if got := VerifiedBy(filepath.Join(dir, "none"), "hello", "1.0"); got != plugin.VerifiedUnknown {
		t.Errorf("no folder: verified by %q, want unknown", got)
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add([]byte(`{"name":"hello","version":"1.0","verified":"md5","sum":"00"}`))
	f.Add([]byte(`{"name":"hello","version":"1.0","verified":"blessed"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		switch got := parseOrigin(b, "hello", "1.0").Verified; got {
		case plugin.VerifiedUnknown, plugin.BySignature, plugin.BySHA256, plugin.ByMD5, plugin.ByNothing:
		default:
			t.Fatalf("verified by %q, want a known method", got)
		}
	})
}
