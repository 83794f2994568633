package actors

import (
	"errors"
	"testing"
	"time"

	"pluginsupervisor/actors/actorstest"
	"pluginsupervisor/plugin"
)

var errAway = errors.New("connection refused")

// failing returns an OnReport that fails for the first n reports.
func failing(n int, err error) func(int) (plugin.Answer, error) {
	return func(i int) (plugin.Answer, error) {
		if i <= n {
			return plugin.Answer{}, err
		}
		return plugin.Answer{}, nil
	}
}

func TestReportRetries(t *testing.T) {
	t.Run("SC-17 first after about 2 s, longer each time, at most 5 min apart, until delivered", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = failing(12, errAway)
		cfg := testConfig()
		cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*time.Hour, 10*time.Hour
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(3 * time.Hour)
			got := w.TakeReports()
			if len(got) != 13 {
				t.Fatalf("%d tries, want 13", len(got))
			}
			want := 2 * time.Second
			for i := 1; i < len(got); i++ {
				gap := got[i].At - got[i-1].At
				if gap < want*7/10 || gap > min(want*13/10, 5*time.Minute) {
					t.Errorf("try %d came %v after the one before, want about %v", i+1, gap, want)
				}
				want = min(2*want, 5*time.Minute)
			}
			if r := status(t, s).Reports; r.Pending != 0 || r.LastError != "" {
				t.Errorf("after the delivery: %+v; want pending 0, no last error", r)
			}
		})
	})
	t.Run("SC-17 Retry-After is honoured, up to an hour, by newer reports too", func(t *testing.T) {
		for _, test := range []struct{ retryAfter, want time.Duration }{{10 * time.Minute, 10 * time.Minute}, {5 * time.Hour, time.Hour}} {
			w := actorstest.NewWorld(actorstest.Persist(1, "a"))
			w.OnReport = failing(1, &plugin.HTTPError{Code: 503, RetryAfter: test.retryAfter})
			cfg := testConfig()
			cfg.Intervals.Scan = 7 * time.Minute
			inBubble(t, w, cfg, func(t *testing.T, s *System) {
				actorstest.Advance(test.want + 2*time.Minute)
				got := w.TakeReports()
				if len(got) != 2 || got[1].At-got[0].At < test.want || got[1].At-got[0].At > test.want+time.Second {
					t.Errorf("Retry-After %v: reports %v; want the second at least %v and at most %v after the first", test.retryAfter, got, test.want, test.want+time.Second)
				}
			})
		}
	})
	t.Run("SC-17 a new report contains everything that is pending, with the newest status", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Once(2, "o"))
		w.OnReport = failing(3, errAway)
		cfg := testConfig()
		cfg.Restart.OnHang = false
		inBubble(t, w, cfg, func(t *testing.T, s *System) {
			actorstest.Advance(61 * time.Second) // the scan's report fails at 60 s, and is repeated at about 62 s
			w.Set(func() { w.LastHeartbeat["a"] = actorstest.Epoch })
			actorstest.Advance(4 * time.Minute) // a pull finds it failed
			got := w.TakeReports()
			if got[0].String() != "o=installed a=running" {
				t.Errorf("first report %q, want \"o=installed a=running\"", got[0].String())
			}
			if last := got[len(got)-1].String(); last != "a=failed" && last != "o=installed a=failed" {
				t.Errorf("last report %q, want a=failed", last)
			}
		})
	})
}

