package unpack_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pluginsupervisor/internal/failpoint"
	"pluginsupervisor/internal/install/unpack"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/pkgcheck/pkgchecktest"
)

// unpackTo checks a package and unpacks it into dir.
func unpackTo(t testing.TB, z []byte, dir string, limits pkgcheck.Limits, step failpoint.Step) error {
	p, err := pkgcheck.Check(bytes.NewReader(z), int64(len(z)), limits)
	if err != nil {
		return err
	}
	return unpack.Unpack(t.Context(), p, dir, step)
}

func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	err := unpackTo(t, pkgchecktest.Zip(t,
		pkgchecktest.Entry{Name: "config.json", Mode: 0o100600, Body: pkgchecktest.Config("agent", "1.0", "", "")},
		pkgchecktest.Entry{Name: "bin/", Mode: 0o040700},
		pkgchecktest.Entry{Name: "bin/run", Mode: 0o100500, Body: "#!/bin/sh\n"},
		pkgchecktest.Entry{Name: "made/elsewhere", Body: "x"},
	), dir, pkgcheck.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{
		"config.json":    0o644,
		"bin":            0o755 | fs.ModeDir,
		"bin/run":        0o755,
		"made":           0o755 | fs.ModeDir,
		"made/elsewhere": 0o755, // the archive has no modes
	} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info, err, mode)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "bin/run")); string(b) != "#!/bin/sh\n" {
		t.Errorf("bin/run holds %q, %v", b, err)
	}
}

// CL-13: a file is not written beyond its declared size.
func TestLyingSize(t *testing.T) {
	for _, r := range pkgchecktest.Refusals(t) {
		if r.Name != "CL-13 more than it declares" {
			continue
		}
		dir := t.TempDir()
		var refusal *pkgcheck.Error
		if err := unpackTo(t, r.Package, dir, pkgcheck.Limits{}, nil); !errors.As(err, &refusal) {
			t.Errorf("got %v, want a refusal", err)
		}
		if info, err := os.Lstat(filepath.Join(dir, "b")); err != nil || info.Size() > 1 {
			t.Errorf("%v was written, %v", info, err)
		}
		return
	}
	t.Fatal("no such case")
}

func TestDiskFull(t *testing.T) {
	z := pkgchecktest.Zip(t, pkgchecktest.Agent()...)
	for _, name := range []string{"unpack mkdir", "unpack create", "unpack write", "unpack fsync", "unpack fsync folder"} {
		err := unpackTo(t, z, t.TempDir(), pkgcheck.Limits{}, func(step string) error {
			if step == name {
				return syscall.ENOSPC
			}
			return nil
		})
		var refusal *pkgcheck.Error
		if !errors.Is(err, syscall.ENOSPC) || errors.As(err, &refusal) {
			t.Errorf("at %s: %v, want the disk to be full", name, err)
		}
	}
}

// Any archive unpacks to regular files and folders only, within the limits and
// inside the folder.
func FuzzUnpack(f *testing.F) {
	f.Add(pkgchecktest.Zip(f, pkgchecktest.Agent(pkgchecktest.Entry{Name: "e/"})...))
	f.Add(pkgchecktest.Zip(f, pkgchecktest.Agent(pkgchecktest.Entry{Name: "../b", Body: "x"})...))
	f.Add(pkgchecktest.Zip(f, pkgchecktest.Agent(pkgchecktest.Entry{Name: "l", Mode: 0o120777, Body: "/"})...))
	f.Fuzz(func(t *testing.T, z []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "inside")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = unpackTo(t, z, dir, pkgcheck.Limits{Size: 1 << 20, Entries: 20}, nil) // what was written is checked, also after an error
		if all, _ := os.ReadDir(outer); len(all) != 1 {
			t.Fatalf("written outside: %v", all)
		}
		var total int64
		filepath.WalkDir(dir, func(p string, _ fs.DirEntry, _ error) error {
			info, err := os.Lstat(p)
			if err != nil {
				t.Fatal(err)
			}
			if m := info.Mode(); p != dir && (m&^(fs.ModeDir|0o755) != 0 || !m.IsDir() && !m.IsRegular()) {
				t.Errorf("%s has mode %v", p, m)
			}
			if !info.IsDir() {
				total += info.Size()
			}
			return nil
		})
		if total > 1<<20 {
			t.Errorf("%d bytes were written", total)
		}
	})
}
