package logfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain runs the tests, or with LOGFILE_TEST_RATE prints numbered lines at that
// rate, in bytes a second.
func TestMain(m *testing.M) {
	rate, err := strconv.Atoi(os.Getenv("LOGFILE_TEST_RATE"))
	if err != nil {
		os.Exit(m.Run())
	}
	for begin, sent, n := time.Now(), 0, 1; ; {
		var b []byte
		for len(b) < rate/200 {
			b = append(b, numberedLine(n)...)
			n++
		}
		if _, err := os.Stdout.Write(b); err != nil {
			os.Exit(1)
		}
		sent += len(b)
		time.Sleep(time.Until(begin.Add(time.Duration(float64(sent) / float64(rate) * float64(time.Second)))))
	}
}

// startDaemon starts a process that prints to a log at a rate until stop is called.
func startDaemon(t *testing.T, path string, rate int) (stop func()) {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprint("LOGFILE_TEST_RATE=", rate))
	cmd.Stdout = f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// problems holds the current problems of a Keeper, and the number of resolved ones.
type problems struct {
	mu       sync.Mutex
	now      map[string]string
	resolved int
}

func (p *problems) record(what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.resolved++
		delete(p.now, what)
	} else {
		p.now[what] = err.Error()
	}
}

func (p *problems) current(what string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now[what]
}

// startKeeper runs a Keeper until the end of the test or a call of stop.
func startKeeper(t *testing.T, folder string, l Limit) (p *problems, stop func()) {
	t.Helper()
	p = &problems{now: map[string]string{}}
	k := &Keeper{Folder: folder, Limit: l, Problem: p.record}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		k.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-returned
	}
	t.Cleanup(stop)
	return p, stop
}

func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout after 20 s, waited until %s", what)
		}
	}
}

// slack is the additional delay that a busy machine may cause, beside the second of
// AP-07.
const slack = 2 * time.Second

// checkBound checks for a while that the open log has at most the limit plus the
// output of the last second, and that output was removed.
func checkBound(t *testing.T, log *os.File, l Limit, during time.Duration) {
	t.Helper()
	type sample struct {
		at  time.Time
		end int64
	}
	var samples []sample
	largest := int64(0)
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		size, err := regularSize(log)
		if err != nil {
			t.Fatal(err)
		}
		m, err := readMark(log)
		if err != nil {
			t.Fatal(err)
		}
		now := sample{time.Now(), m.dropped + size}
		samples = append(samples, now)
		for len(samples) > 1 && now.at.Sub(samples[0].at) > time.Second+slack {
			samples = samples[1:]
		}
		recent := max(0, now.end-samples[0].end)
		if now.at.Sub(samples[0].at) > time.Second && size > l.maxTotal()+recent {
			t.Fatalf("%d bytes, with %d written in the last second", size, recent)
		}
		largest = max(largest, size)
	}
	m, err := readMark(log)
	if err != nil || m.dropped == 0 {
		t.Errorf("dropped 0 bytes, %v, want some", err)
	}
	t.Logf("at most %.1f MB, of %.1f MB written", float64(largest)/1e6, float64(samples[len(samples)-1].end)/1e6)
}

// AP-07: the limit is enforced at 50 MB/s and right after the start, and no output
// is lost.
func TestKeeperAtFiftyMegabytesASecond(t *testing.T) {
	for name, dir := range testFolders(t) {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(dir, "logs")
			path := filepath.Join(folder, "p.log")
			l := Limit{MaxSize: 5 << 20, Keep: 3}
			stop := startDaemon(t, path, 50_000_000)
			f := openReadWrite(t, path)
			waitUntil(t, "the log is too large", func() bool {
				size, err := regularSize(f)
				return err == nil && size > l.maxTotal()+l.maxTotal()/2
			})
			p, _ := startKeeper(t, folder, l)
			time.Sleep(time.Second)
			checkBound(t, f, l, 3*time.Second)
			stop()
			waitUntil(t, "the limit holds", func() bool {
				size, err := regularSize(f)
				return err == nil && size <= l.maxTotal()
			})
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = b[:strings.LastIndexByte(string(b), '\n')+1] // its writer was killed
			var last int
			if _, err := fmt.Sscanf(string(b[strings.LastIndex(string(b), "\nline")+1:]), "line %d", &last); err != nil {
				t.Fatal(err)
			}
			if gaps := checkLines(t, b, last); gaps > 1 && canCollapse(f) {
				t.Errorf("%d gaps, want at most 1", gaps)
			}
			if len(p.now) > 0 {
				t.Errorf("problems: %v", p.now)
			}
		})
	}
}

