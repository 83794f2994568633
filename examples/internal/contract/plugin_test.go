package contract

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary the plugin as well: with CONTRACT_PLUGIN set
// it answers verbs, as the kind of plugin it names.
func TestMain(m *testing.M) {
	if kind := os.Getenv("CONTRACT_PLUGIN"); kind != "" {
		Main(plugins[kind])
	}
	os.Exit(m.Run())
}

var plugins = map[string]Plugin{
	"good": {Daemon: func(ctx context.Context, d *Daemon) error {
		trace := filepath.Join(d.Dir, "ran."+strconv.Itoa(os.Getpid()))
		if err := errors.Join(os.WriteFile(trace, nil, 0o600), d.Beat(), d.Ready()); err != nil {
			return err
		}
		return d.BeatUntil(ctx)
	}},
	"deaf": {Daemon: func(_ context.Context, d *Daemon) error {
		signal.Ignore(syscall.SIGTERM)
		if err := d.Ready(); err != nil {
			return err
		}
		select {}
	}},
	"stillborn": {Daemon: func(context.Context, *Daemon) error { return errors.New("no config") }},
	"slow": {Daemon: func(ctx context.Context, d *Daemon) error { // up when the file "go" is there
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(d.Dir, "go")); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := d.Ready(); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}},
	"once": {Once: func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "done"), nil, 0o600)
	}},
}

// sample is one version folder of one plugin under test.
type sample struct {
	t    *testing.T
	kind string
	dir  string
	env  []string
}

func newSample(t *testing.T, kind string) *sample {
	t.Helper()
	s := &sample{t: t, kind: kind, dir: t.TempDir()}
	t.Cleanup(func() {
		if id, alive := recorded(s.dir); alive {
			_ = syscall.Kill(id.pid, syscall.SIGKILL)
			id.gone(context.Background(), 10*time.Second)
		}
	})
	return s
}

func (s *sample) command(verb string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], verb)
	cmd.Env = append(os.Environ(), "CONTRACT_PLUGIN="+s.kind, "PLUGIN_DIR="+s.dir,
		"GORACE=atexit_sleep_ms=0") // or each verb takes a second more under -race
	cmd.Env = append(cmd.Env, s.env...)
	return cmd
}

// run is one verb's exit code and what it printed, through a pipe.
func (s *sample) run(verb string) (code int, output string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := s.command(verb)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run() // returns only when nobody holds the pipe any more
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("run %s: %v", verb, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (s *sample) want(verb string, code int) {
	s.t.Helper()
	if got, output := s.run(verb); got != code {
		s.t.Fatalf("%s: exit %d, want %d; it printed %q", verb, got, code, output)
	}
}

func (s *sample) pid() int {
	s.t.Helper()
	id, alive := recorded(s.dir)
	if !alive {
		s.t.Fatalf("no daemon runs")
	}
	return id.pid
}

// eventually waits for a condition, for longer than any machine is slow.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came true that %s", what)
		}
	}
}
