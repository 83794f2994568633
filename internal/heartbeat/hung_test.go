package heartbeat

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus/hooks/test"

	"pluginsupervisor/internal/bounded"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/testenv"
	"pluginsupervisor/plugin"
)

// EV-24: a version folder on a file system that does not answer delays neither
// the pull of the other plugins nor what is reported of their heartbeats.
func TestHungFileSystem(t *testing.T) {
	root := t.TempDir()
	var ps []plugin.Plugin
	for _, name := range []string{"hung", "fine"} {
		p := plugin.Plugin{Name: name, Version: "1", HeartbeatInterval: time.Minute}
		ps = append(ps, p)
		if err := os.MkdirAll(layout.Version(root, name, "1"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	thaw := testenv.MountHung(t, layout.Version(root, "hung", "1"))
	path := layout.Version(root, "fine", "1") + "/heartbeat"
	if err := os.WriteFile(path, []byte(strconv.FormatInt(time.Now().Unix(), 10)), 0o600); err != nil {
		t.Fatal(err)
	}

	reader := New(root)
	for range 2 {
		began := time.Now()
		beats := reader.Read(t.Context(), ps, time.Now())
		if !errors.Is(beats[0].Err, bounded.ErrHung) || !beats[1].Found || beats[1].Err != nil {
			t.Errorf("heartbeats %+v, want a hung one and a found one", beats)
		}
		if took := time.Since(began); took > 10*answerLimit {
			t.Errorf("took %v, want at most %v", took, 10*answerLimit)
		}
	}

	log, _ := test.NewNullLogger()
	w := NewWatcher(New(root), log)
	w.Watch(ps)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	followed, received := make(chan error, 1), make(chan plugin.HeartbeatEvent, 10)
	go func() {
		followed <- w.Follow(ctx, func(p plugin.HeartbeatEvent) {
			if p.Heartbeat.Plugin.Name == "fine" {
				received <- p
			}
		})
	}()
	defer func() {
		cancel()
		if err := <-followed; err != nil {
			t.Error(err)
		}
		thaw()
	}()
	select {
	case p := <-received:
		if p.Lost || p.Heartbeat.Err != nil {
			t.Errorf("heartbeat event %+v", p)
		}
	case <-ctx.Done():
		t.Error("the heartbeat of the other plugin was not reported")
	}
}

// EV-24: a file that the host could not read is read again without an event.
func TestHostCannotReadFile(t *testing.T) {
	s := newScenario()
	s.beat()
	s.pass(5 * time.Second)
	readable := s.file
	s.file = reading{found: true, err: syscall.EMFILE}
	s.event()
	s.pass(10 * time.Second)
	s.file = readable
	s.pass(time.Hour)
	if diff := cmp.Diff([]string{"0s beat", "6.06s error", "1m6.06s lost"}, s.reported); diff != "" {
		t.Error("want (-), reported (+):\n", diff)
	}
	for err, host := range map[error]bool{syscall.EMFILE: true, bounded.ErrHung: true, syscall.EACCES: false, errors.New("no number"): false} {
		if got := (reading{found: true, err: err}).heartbeatAt(plugin.Plugin{}, time.Now()); got.HostFault != host {
			t.Errorf("%v: HostFault %v, want %v", err, got.HostFault, host)
		}
	}
}
