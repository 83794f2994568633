package pluginkit

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A call of --daemon by hand does not touch the pid file of the running daemon.
func TestDaemonByHandChangesNothing(t *testing.T) {
	s := newSample(t, "good")
	s.want("--start", 0)
	first := s.pid()
	s.want("--daemon", 1)
	if s.pid() != first {
		t.Errorf("the pid file names %d, was %d", s.pid(), first)
	}
}

func TestDaemonInheritsNothing(t *testing.T) {
	wantNothingInherited(t, newSample(t, "good"))
}

func TestReadDuration(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		want    time.Duration
		fails   bool
	}{
		"a duration":  {"1m30s\n", 90 * time.Second, false},
		"empty":       {"", 0, true},
		"not a unit":  {"3", 0, true},
		"not a value": {"soon", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Daemon{Dir: t.TempDir()}
			if err := os.WriteFile(filepath.Join(d.Dir, "pause"), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := d.ReadDuration("pause", time.Hour); got != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	d := &Daemon{Dir: t.TempDir()}
	if got, err := d.ReadDuration("pause", time.Hour); got != time.Hour || err != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
}
