package heartbeat

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// The test binary runs itself as a child. With this variable set it writes the
// heartbeats of all plugins below a root, by the named method.
const beaterKey = "HEARTBEAT_BEATER"

func TestMain(m *testing.M) {
	if way, ok := os.LookupEnv(beaterKey); ok {
		if err := beatAll(writeMethods[way], os.Args[1]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// writeMethods holds the methods by which plugins write their heartbeats. The file
// is already open for writing.
var writeMethods = map[string]func(f *os.File, date string) error{
	"rename": func(f *os.File, date string) error {
		return errors.Join(os.WriteFile(f.Name()+".new", []byte(date), 0o600), os.Rename(f.Name()+".new", f.Name()))
	},
	"truncate": func(f *os.File, date string) error { return os.WriteFile(f.Name(), []byte(date), 0o600) },
	"in-place": func(f *os.File, date string) error {
		_, err := f.WriteAt([]byte(date), 0)
		return err
	},
}

// pace is the time between two heartbeats: long enough for the watcher to sleep in
// between, and for no plugin of a hundred to write twice in a burst.
const pace = 12 * time.Millisecond

// beatAll writes the heartbeats of one plugin after the other. Each eight digits on
// standard input are the number of heartbeats to write.
func beatAll(way func(*os.File, string) error, root string) error {
	paths, err := filepath.Glob(filepath.Join(root, "plugin/*/1.0/heartbeat"))
	if err != nil {
		return err
	}
	var files []*os.File
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	date := time.Now().Unix() - 1_000_000
	var count [8]byte
	for {
		if _, err := io.ReadFull(os.Stdin, count[:]); err != nil {
			return nil
		}
		n, err := strconv.Atoi(string(count[:]))
		if err != nil {
			return err
		}
		for range n {
			date++
			time.Sleep(pace)
			if err := way(files[int(date)%len(files)], strconv.FormatInt(date, 10)); err != nil {
				return err
			}
		}
	}
}

// BenchmarkFollow measures CPU time and wake-ups for each heartbeat while another
// process writes the heartbeats of a hundred plugins by turns.
func BenchmarkFollow(b *testing.B) {
	for _, way := range slices.Sorted(maps.Keys(writeMethods)) {
		b.Run(way, func(b *testing.B) {
			root := b.TempDir()
			var ps []plugin.Plugin
			for i := range 100 {
				p := minutelyPlugin("plugin"+strconv.Itoa(i), "1.0")
				p.HeartbeatInterval = 1000 * time.Hour
				dir := layout.Version(root, p.Name, p.Version)
				if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, layout.Heartbeat), []byte("1"), 0o600)); err != nil {
					b.Fatal(err)
				}
				ps = append(ps, p)
			}
			log := logger.Silent()
			w := NewWatcher(New(root), log)
			w.Watch(ps)
			var reported atomic.Int64
			all := make(chan struct{}, 2) // one element when the first heartbeat event of each plugin was reported, one when all beats were
			go func() {
				err := w.Follow(b.Context(), func(plugin.HeartbeatEvent) {
					if n := reported.Add(1); n == int64(len(ps)) || n == int64(len(ps)+b.N) {
						all <- struct{}{}
					}
				})
				if err != nil {
					b.Error(err)
				}
			}()
			<-all
			c := exec.Command("/proc/self/exe", root)
			c.Env, c.Stderr = append(os.Environ(), beaterKey+"="+way), os.Stderr
			in, err := c.StdinPipe()
			if err == nil {
				err = c.Start()
			}
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _, _ = in.Close(), c.Wait() }()
			usage, woken := usedCPU(b)
			b.ResetTimer()
			if _, err := fmt.Fprintf(in, "%08d", b.N); err != nil {
				b.Fatal(err)
			}
			select {
			case <-all:
			case <-time.After(time.Minute + time.Duration(b.N)*2*pace):
				b.Fatalf("%d beats, %d reported", b.N, int(reported.Load())-len(ps))
			}
			cpu, wakes := usedCPU(b)
			b.ReportMetric(float64(cpu-usage)/float64(b.N)/1e3, "cpu-µs/beat")
			b.ReportMetric(float64(wakes-woken)/float64(b.N), "switches/beat")
		})
	}
}

// usedCPU returns the CPU time of this process and the number of waits of its
// threads. The runtime waits three times for each wake-up.
func usedCPU(b *testing.B) (cpu time.Duration, waited int64) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), u.Nvcsw
}
