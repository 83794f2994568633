package process

import (
	"os"
	"path/filepath"
	"testing"
)

// CL-17: a command uses the given streams, and its output is not kept.
func TestStreams(t *testing.T) {
	open := func(name, content string) *os.File {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	s := Streams{In: open("in", "typed\n"), Out: open("out", ""), Err: open("err", "")}
	for _, daemon := range []bool{false, true} {
		r := NewRunner(Options{}).Run(t.Context(), Command{
			Path: "/bin/sh", Args: []string{"-c", "read -r line; echo \"out $line\"; echo failed >&2; exit 3"},
			Daemon: daemon, Log: filepath.Join(t.TempDir(), "log"), Streams: &s,
		})
		if r.ExitCode != 3 || r.Output != "" || !r.Started {
			t.Errorf("daemon %t: %+v", daemon, r)
		}
		for f, want := range map[*os.File]string{s.Out: "out typed\n", s.Err: "failed\n"} {
			if got, err := os.ReadFile(f.Name()); string(got) != want || err != nil {
				t.Errorf("%s: %q, %v", filepath.Base(f.Name()), got, err)
			}
			if err := f.Truncate(0); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []*os.File{s.In, s.Out, s.Err} {
			if _, err := f.Seek(0, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}