func TestReportPending(t *testing.T) {
	t.Run("SC-18 a pending report is shown, saved, and delivered by the next process", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = failing(1000, errAway)
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			if r := status(t, s).Reports; r.Pending != 1 || r.LastError == "" || r.NextTry.IsZero() || r.PendingSince.IsZero() {
				t.Errorf("status %+v; want pending 1, last error, a next try, a pending since", r)
			}
			if !view(t, s, "a").Pending {
				t.Error("the plugin is not shown as pending, want pending")
			}
		})
		if o := w.Saved.Pending["a"]; o.Status != plugin.StatusRunning {
			t.Fatalf("saved %+v, want status running", w.Saved.Pending)
		}
		w.Plugins, w.Reports, w.OnReport = nil, nil, nil // also when the plugin is removed by then
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(pendingSpread)
			wantReports(t, w.TakeReports(), "a=running")
			if len(w.Saved.Pending) != 0 {
				t.Errorf("saved as pending after the delivery: %v, want none", w.Saved.Pending)
			}
		})
	})
	t.Run("SC-26 status shows why an event is pending, until it is delivered", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.Saved.Events[1] = plugin.Event{ID: plugin.EventUpdate, At: actorstest.Epoch}
		w.OnEvent = func(n int) error {
			if n <= 2 {
				return errAway
			}
			return nil
		}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(time.Second)
			if r := status(t, s).Reports; r.Events != 1 || r.LastError != errAway.Error() {
				t.Errorf("reports %+v; want events 1, last error %v", r, errAway.Error())
			}
			actorstest.Advance(30 * time.Second)
			if r := status(t, s).Reports; r.Events != 0 || r.LastError != "" {
				t.Errorf("reports %+v; want events 0, no last error", r)
			}
		})
	})
}

func TestReportAnswers(t *testing.T) {
	t.Run("SC-19 a report counts as delivered although the answer cannot be parsed", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = func(int) (plugin.Answer, error) { return plugin.Answer{ParseErr: errors.New("not JSON")}, nil }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(5 * time.Minute)
			wantReports(t, w.TakeReports(), "a=running")
			got := status(t, s)
			if got.Reports.Pending != 0 || got.Timers[0].Interval != 15*time.Minute || got.Reports.Lazy {
				t.Errorf("status %+v; want pending 0, interval %v, not lazy", got, 15*time.Minute)
			}
			if due := got.Timers[0].Due; !due.Equal(actorstest.Epoch.Add(16 * time.Minute)) {
				t.Errorf("due %v, want due %v", due, actorstest.Epoch.Add(16*time.Minute))
			}
		})
	})
	t.Run("SC-20 which refused reports are sent again", func(t *testing.T) {
		for code, again := range map[int]bool{301: true, 400: false, 401: false, 403: false, 404: false, 408: true, 425: true, 429: true, 500: true, 503: true} {
			w := actorstest.NewWorld(actorstest.Persist(1, "a"))
			w.OnReport = failing(1, &plugin.HTTPError{Code: code})
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				actorstest.Advance(5 * time.Minute)
				if n := len(w.TakeReports()); (n > 1) != again {
					t.Errorf("status %d: %d tries; want more than one: %v", code, n, again)
				}
				if r := status(t, s).Reports; !again && r.Pending != 1 {
					t.Errorf("status %d: %d pending, want 1", code, r.Pending)
				}
				actorstest.Advance(15 * time.Minute) // the next report contains it
				if r := status(t, s).Reports; r.Pending != 0 {
					t.Errorf("status %d: still pending, want that it is delivered", code)
				}
			})
		}
	})
	t.Run("SC-20 a refused report is sent again with the next scan, also one without news", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.Running["a"], w.StartWorks = false, func(string) bool { return true }
		w.OnReport = failing(1, &plugin.HTTPError{Code: 403})
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			w.Set(func() { w.Statuses = map[string]plugin.Status{"a": plugin.StatusRemoved} })
			w.TakeReports()
			actorstest.Advance(15 * time.Minute)
			wantReports(t, w.TakeReports(), "a=running")
		})
	})
}

