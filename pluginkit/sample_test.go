package pluginkit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary the plugin as well: with PLUGINKIT_SAMPLE set
// it runs the verb of the plugin that the variable names.
func TestMain(m *testing.M) {
	if kind := os.Getenv("PLUGINKIT_SAMPLE"); kind != "" {
		Main(plugins[kind])
	}
	os.Exit(m.Run())
}

var plugins = map[string]Plugin{
	"good": {Daemon: func(ctx context.Context, d *Daemon) error {
		trace := filepath.Join(d.Dir, "ran."+strconv.Itoa(os.Getpid()))
		if err := errors.Join(os.WriteFile(trace, nil, 0o600), d.WriteHeartbeat(), d.ReportReady()); err != nil {
			return err
		}
		return d.RunHeartbeat(ctx)
	}},
	"deaf": {Daemon: func(_ context.Context, d *Daemon) error {
		signal.Ignore(syscall.SIGTERM)
		if err := d.ReportReady(); err != nil {
			return err
		}
		select {}
	}},
	"stillborn": {Daemon: func(context.Context, *Daemon) error { return errors.New("no config") }},
	"slow": {Daemon: func(ctx context.Context, d *Daemon) error { // ready when the file "go" exists
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(d.Dir, "go")); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := d.ReportReady(); err != nil {
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
	t       testing.TB
	program string
	dir     string
	env     []string
}

// newSample returns a plugin written in Go, one of plugins.
func newSample(t *testing.T, kind string) *sample {
	t.Helper()
	return newSampleOf(t, os.Args[0], t.TempDir(), "PLUGINKIT_SAMPLE="+kind,
		"GORACE=atexit_sleep_ms=0") // or each verb takes a second more under -race
}

// newSampleOf returns a plugin whose daemon is killed when the test ends.
func newSampleOf(t testing.TB, program, dir string, env ...string) *sample {
	s := &sample{t: t, program: program, dir: dir, env: append(env, "PLUGIN_DIR="+dir)}
	t.Cleanup(func() {
		if id, alive := readDaemon(s.dir); alive {
			_ = syscall.Kill(id.pid, syscall.SIGKILL)
			id.waitExit(context.Background(), 10*time.Second)
		}
	})
	return s
}

func (s *sample) command(verb string) *exec.Cmd {
	cmd := exec.Command(s.program, verb)
	cmd.Env = append(os.Environ(), s.env...)
	return cmd
}

// run runs a verb and returns its exit code and its output, read from a pipe.
func (s *sample) run(verb string) (code int, output string) {
	s.t.Helper()
	var out bytes.Buffer
	cmd := s.command(verb)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run() // returns when no process has the pipe any more
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
	id, alive := readDaemon(s.dir)
	if !alive {
		s.t.Fatalf("no daemon runs")
	}
	return id.pid
}

// wantNothingInherited starts the plugin with an open pipe as its files 3 to 5 and
// checks that no process has it afterwards.
func wantNothingInherited(t *testing.T, s *sample) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := s.command("--start")
	cmd.ExtraFiles = []*os.File{w, w, w} // 3 to 5
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("--start: %v: %s", err, out)
	}
	_ = w.Close()
	if err := r.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the daemon has a file of its starter's caller: %v", err)
	}
}

// eventually waits for a condition, longer than the slowest machine needs.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never true: %s", what)
		}
	}
}
