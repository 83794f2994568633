package process

import (
	"context"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A scan of 200 plugins, limited as in SC-08: BenchmarkRun may take at most 1.3 times as long as
// BenchmarkBare.

const scanned = 200

func BenchmarkRun(b *testing.B) {
	r := NewRunner(Options{})
	path := lookPath(b, "true")
	runScan(b, func() error {
		return r.Run(context.Background(), Command{Path: path, Args: []string{"--status"}, Timeout: time.Minute}).Err
	})
}

func BenchmarkBare(b *testing.B) {
	path := lookPath(b, "true")
	runScan(b, func() error { return exec.Command(path, "--status").Run() })
}

func runScan(b *testing.B, probe func() error) {
	slots := make(chan struct{}, min(max(4, 2*runtime.NumCPU()), 32))
	for b.Loop() {
		var all sync.WaitGroup
		for range scanned {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				if err := probe(); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func lookPath(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
