package pkgcheck_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/plugin"
)

// checkPackage checks a package and its content.
func checkPackage(t testing.TB, z []byte, limits pkgcheck.Limits) (*pkgcheck.Package, error) {
	t.Helper()
	p, err := pkgcheck.Check(bytes.NewReader(z), int64(len(z)), limits)
	if err == nil {
		err = p.CheckContent(t.Context())
	}
	return p, err
}

func wantRefusal(t *testing.T, err error, reason pkgcheck.Reason, says string) {
	t.Helper()
	var refusal *pkgcheck.Error
	if !errors.As(err, &refusal) || refusal.Reason != reason || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want reason %d and %q", err, reason, says)
	}
}

func TestRefusals(t *testing.T) {
	for _, r := range pkgchecktest.Refusals(t) {
		t.Run(r.Name, func(t *testing.T) {
			_, err := checkPackage(t, r.Package, pkgcheck.Limits{})
			wantRefusal(t, err, r.Reason, r.Says)
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("message of %d bytes is too long", len(err.Error()))
			}
		})
	}
}

func TestAcceptances(t *testing.T) {
	for _, a := range pkgchecktest.Acceptances(t) {
		t.Run(a.Name, func(t *testing.T) {
			p, err := checkPackage(t, a.Package, pkgcheck.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if c := p.Config; c.Name != "agent" || c.Version != "1.0" {
				t.Errorf("package is %s %s", c.Name, c.Version)
			}
		})
	}
}

func TestPackage(t *testing.T) {
	z := pkgchecktest.Zip(t,
		pkgchecktest.Entry{Name: "agent/bin/run", Mode: 0o100500, Body: "#!/bin/sh\n"},
		pkgchecktest.Entry{Name: "agent/config.json", Mode: 0o100600, Body: pkgchecktest.Config("agent", "1.0", "LINUX", "")},
		pkgchecktest.Entry{Name: "agent/a/b/", Mode: 0o040700},
		pkgchecktest.Entry{Name: "agent/a/b/c", Body: "no modes"},
	)
	p, err := checkPackage(t, z, pkgcheck.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Top != "agent" || p.OS != "linux" || p.Arch != platform.AnyArch || p.Config.OSType != "LINUX" {
		t.Errorf("top folder %q, for %s/%s, config %+v", p.Top, p.OS, p.Arch, p.Config)
	}
	if diff := cmp.Diff([]string{"agent", "agent/bin", "agent/a", "agent/a/b"}, p.Folders); diff != "" {
		t.Error(diff)
	}
	modes := map[string]fs.FileMode{}
	for _, f := range p.Files {
		modes[f.Name] = p.Mode(f)
	}
	want := map[string]fs.FileMode{"agent/bin/run": 0o755, "agent/config.json": 0o644, "agent/a/b/c": 0o755}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Error(diff)
	}
}

// SPEC 1: the executable is executable on the host, whatever its mode in the zip.
func TestModeOfExecutable(t *testing.T) {
	entries := pkgchecktest.Agent(pkgchecktest.Entry{Name: "bin/other", Mode: 0o100644})
	for i := range entries {
		entries[i].Mode = 0o100600
	}
	p, err := checkPackage(t, pkgchecktest.Zip(t, entries...), pkgcheck.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Files {
		if got, want := p.Mode(f), map[bool]fs.FileMode{true: 0o755, false: 0o644}[f.Name == "bin/run"]; got != want {
			t.Errorf("%s: mode %o, want %o", f.Name, got, want)
		}
	}
}

// CL-13: each configured limit is exact, to the last byte.
func TestLimits(t *testing.T) {
	z := pkgchecktest.Zip(t, pkgchecktest.Agent(pkgchecktest.Entry{Name: "zeros", Body: strings.Repeat("\x00", 2<<20)})...)
	p, err := checkPackage(t, z, pkgcheck.Limits{Ratio: 2000})
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, f := range p.Files {
		size += int64(f.UncompressedSize64)
	}
	ratio := size/int64(len(z)) + 1
	for _, tt := range []struct {
		name   string
		limits pkgcheck.Limits
		says   string // "": accepted
	}{
		{"as large as allowed", pkgcheck.Limits{Size: size, Entries: 3, Ratio: ratio}, ""},
		{"a byte more", pkgcheck.Limits{Size: size - 1, Entries: 3, Ratio: ratio}, "unpacks to more than"},
		{"an entry more", pkgcheck.Limits{Size: size, Entries: 2, Ratio: ratio}, "package has 3 entries, at most 2 allowed"},
		{"shrinks more", pkgcheck.Limits{Size: size, Entries: 3, Ratio: ratio - 1}, "times as many"},
		{"a limit that overflows", pkgcheck.Limits{Ratio: 1 << 62}, ""},
		{"not positive is the default", pkgcheck.Limits{Size: -1, Entries: -1, Ratio: -1}, "more than 200 times as many"},
	} {
		t.Run("CL-13 "+tt.name, func(t *testing.T) {
			_, err := checkPackage(t, z, tt.limits)
			if tt.says != "" {
				wantRefusal(t, err, pkgcheck.BadEntry, tt.says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// An error of the disk is no *Error about the package.
func TestDiskError(t *testing.T) {
	z := pkgchecktest.Zip(t, pkgchecktest.Agent()...)
	path := filepath.Join(t.TempDir(), "package.zip")
	if err := os.WriteFile(path, z, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pkgcheck.Check(f, int64(len(z)), pkgcheck.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, opening := pkgcheck.Check(f, int64(len(z)), pkgcheck.Limits{})
	for name, err := range map[string]error{"open": opening, "read": p.CheckContent(t.Context())} {
		var refusal *pkgcheck.Error
		if !errors.Is(err, fs.ErrClosed) || errors.As(err, &refusal) {
			t.Errorf("%s: %v, want the error of the disk", name, err)
		}
	}
}

func TestReadFiles(t *testing.T) {
	p, err := checkPackage(t, pkgchecktest.Zip(t, pkgchecktest.Agent()...), pkgcheck.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err = p.ReadFiles(t.Context(), func(f *zip.File, content io.Reader) error {
		text, err := io.ReadAll(content)
		got[f.Name] = string(text)
		return err
	})
	want := map[string]string{"config.json": pkgchecktest.Config("agent", "1.0", "linux", "x64"), "bin/run": "#!/bin/sh\n"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	stop, calls := errors.New("stop"), 0
	err = p.ReadFiles(t.Context(), func(*zip.File, io.Reader) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if err := p.CheckContent(ctx); err != stop {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzCheck checks that every accepted package keeps the rules that a host relies on.
func FuzzCheck(f *testing.F) {
	for _, r := range pkgchecktest.Refusals(f) {
		if len(r.Package) < 4<<10 {
			f.Add(r.Package)
		}
	}
	for _, a := range pkgchecktest.Acceptances(f) {
		if len(a.Package) < 4<<10 {
			f.Add(a.Package)
		}
	}
	limits := pkgcheck.Limits{Size: 2 << 20, Entries: 50, Ratio: 100}
	f.Fuzz(func(t *testing.T, z []byte) {
		p, err := pkgcheck.Check(bytes.NewReader(z), int64(len(z)), limits)
		if err != nil {
			wantAnyRefusal(t, err)
			return
		}
		for _, err := range []error{plugin.CheckName(p.Config.Name), plugin.CheckName(p.Config.Version), plugin.CheckRunPath(p.Config.RunPath)} {
			if err != nil {
				t.Errorf("accepted %+v: %v", p.Config, err)
			}
		}
		if len(p.Files) > limits.Entries || len(p.Folders) > limits.Entries {
			t.Errorf("%d files, %d folders", len(p.Files), len(p.Folders))
		}
		names := map[string]bool{}
		for _, name := range p.Folders {
			wantUniqueName(t, names, name)
		}
		for _, f := range p.Files {
			wantUniqueName(t, names, f.Name)
		}
		var total int64
		err = p.ReadFiles(t.Context(), func(_ *zip.File, content io.Reader) error {
			n, err := io.Copy(io.Discard, content)
			total += n
			return err
		})
		if err != nil {
			wantAnyRefusal(t, err)
		}
		if total > limits.Size || total > max(1<<20, limits.Ratio*int64(len(z))) {
			t.Errorf("a package of %d bytes unpacks to %d", len(z), total)
		}
	})
}

func wantAnyRefusal(t *testing.T, err error) {
	t.Helper()
	var refusal *pkgcheck.Error
	if !errors.As(err, &refusal) || refusal.Reason == 0 || err.Error() == "" {
		t.Errorf("not a refusal: %v", err)
	}
}

// wantUniqueName checks that a name stays inside the package and is unique in lower
// case.
func wantUniqueName(t *testing.T, names map[string]bool, name string) {
	t.Helper()
	lower := strings.ToLower(name)
	if !filepath.IsLocal(name) || filepath.Clean(name) != name || names[lower] {
		t.Errorf("accepted the name %q, want a refusal", name)
	}
	names[lower] = true
}
