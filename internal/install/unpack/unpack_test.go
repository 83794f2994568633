package unpack_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pluginsupervisor/internal/install/failure"
	"pluginsupervisor/internal/install/unpack"
)

// entry is one of a zip made for a test.
type entry struct {
	name   string
	mode   uint32 // as Unix has it
	body   string
	change func(*zip.FileHeader)
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, CreatorVersion: 3 << 8, ExternalAttrs: e.mode << 16}
		if strings.HasSuffix(e.name, "/") {
			h.Method = zip.Store
		}
		raw := e.change != nil
		if raw {
			e.change(h)
		}
		f, err := create(w, h, raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func create(w *zip.Writer, h *zip.FileHeader, raw bool) (io.Writer, error) {
	if raw {
		return w.CreateRaw(h)
	}
	return w.CreateHeader(h)
}

func unpackTo(t testing.TB, z []byte, limits unpack.Limits) (dir string, err error) {
	dir = t.TempDir()
	return dir, unpack.Unpack(t.Context(), bytes.NewReader(z), int64(len(z)), dir, limits, nil)
}

func TestUnpack(t *testing.T) {
	dir, err := unpackTo(t, archive(t,
		entry{name: "config.json", mode: 0o100600, body: "{}"},
		entry{name: "bin/", mode: 0o040700},
		entry{name: "bin/run", mode: 0o100500, body: "#!/bin/sh\n"},
		entry{name: "made/elsewhere", body: "x"},
	), unpack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{
		"config.json":    0o644,
		"bin":            0o755 | fs.ModeDir,
		"bin/run":        0o755,
		"made":           0o755 | fs.ModeDir,
		"made/elsewhere": 0o755, // the archive knows no modes
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

// CL-13: refused whole, nothing is written.
func TestRefused(t *testing.T) {
	plain := entry{name: "a", mode: 0o100644, body: "x"}
	header := func(change func(*zip.FileHeader)) entry {
		return entry{name: "b", mode: 0o100644, change: change}
	}
	for _, tt := range []struct {
		name string
		e    []entry
		says string
	}{
		{"CL-13 dot dot", []entry{{name: "../b"}}, "leaves the package"},
		{"CL-13 dot dot inside", []entry{{name: "c/../../b"}}, "leaves the package"},
		{"CL-13 absolute", []entry{{name: "/etc/b"}}, "absolute"},
		{"CL-13 backslash", []entry{{name: `..\b`}}, "backslash"},
		{"CL-13 NUL", []entry{{name: "b\x00c"}}, "control character"},
		{"CL-13 symlink", []entry{{name: "b", mode: 0o120777, body: "/etc"}}, "link"},
		{"CL-13 hard link", []entry{header(func(h *zip.FileHeader) {
			h.Extra = append([]byte{0x0d, 0, 14, 0}, make([]byte, 14)...)
		})}, "hard link"},
		{"CL-13 device", []entry{{name: "b", mode: 0o060644}}, "device"},
		{"CL-13 fifo", []entry{{name: "b", mode: 0o010644}}, "special"},
		{"CL-13 setuid", []entry{{name: "b", mode: 0o104755}}, "setuid"},
		{"CL-13 setgid", []entry{{name: "b", mode: 0o102755}}, "setgid"},
		{"CL-13 sticky folder", []entry{{name: "b/", mode: 0o041777}}, "sticky"},
		{"CL-13 twice", []entry{plain}, "twice"},
		{"CL-13 case", []entry{{name: "A"}}, "only in case"},
		{"CL-13 file as folder", []entry{{name: "a/b"}}, "used as a folder"},
		{"CL-13 folder over file", []entry{{name: "a/"}}, "used as a folder"},
		{"CL-13 deep", []entry{{name: strings.Repeat("d/", 40) + "b"}}, "deep"},
		{"CL-13 long", []entry{{name: strings.Repeat("d", 256)}}, "bytes"},
		{"CL-13 encrypted", []entry{header(func(h *zip.FileHeader) { h.Flags |= 1 })}, "encrypted"},
		{"CL-13 method", []entry{header(func(h *zip.FileHeader) { h.Method = 99 })}, "method"},
		{"CL-13 declared size", []entry{header(func(h *zip.FileHeader) { h.UncompressedSize64 = 4 << 30 })}, "more than"},
		{"CL-13 config.json of 1 GB", []entry{{name: "config.json", mode: 0o100644, change: func(h *zip.FileHeader) { h.UncompressedSize64 = 1 << 30 }}}, "more than"},
		{"CL-13 ratio", []entry{header(func(h *zip.FileHeader) { h.UncompressedSize64 = 4 << 20 })}, "times as many"},
		{"CL-13 entries", make100(), "at most 50"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := unpackTo(t, archive(t, append([]entry{plain}, tt.e...)...), unpack.Limits{Size: 8 << 20, Entries: 50})
			var e *failure.Error
			if !errors.As(err, &e) || e.ExitCode() != 236 || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want exit code 236 and %q", err, tt.says)
			}
			t.Logf("| %s | 236 | %v |", t.Name(), err)
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%v was written", left)
			}
		})
	}
}

func make100() (es []entry) {
	for i := range 100 {
		es = append(es, entry{name: fmt.Sprint("f", i)})
	}
	return es
}

// CL-13: a size declared too small does not let more through.
func TestLyingSize(t *testing.T) {
	z := archive(t, entry{name: "a", mode: 0o100644, body: strings.Repeat("0", 9<<20)})
	size := []byte{0, 0, 0x90, 0} // 9 MiB, little-endian
	if n := bytes.Count(z, size); n < 1 {
		t.Fatal("no size found to change")
	}
	z = bytes.ReplaceAll(z, size, []byte{1, 0, 0, 0})
	dir, err := unpackTo(t, z, unpack.Limits{Size: 4 << 20})
	var e *failure.Error
	if !errors.As(err, &e) || e.Reason != failure.Unzip {
		t.Errorf("got %v, want a refusal", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a")); err == nil && info.Size() > 4<<20 {
		t.Errorf("%d bytes were written", info.Size())
	}
}

func TestNotZip(t *testing.T) {
	whole := archive(t, entry{name: "a", body: strings.Repeat("abc", 100)})
	for name, z := range map[string][]byte{
		"CL-11 empty": nil, "CL-11 HTML": []byte("<html>not here</html>"), "CL-11 truncated": whole[:len(whole)-30],
	} {
		t.Run(name, func(t *testing.T) {
			_, err := unpackTo(t, z, unpack.Limits{})
			var e *failure.Error
			if !errors.As(err, &e) || e.ExitCode() != 235 {
				t.Errorf("got %v, want exit code 235", err)
			}
		})
	}
}

// A directory of a million entries is not read before it is refused.
func TestHugeDirectory(t *testing.T) {
	var es []entry
	for i := range 5000 {
		es = append(es, entry{name: fmt.Sprintf("%0200d", i)})
	}
	_, err := unpackTo(t, archive(t, es...), unpack.Limits{Entries: 10})
	if err == nil || !strings.Contains(err.Error(), "central directory is too large") {
		t.Errorf("got %v", err)
	}
}

func TestDiskFull(t *testing.T) {
	z := archive(t, entry{name: "a", body: "x"})
	for _, name := range []string{"unpack create", "unpack write", "unpack fsync", "unpack fsync folder"} {
		err := unpack.Unpack(t.Context(), bytes.NewReader(z), int64(len(z)), t.TempDir(), unpack.Limits{}, func(step string) error {
			if step == name {
				return syscall.ENOSPC
			}
			return nil
		})
		var e *failure.Error
		if !errors.As(err, &e) || !e.DiskFull() {
			t.Errorf("at %s: %v, want the disk to be full", name, err)
		}
	}
}

// FuzzUnpack: whatever the archive, nothing but plain files and folders comes
// out, within the limits, and only inside.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, entry{name: "bin/run", mode: 0o100755, body: "x"}, entry{name: "e/"}))
	f.Add(archive(f, entry{name: "../b", body: "x"}))
	f.Add(archive(f, entry{name: "l", mode: 0o120777, body: "/"}))
	f.Fuzz(func(t *testing.T, z []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "inside")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		unpack.Unpack(t.Context(), bytes.NewReader(z), int64(len(z)), dir, unpack.Limits{Size: 1 << 20, Entries: 20}, nil)
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
