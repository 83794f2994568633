package heartbeat

import (
	"testing"
	"time"
)

func TestBeatClockSet(t *testing.T) {
	checkReported(t, []reportCase{
		// The wall clock is set after the beat arrived: no deadline moves.
		{"EV-06 set forward, the plugin beats on", func(s *scenario) {
			s.beat()
			s.setClock(3 * hour)
			s.pass(14 * time.Second)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "14s beat", "29.7s lost"}},
		{"EV-06 set back, the plugin beats on", func(s *scenario) {
			s.beat()
			s.setClock(-3 * hour)
			s.pass(14 * time.Second)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "14s beat", "29.7s lost"}},
		{"EV-06 set forward, the plugin hangs", func(s *scenario) { s.beat(); s.setClock(3 * hour); s.pass(hour) }, []string{"0s beat", "15.7s lost"}},
		{"EV-06 set back, the plugin hangs", func(s *scenario) { s.beat(); s.setClock(-3 * hour); s.pass(hour) }, []string{"0s beat", "15.7s lost"}},
		{"EV-06 set back by 2 s, the plugin hangs", func(s *scenario) { s.beat(); s.setClock(-2 * time.Second); s.pass(hour) }, []string{"0s beat", "15.7s lost"}},
		{"EV-06 set forward and back again, the plugin hangs", func(s *scenario) {
			s.beat()
			s.setClock(3 * hour)
			s.pass(5 * time.Second)
			s.setClock(-3 * hour)
			s.pass(hour)
		}, []string{"0s beat", "15.7s lost"}},
		{"EV-06 set forward, the last date is repeated", func(s *scenario) {
			s.beat()
			s.setClock(3 * hour)
			s.pass(5 * time.Second)
			s.repeat()
			s.pass(hour)
		}, []string{"0s beat", "15.7s lost"}},
		{"EV-06 set back by an interval: the same date is a new beat", func(s *scenario) {
			s.beat()
			s.pass(10 * time.Second)
			s.setClock(-10*time.Second + time.Millisecond)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "25.699s lost"}},
		{"EV-06 set back after it was lost: the file alone is no beat", func(s *scenario) {
			s.beat()
			s.pass(20 * time.Second)
			s.setClock(-20 * time.Second)
			s.d.nextWatch = s.now.mono
			s.pass(hour)
		}, []string{"0s beat", "15.7s lost"}},
		{"EV-06 set back after it was lost: the date is passed again", func(s *scenario) {
			s.beat()
			s.pass(20 * time.Second)
			s.setClock(-hour)
			for range 70 {
				s.pass(time.Minute)
				s.d.nextWatch = s.now.mono
			}
		}, []string{"0s beat", "15.7s lost"}},
	})
}

func TestBeatClockCorrected(t *testing.T) {
	checkReported(t, []reportCase{
		// The wall clock was wrong when beats were written, and was corrected
		// between two beats, or between a beat and the read of the file. Then the
		// age is that of the arrival, and counts from the read.
		{"EV-06 an hour behind, then corrected", func(s *scenario) {
			s.setClock(-hour)
			for range 3 {
				s.beat()
				s.pass(10 * time.Second)
			}
			s.setClock(hour)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "10s beat", "20s beat", "30s beat", "45.7s lost"}},
		{"EV-06 an hour ahead, then corrected", func(s *scenario) {
			s.setClock(hour)
			for range 3 {
				s.beat()
				s.pass(10 * time.Second)
			}
			s.setClock(-hour)
			s.beat()
			s.pass(hour)
		}, []string{"0s beat", "10s beat", "20s beat", "30s beat", "45.7s lost"}},
		{"EV-06 set forward before the event is handled", func(s *scenario) {
			s.beat()
			s.pass(10 * time.Second)
			s.write(0)
			s.pass(3 * time.Second)
			s.setClock(3 * hour)
			s.pass(2 * time.Second)
			s.event()
			s.pass(hour)
		}, []string{"0s beat", "15s beat", "30.7s lost"}},
		{"EV-06 set back before the event is handled", func(s *scenario) {
			s.beat()
			s.pass(10 * time.Second)
			s.write(0)
			s.pass(3 * time.Second)
			s.setClock(-3 * hour)
			s.pass(2 * time.Second)
			s.event()
			s.pass(hour)
		}, []string{"0s beat", "15s beat", "30.7s lost"}},
		{"EV-06 set forward, and the deadline passes before the event is handled", func(s *scenario) {
			s.beat()
			s.pass(15 * time.Second)
			s.write(0)
			s.setClock(3 * hour)
			s.pass(5 * time.Second)
			s.event()
			s.pass(hour)
		}, []string{"0s beat", "15.7s beat", "31.4s lost"}},
		{"EV-06 set forward, an old date arrives all the same (PL-08)", func(s *scenario) {
			s.beat()
			s.pass(10 * time.Second)
			s.setClock(3 * hour)
			s.beatOf(20 * time.Second)
			s.pass(hour)
		}, []string{"0s beat", "10s lost"}},
	})
}
