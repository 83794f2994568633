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

// told is one call of changed.
type told struct {
	name      string
	populated bool
}

// follow runs Follow until the test or stop ends it.
func follow(t testing.TB, tree *Tree) (heard chan told, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	heard = make(chan told, 4096)
	done := make(chan error, 1)
	go func() { done <- tree.Follow(ctx, func(name string, populated bool) { heard <- told{name, populated} }) }()
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
	return heard, stop
}

// hear waits until that is told.
func hear(t testing.TB, heard chan told, want told) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case got := <-heard:
			if got == want {
				return
			}
		case <-late:
			t.Fatalf("never told %v", want)
		}
	}
}

func TestFollow(t *testing.T) {
	tree := openTree(t)
	before := leafOf(t, tree, "before")
	launch(t, before, helper("hang"))
	heard, stop := follow(t, tree)
	t.Run("what is there at first", func(t *testing.T) {
		hear(t, heard, told{"before", true})
	})
	kill := func(t *testing.T, l *Leaf) {
		t.Helper()
		if err := l.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("EV-01 the last process ends", func(t *testing.T) {
		launch(t, before, helper("hang"))
		kill(t, before)
		hear(t, heard, told{"before", false})
		launch(t, before, helper("hang"))
		hear(t, heard, told{"before", true})
	})
	t.Run("EV-01 in a leaf made later, removed and made anew", func(t *testing.T) {
		for range 3 {
			l := leafOf(t, tree, "later")
			launch(t, l, helper("hang"))
			hear(t, heard, told{"later", true})
			kill(t, l)
			hear(t, heard, told{"later", false})
			eventually(t, "removed", func() bool { return tree.Remove("later") == nil })
			hear(t, heard, told{"later", false})
		}
	})
	t.Run("EV-02 probes are not told of", func(t *testing.T) {
		probe, err := tree.Probes("probed")
		if err != nil {
			t.Fatal(err)
		}
		launch(t, probe, helper("hang"))
		kill(t, probe)
		leafOf(t, tree, "mark") // and all that came before it
		for {
			got := <-heard
			if got.name == "probed" {
				t.Error("told of a probe")
			}
			if got.name == "mark" {
				break
			}
		}
	})
	t.Run("anew after its end", func(t *testing.T) {
		stop()
		kill(t, before)
		again, _ := follow(t, tree)
		hear(t, again, told{"before", false})
		launch(t, before, helper("hang"))
		hear(t, again, told{"before", true})
	})
}

func TestFollowFolderRemoved(t *testing.T) {
	tree := openTree(t)
	heard, _ := follow(t, tree)
	leafOf(t, tree, "a")
	hear(t, heard, told{"a", false})
	if err := tree.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Rmdir(tree.Dir()); err != nil {
		t.Fatal(err)
	}
	l := leafOf(t, tree, "b")
	launch(t, l, helper("hang"))
	hear(t, heard, told{"b", true})
	if err := l.Kill(); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, told{"b", false})
}

// The queue is made to overflow while the follower is busy, and with it what
// it would have been told.
func TestFollowOverflow(t *testing.T) {
	tree, queue := openTree(t), openQueue(t)
	idle, gone := leafOf(t, tree, "idle"), leafOf(t, tree, "gone")
	busy, release := make(chan told), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	heard, done := make(chan told, 4096), make(chan error, 1)
	go func() {
		done <- tree.follow(ctx, queue, func(name string, populated bool) {
			if name == "block" {
				busy <- told{name, populated}
				<-release
			}
			heard <- told{name, populated}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	hear(t, heard, told{"idle", false}) // and gone, before it
	leafOf(t, tree, "block")
	<-busy
	for len(heard) > 0 {
		<-heard
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
	launch(t, idle, helper("hang"))
	if err := tree.Remove(gone.name); err != nil {
		t.Fatal(err)
	}
	leafOf(t, tree, "new")
	close(release)
	want := map[told]bool{{"idle", true}: true, {"gone", false}: true, {"new", false}: true}
	for late := time.After(20 * time.Second); len(want) > 0; {
		select {
		case got := <-heard:
			delete(want, got)
		case got := <-busy:
			t.Logf("told again of %v", got)
		case <-late:
			t.Fatalf("never told %v", want)
		}
	}
	if err := idle.Kill(); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, told{"idle", false})
}

// queueLength is how many events the kernel keeps at most.
func queueLength(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	return pids(string(b))[0]
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
	leafOf(t, tree, "a")
	queue := openQueue(t)
	err := tree.follow(context.Background(), queue, func(string, bool) { _ = queue.Close() })
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tree.Follow(ctx, func(string, bool) {}); err != nil {
		t.Errorf("after ctx ended: %v", err)
	}
}
