package actors

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

// A problem that other parts of the process report is in status as long as it lasts,
// and in the journal once (AP-07: a log file whose size cannot be limited).
func TestNoteProblem(t *testing.T) {
	w := actorstest.NewWorld()
	inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
		var journal []string
		go func() {
			_ = s.Follow(t.Context(), func(e plugin.Entry) { journal = append(journal, e.Cause+"|"+e.Decision) })
		}()
		actorstest.Advance(time.Second)
		for range 3 {
			s.NoteProblem("log of a", errors.New("is a folder"))
			actorstest.Advance(time.Second)
		}
		if got := status(t, s).Problems; len(got) != 1 || got[0].What != "log of a" || got[0].Why != "is a folder" {
			t.Errorf("problems: %+v; want 1 entry, what \"log of a\", why \"is a folder\"", got)
		}
		for range 2 {
			s.NoteProblem("log of a", nil)
		}
		s.NoteHostEvent("1 socket", "removed")
		actorstest.Advance(time.Second)
		if got := status(t, s).Problems; len(got) != 0 {
			t.Errorf("problems after they are over: %+v, want none", got)
		}
		want := []string{"log of a failed: is a folder|retrying", "log of a recovered|", "1 socket|removed"}
		for _, entry := range want {
			n := 0
			for _, e := range journal {
				if e == entry {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%q is in the journal %d times: %q, want 1", entry, n, journal)
			}
		}
	})
}