// AP-07: a moved or deleted log is limited too, also by a supervisor that starts
// later. If `supervisor logs` does not show its output, that is reported.
func TestKeeperBoundsMovedAndDeletedLogs(t *testing.T) {
	for _, c := range []struct {
		name string
		away func(path, elsewhere string) error
		want string // of the problem
	}{
		{"deleted", func(path, _ string) error { return os.Remove(path) }, "writes to a deleted file, restart the plugin"},
		{"moved", os.Rename, "/elsewhere, restart the plugin"},
		{"rotated", func(path, _ string) error { return os.Rename(path, path+".1") }, ""},
		{"with its folder", func(path, elsewhere string) error { return os.Rename(filepath.Dir(path), elsewhere) }, "/elsewhere/p.log, restart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			folder := filepath.Join(dir, "logs")
			path := filepath.Join(folder, "p.log")
			l := Limit{MaxSize: 1 << 20, Keep: 1}
			p, stop := startKeeper(t, folder, l)
			stopDaemon := startDaemon(t, path, 5_000_000)
			f := openReadWrite(t, path)
			if err := c.away(path, filepath.Join(dir, "elsewhere")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			checkBound(t, f, l, 1500*time.Millisecond)
			reported := func(p *problems) func() bool {
				return func() bool { return c.want == "" || strings.Contains(p.current("log of p"), c.want) }
			}
			waitUntil(t, "the problem is reported", reported(p))
			stop()
			p, _ = startKeeper(t, folder, l)
			time.Sleep(time.Second)
			checkBound(t, f, l, 1500*time.Millisecond)
			waitUntil(t, "the problem is reported again", reported(p))
			if c.want == "" && p.current("log of p") != "" {
				t.Errorf("problem: %s", p.current("log of p"))
			}
			p.mu.Lock()
			if p.resolved > 0 {
				t.Errorf("the problem was cleared %d times, want 0", p.resolved)
			}
			p.mu.Unlock()
			stopDaemon()
			startDaemon(t, path, 1000) // its successor opens a new log
			waitUntil(t, "the problem is cleared", func() bool { return p.current("log of p") == "" })
		})
	}
}

// The limit is enforced without events of the kernel too.
func TestKeeperPolls(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "p.log")
	l := Limit{MaxSize: 1 << 20, Keep: 1}
	k := &Keeper{Folder: folder, Limit: l, Problem: func(what string, err error) { t.Errorf("%s: %v", what, err) }, proc: "/proc"}
	k.logs, k.strays, k.reported = map[string]*logState{}, map[fileID]*stray{}, map[string]bool{}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		k.pollSizes(ctx)
	}()
	startDaemon(t, path, 5_000_000)
	time.Sleep(time.Second)
	checkBound(t, openReadWrite(t, path), l, 2*time.Second)
	cancel()
	<-returned
}

// A log that cannot be limited is reported; the others are limited.
func TestKeeperReportsProblems(t *testing.T) {
	folder := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(folder, "dir.log"), 0o750), os.Symlink("/etc/hostname", filepath.Join(folder, "link.log"))); err != nil {
		t.Fatal(err)
	}
	appendToFile(t, filepath.Join(folder, "p.log"), strings.Repeat("x\n", 10_000))
	p, _ := startKeeper(t, folder, Limit{MaxSize: 4096})
	for _, what := range []string{"log of dir", "log of link"} {
		waitUntil(t, what, func() bool { return strings.Contains(p.current(what), "not a regular file") })
	}
	waitUntil(t, "the other log is bounded", func() bool {
		info, err := os.Stat(filepath.Join(folder, "p.log"))
		return err == nil && info.Size() <= 4096
	})
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the folder exists again", func() bool {
		info, err := os.Stat(folder)
		return err == nil && info.IsDir()
	})
	for _, what := range []string{"log of dir", "log of link"} {
		waitUntil(t, what+" is cleared", func() bool { return p.current(what) == "" })
	}
}
