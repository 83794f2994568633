package install_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/testenv"
)

// handOverSample stages the sample as a command does, hands it over, removes the
// source, and returns the request of the receiver.
func handOverSample(t *testing.T, root string) (*install.Staged, install.Request) {
	t.Helper()
	source := writePackage(t, sample().zip(t))
	s, err := newInstaller(t, root, nil).Stage(t.Context(), install.Request{Source: source, HandOver: true})
	if err != nil {
		t.Fatal(err)
	}
	name, err := s.HandOver()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	return s, install.Request{Source: source, Name: "agent", Version: "1.0", Staged: name}
}

// UP-11: the receiver uses a folder that was handed over, also without its source,
// as an ordinary staging folder.
func TestHandOver(t *testing.T) {
	root := newRoot(t)
	s, r := handOverSample(t, root)
	receiver := newInstaller(t, root, nil)
	left := make(chan error)
	go func() { left <- s.Leave() }() // the sender holds the lock a little longer
	received, err := receiver.Stage(t.Context(), r)
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(); err != nil {
		t.Error(err)
	}
	if n, err := receiver.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v, want 0", n, err)
	}
	if _, err := received.Place(install.Replace); err != nil {
		t.Fatal(err)
	}
	if err := received.Discard(); err != nil {
		t.Fatal(err)
	}
	checkWholeVersion(t, root)
	if _, err := receiver.Stage(t.Context(), r); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("staged a second time: %v, want not found", err)
	}
}

// UP-11: the receiver trusts nothing in a folder that was handed over: it compares
// it with the request, and verifies and checks it by its own rules.
func TestHandOverIsVerified(t *testing.T) {
	other := sample().withFile("more", "x").zip(t)
	for name, tt := range map[string]struct {
		change  func(t *testing.T, folder string, r *install.Request)
		config  func(*install.Config)
		message string
	}{
		"changed": {func(t *testing.T, folder string, _ *install.Request) {
			if err := os.WriteFile(filepath.Join(folder, "package.zip"), other, 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, "was changed"},
		"another plugin":  {func(_ *testing.T, _ string, r *install.Request) { r.Name = "other" }, nil, "requested was other 1.0"},
		"another version": {func(_ *testing.T, _ string, r *install.Request) { r.Version = "2.0" }, nil, "requested was agent 2.0"},
		"outside":         {func(_ *testing.T, _ string, r *install.Request) { r.Staged = "../../plugin" }, nil, "not the name"},
		"not there":       {func(_ *testing.T, _ string, r *install.Request) { r.Staged = "123" }, nil, "no such file"},
		"a download":      {func(_ *testing.T, _ string, r *install.Request) { r.Staged = "partial-1" }, nil, "not the name"},
		"a link": {func(t *testing.T, folder string, r *install.Request) {
			r.Staged = "link"
			if err := os.Symlink(folder, filepath.Join(filepath.Dir(folder), "link")); err != nil {
				t.Fatal(err)
			}
		}, nil, "not a directory"},
		"a link in it": {func(t *testing.T, folder string, _ *install.Request) {
			moved := filepath.Join(t.TempDir(), "p.zip")
			if err := os.Rename(filepath.Join(folder, "package.zip"), moved); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(moved, filepath.Join(folder, "package.zip")); err != nil {
				t.Fatal(err)
			}
		}, nil, "too many levels"},
		"a pipe in it": {func(t *testing.T, folder string, _ *install.Request) {
			path := filepath.Join(folder, "package.zip")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, "not a regular file"},
		"not ready": {func(t *testing.T, folder string, _ *install.Request) {
			if err := os.Remove(filepath.Join(folder, "handover.json")); err != nil {
				t.Fatal(err)
			}
		}, nil, "handover.json"},
		"others may write": {func(t *testing.T, folder string, _ *install.Request) {
			if err := os.Chmod(folder, 0o777); err != nil {
				t.Fatal(err)
			}
		}, nil, "writable by other users"},
		"receiver requires a SHA-256": {nil, func(c *install.Config) { c.RequireSHA256 = true }, "no SHA-256"},
		"too large for the receiver":  {nil, func(c *install.Config) { c.Fetch.MaxSize = 10 }, "at most 10 allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			s, r := handOverSample(t, root)
			folder := filepath.Join(root, "supervisor", "staging", r.Staged)
			if tt.change != nil {
				tt.change(t, folder, &r)
			}
			if err := s.Leave(); err != nil {
				t.Fatal(err)
			}
			if _, err := newInstaller(t, root, tt.config).Stage(t.Context(), r); err == nil || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("staged: %v, want %q", err, tt.message)
			}
		})
	}
}

// UP-11: a folder of another user is not used.
func TestHandOverOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.SkipWithout(t, testenv.Root, "only root gives a file to another user")
	}
	root := newRoot(t)
	s, r := handOverSample(t, root)
	if err := os.Chown(filepath.Join(root, "supervisor", "staging", r.Staged), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := s.Leave(); err != nil {
		t.Fatal(err)
	}
	if _, err := newInstaller(t, root, nil).Stage(t.Context(), r); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("staged: %v, want an error about another user", err)
	}
}

// UP-11: if the folder that was handed over cannot be used, the source is.
func TestHandOverFallsBack(t *testing.T) {
	root := newRoot(t)
	r := install.Request{Source: writePackage(t, sample().zip(t)), Name: "agent", Version: "1.0", Staged: "123"}
	s, err := newInstaller(t, root, nil).Stage(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(); err != nil {
		t.Fatal(err)
	}
	checkUntouched(t, root)
}

// UP-11: Sweep keeps a folder that was handed over for a day.
func TestSweepKeepsHandedOverFor24Hours(t *testing.T) {
	root := newRoot(t)
	s, _ := handOverSample(t, root)
	now := time.Now()
	i := newInstaller(t, root, func(c *install.Config) { c.Now = func() time.Time { return now } })
	if err := s.Leave(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1} {
		if n, err := i.Sweep(t.Context()); n != want || err != nil {
			t.Errorf("swept %d, %v, want %d", n, err, want)
		}
		now = now.Add(25 * time.Hour)
	}
	checkUntouched(t, root)
}
