package cgroup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/inotify"
)

// change holds the arguments of one call of changed.
type change struct {
	name      string
	populated bool
}

// startFollow runs Follow until the end of the test or a call of stop.
func startFollow(t testing.TB, tree *Tree) (received chan change, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	received = make(chan change, 4096)
	done := make(chan error, 1)
	go func() {
		done <- tree.Follow(ctx, func(name string, populated bool) { received <- change{name, populated} })
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return received, stop
}

// waitForChange waits until the change is reported.
func waitForChange(t testing.TB, received chan change, want change) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case got := <-received:
			if got == want {
				return
			}
		case <-late:
			t.Fatalf("not reported within 20 s: %v", want)
		}
	}
}

func TestFollow(t *testing.T) {
	tree := openTree(t)
	before := makeTestLeaf(t, tree, "before")
	startAndWait(t, before, helperCommand("hang"))
	received, stop := startFollow(t, tree)
	t.Run("leaves that exist at the start", func(t *testing.T) {
		waitForChange(t, received, change{"before", true})
	})
	kill := func(t *testing.T, l *Leaf) {
		t.Helper()
		if err := l.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("EV-01 the last process exits", func(t *testing.T) {
		startAndWait(t, before, helperCommand("hang"))
		kill(t, before)
		waitForChange(t, received, change{"before", false})
		startAndWait(t, before, helperCommand("hang"))
		waitForChange(t, received, change{"before", true})
	})
	t.Run("EV-01 in a leaf made later, removed and made again", func(t *testing.T) {
		for range 3 {
			l := makeTestLeaf(t, tree, "later")
			startAndWait(t, l, helperCommand("hang"))
			waitForChange(t, received, change{"later", true})
			kill(t, l)
			waitForChange(t, received, change{"later", false})
			waitUntil(t, "removed", func() bool { return tree.Remove("later") == nil })
			waitForChange(t, received, change{"later", false})
		}
	})
	t.Run("EV-02 probes are not reported", func(t *testing.T) {
		probe, err := tree.Probes("probed")
		if err != nil {
			t.Fatal(err)
		}
		startAndWait(t, probe, helperCommand("hang"))
		kill(t, probe)
		makeTestLeaf(t, tree, "mark") // reported after all earlier changes
		for {
			got := <-received
			if got.name == "probed" {
				t.Error("a probe was reported")
			}
			if got.name == "mark" {
				break
			}
		}
	})
	t.Run("again after it returned", func(t *testing.T) {
		stop()
		kill(t, before)
		again, _ := startFollow(t, tree)
		waitForChange(t, again, change{"before", false})
		startAndWait(t, before, helperCommand("hang"))
		waitForChange(t, again, change{"before", true})
	})
}

func TestFollowFolderRemoved(t *testing.T) {
	tree := openTree(t)
	received, _ := startFollow(t, tree)
	makeTestLeaf(t, tree, "a")
	waitForChange(t, received, change{"a", false})
	if err := tree.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Rmdir(tree.Dir()); err != nil {
		t.Fatal(err)
	}
	l := makeTestLeaf(t, tree, "b")
	startAndWait(t, l, helperCommand("hang"))
	waitForChange(t, received, change{"b", true})
	if err := l.Kill(); err != nil {
		t.Fatal(err)
	}
	waitForChange(t, received, change{"b", false})
}

// The queue overflows while Follow is busy. The lost changes are reported later.
func TestFollowOverflow(t *testing.T) {
	tree, queue := openTree(t), openQueue(t)
	idle, gone := makeTestLeaf(t, tree, "idle"), makeTestLeaf(t, tree, "gone")
	busy, release := make(chan change), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	received, done := make(chan change, 4096), make(chan error, 1)
	go func() {
		done <- tree.follow(ctx, queue, func(name string, populated bool) {
			if name == "block" {
				busy <- change{name, populated}
				<-release
			}
			received <- change{name, populated}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	waitForChange(t, received, change{"idle", false}) // and gone, before it
	makeTestLeaf(t, tree, "block")
	<-busy
	for len(received) > 0 {
		<-received
	}
	noise := t.TempDir()
	watch, err := queue.Add(noise, unix.IN_CREATE|unix.IN_DELETE)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(noise, "file")
	for range queueLength(t) {
		if err := errors.Join(os.Mkdir(file, 0o700), os.Remove(file)); err != nil {
			t.Fatal(err)
		}
	}
	queue.Drop(watch)
	startAndWait(t, idle, helperCommand("hang"))
	if err := tree.Remove(gone.name); err != nil {
		t.Fatal(err)
	}
	makeTestLeaf(t, tree, "new")
	close(release)
	want := map[change]bool{{"idle", true}: true, {"gone", false}: true, {"new", false}: true}
	for late := time.After(20 * time.Second); len(want) > 0; {
		select {
		case got := <-received:
			delete(want, got)
		case got := <-busy:
			t.Logf("reported again: %v", got)
		case <-late:
			t.Fatalf("not reported within 20 s: %v", want)
		}
	}
	if err := idle.Kill(); err != nil {
		t.Fatal(err)
	}
	waitForChange(t, received, change{"idle", false})
}

// queueLength returns the maximum number of events that the kernel queues.
func queueLength(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	return parsePIDs(string(b))[0]
}

func openQueue(t *testing.T) *inotify.Queue {
	t.Helper()
	queue, err := inotify.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = queue.Close() })
	return queue
}

func TestFollowClosed(t *testing.T) {
	tree := openTree(t)
	makeTestLeaf(t, tree, "a")
	queue := openQueue(t)
	err := tree.follow(context.Background(), queue, func(string, bool) { _ = queue.Close() })
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tree.Follow(ctx, func(string, bool) {}); err != nil {
		t.Errorf("after ctx ended: %v, want nil", err)
	}
}
