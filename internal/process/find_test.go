package process

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func TestFindExecuting(t *testing.T) {
	r := startTestbed(t, 0, false)
	path := filepath.Join(r.root, "some-agent")
	c := r.command("hang")
	copyExecutable(t, c.Path, path)
	p := r.startStray(path, c.Env)
	find := func() []Found {
		found, err := FindExecuting("some-agent")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	want := []Found{{p.PID, path}}
	eventually(t, "found", func() bool { return slices.Equal(find(), want) })
	if found, err := FindExecuting("some"); len(found) > 0 || err != nil {
		t.Errorf("found %v %v", found, err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if open := OpenFiles(p.PID); !slices.Contains(open, here) || !slices.Contains(open, os.DevNull) {
		t.Errorf("open files are %q", open)
	}
	if err := os.Remove(path); err != nil { // as after an update
		t.Fatal(err)
	}
	if found := find(); !slices.Equal(found, want) {
		t.Errorf("found %v", found)
	}
	r.signalProcess(p, syscall.SIGKILL)
	eventually(t, "gone", func() bool { return len(find()) == 0 })
}