func TestAnswers(t *testing.T) {
	t.Run("SC-23 the report mode", func(t *testing.T) {
		var mode plugin.ReportMode
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = func(int) (plugin.Answer, error) { m := mode; return plugin.Answer{ReportMode: &m}, nil }
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			for _, step := range []struct {
				mode plugin.ReportMode
				lazy bool
			}{{0, false}, {1, true}, {7, true}, {-1, true}, {0, false}} {
				w.Set(func() { mode = step.mode })
				actorstest.Advance(15 * time.Minute)
				if got := status(t, s).Reports.Lazy; got != step.lazy {
					t.Errorf("after mode %d lazy is %v, want %v", step.mode, got, step.lazy)
				}
			}
		})
	})
	t.Run("SC-24 an unknown code is a warning, the rest of the answer is used", func(t *testing.T) {
		w := actorstest.NewWorld(actorstest.Persist(1, "a"))
		w.OnReport = func(int) (plugin.Answer, error) {
			return plugin.Answer{Code: 7, ScanInterval: time.Minute}, nil
		}
		inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
			actorstest.Advance(2 * time.Minute)
			if got := status(t, s).Timers[0].Interval; got != time.Minute {
				t.Errorf("scan interval %v, want %v", got, time.Minute)
			}
		})
	})
	t.Run("SC-25 a restarted plugin is reported again, if scan and pull come later", func(t *testing.T) {
		for refresh, want := range map[time.Duration]int{0: 1, 30 * time.Second: 2, 10 * time.Minute: 1} {
			w := actorstest.NewWorld(actorstest.Persist(1, "a"))
			w.Running["a"] = false
			w.OnReport = func(int) (plugin.Answer, error) { return plugin.Answer{RefreshInterval: refresh}, nil }
			inBubble(t, w, testConfig(), func(t *testing.T, s *System) {
				actorstest.Advance(14 * time.Minute)
				got := w.TakeReports()
				if len(got) != want {
					t.Fatalf("refresh %v: %d reports %v, want %d", refresh, len(got), actorstest.ReportTexts(got), want)
				}
				if want == 2 && got[1].At-got[0].At != refresh {
					t.Errorf("refresh %v: reported again after %v, want after the refresh", refresh, got[1].At-got[0].At)
				}
			})
		}
	})
}

// A newer report waits until the one under way is answered.
func TestReportsDoNotOvertake(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"), actorstest.Persist(2, "b"))
	w.Running["b"] = false
	w.VerbTime["b"] = time.Second
	w.Latency = 10 * time.Second
	cfg := testConfig()
	cfg.FirstRun.Pull = 10 * time.Hour
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		actorstest.Advance(2 * time.Minute)
		got := w.TakeReports()
		wantReports(t, got, "a=running", "a=running b=running")
		if got[1].At-got[0].At != w.Latency {
			t.Errorf("the second was sent %v after the first, want %v", got[1].At-got[0].At, w.Latency)
		}
	})
}

// CL-20: what a command could not deliver is delivered, once it is saved.
func TestEnqueueReport(t *testing.T) {
	w := actorstest.NewWorld(actorstest.Persist(1, "a"))
	cfg := testConfig()
	cfg.Intervals.Scan, cfg.FirstRun.Pull = 10*time.Hour, 10*time.Hour
	inBubble(t, w, cfg, func(t *testing.T, s *System) {
		actorstest.Advance(10 * time.Minute)
		w.TakeReports()
		late := plugin.LateReport{At: time.Now(), ReportEntry: plugin.ReportEntry{Name: "gone", Version: "1.0", Status: plugin.StatusRemoved, SysTag: plugin.SysTagRemove}}
		if err := s.EnqueueReport(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		old := plugin.LateReport{At: time.Now().Add(-time.Hour), ReportEntry: plugin.ReportEntry{Name: "a", Version: "1.0", Status: plugin.StatusFailed}}
		if err := s.EnqueueReport(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		actorstest.Advance(time.Minute)
		var got []plugin.ReportEntry
		for _, r := range w.TakeReports() {
			got = append(got, r.Entries...)
		}
		if len(got) != 1 || got[0] != late.ReportEntry {
			t.Errorf("reported %+v; want 1 entry, got[0] = %v", got, late.ReportEntry)
		}
	})
}
