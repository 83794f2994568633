package others

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/lock"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

const recently = 2 * time.Second

// holdLock starts another process that holds a plugin's name lock until release is
// called.
func holdLock(t *testing.T, root, name string) (release func()) {
	t.Helper()
	cmd := exec.Command("flock", "-o", "-s", layout.NameLock(root, name), "sh", "-c", "echo held; read -r line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release = func() { in.Close(); cmd.Wait() }
	t.Cleanup(release)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return release
}

// follow runs a method of Others until the test ends.
func follow(t *testing.T, run func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("did not return when its context ended")
		}
	})
}

func watched(t *testing.T) (o *Others, freed chan string) {
	t.Helper()
	root := t.TempDir()
	o, freed = New(root), make(chan string, 100)
	if err := os.MkdirAll(filepath.Dir(layout.NameLock(root, "p")), 0o755); err != nil {
		t.Fatal(err)
	}
	follow(t, func(ctx context.Context) error { return o.FollowLocks(ctx, func(name string) { freed <- name }) })
	eventually(t, "the locks are followed", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.queue != nil
	})
	return o, freed
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for over := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(over) {
			t.Fatalf("not within 20s: %s", what)
		}
	}
}

func wantFreed(t *testing.T, freed chan string, name string) {
	t.Helper()
	select {
	case got := <-freed:
		if got != name {
			t.Errorf("%s is free, want %s", got, name)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s is not reported", name)
	}
}

// EV-21: another program works on a plugin while it holds its name lock, and for 2 s
// after that; the release of the lock is reported.
func TestWorkOn(t *testing.T) {
	o, freed := watched(t)
	if o.WorkOn("p", recently) {
		t.Error("no program holds it")
	}
	release := holdLock(t, o.root, "p")
	if !o.WorkOn("p", recently) || o.WorkOn("q", recently) {
		t.Error("p is held, q is not")
	}
	select {
	case name := <-freed:
		t.Errorf("%s is not free", name)
	case <-time.After(100 * time.Millisecond):
	}
	release()
	wantFreed(t, freed, "p")
	let := time.Now()
	if !o.WorkOn("p", recently) {
		t.Error("WorkOn is false, but the lock was held a moment ago")
	}
	wantFreed(t, freed, "p") // as it was reported to be worked on
	eventually(t, "it is long ago", func() bool { return !o.WorkOn("p", recently) })
	if took := time.Since(let); took < recently-200*time.Millisecond {
		t.Errorf("WorkOn is false after %v", took)
	}
}

// EV-21: a lock that was held shortly before counts, also when WorkOn was not called
// then.
func TestWorkOnWasSeen(t *testing.T) {
	o, freed := watched(t)
	release := holdLock(t, o.root, "p")
	eventually(t, "it is seen held", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.locks["p.lock"] != nil && o.locks["p.lock"].held
	})
	release()
	wantFreed(t, freed, "p")
	if !o.WorkOn("p", recently) {
		t.Error("WorkOn is false, but the lock was held a moment ago")
	}
}

// EV-21: a program that released its lock before any check has worked on the plugin.
func TestShortWorkIsNoticed(t *testing.T) {
	o, _ := watched(t)
	path := layout.NameLock(o.root, "p")
	if err := os.WriteFile(path, nil, 0o640); err != nil { // as a program does that makes the file
		t.Fatal(err)
	}
	if !o.WorkOn("p", recently) {
		t.Error("it was opened a moment ago")
	}
	eventually(t, "that is long ago", func() bool { return !o.WorkOn("p", recently) })
	for range 3 {
		o.OpenOwn("p")
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if o.WorkOn("p", recently) {
			t.Fatal("this process opened it")
		}
		time.Sleep(2 * tableMaxAge)
	}
	f, err := os.Open(path) // as another program
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if !o.WorkOn("p", recently) {
		t.Error("another program opened it")
	}
}

// EV-21: the locks of this process do not count.
func TestOwnLocksDoNotCount(t *testing.T) {
	o, freed := watched(t)
	for range 5 {
		o.OpenOwn("p")
		release, _, err := lock.Exclusive(t.Context(), layout.NameLock(o.root, "p"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if o.WorkOn("p", recently) {
			t.Error("the lock of this process counts")
		}
		release()
	}
	eventually(t, "nothing is looked at any more", func() bool {
		_, until := o.nextCheck()
		return until.IsZero()
	})
	select {
	case name := <-freed:
		t.Errorf("%s is reported as free", name)
	default:
	}
}

// EV-22: a change of the plugin database is reported, a read of it is not.
func TestFollowRecords(t *testing.T) {
	root := t.TempDir()
	o, changed := New(root), make(chan bool, 100)
	r := registry.New(registry.Options{Root: root})
	put := func(version string) {
		t.Helper()
		if _, err := r.Put(t.Context(), record.Record{Name: "p", Version: version, RunPath: "run", Type: plugin.Persist}); err != nil {
			t.Fatal(err)
		}
	}
	put("1.0")
	follow(t, func(ctx context.Context) error { return o.FollowRecords(ctx, func() { changed <- true }) })
	eventually(t, "a change is noticed", func() bool {
		put("2.0")
		select {
		case <-changed:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
	for quiet := false; !quiet; { // until all of it is noticed
		select {
		case <-changed:
		case <-time.After(300 * time.Millisecond):
			quiet = true
		}
	}
	if _, err := registry.New(registry.Options{Root: root}).List(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("a read counts as a change")
	case <-time.After(300 * time.Millisecond):
	}
	if err := r.MarkRemoved(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(time.Second):
		t.Error("EV-22: a removal is not noticed within 1 s")
	}
}

// Following fails when the folder is removed or moved, so that the caller follows the
// new one.
func TestFolderIsReplaced(t *testing.T) {
	root := t.TempDir()
	o := New(root)
	for name, run := range map[string]func(context.Context) error{
		filepath.Dir(layout.NameLock(root, "p")): func(ctx context.Context) error { return o.FollowLocks(ctx, func(string) {}) },
		layout.Plugins(root):                     func(ctx context.Context) error { return o.FollowRecords(ctx, func() {}) },
	} {
		ended := make(chan error, 1)
		go func() { ended <- run(t.Context()) }()
		eventually(t, "it ends when the folder is removed", func() bool {
			os.RemoveAll(name)
			select {
			case err := <-ended:
				return err != nil
			default:
				return false
			}
		})
	}
}
