package cgroup

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkFollow measures the time from the kill of a leaf's last process to the
// call of changed (EV-01): p50-ms and p99-ms.
func BenchmarkFollow(b *testing.B) {
	tree := openTree(b)
	l := makeTestLeaf(b, tree, "measured")
	received, _ := startFollow(b, tree)
	var took []time.Duration
	for b.Loop() {
		startAndWait(b, l, helperCommand("hang"))
		waitForChange(b, received, change{l.name, true})
		time.Sleep(15 * time.Millisecond) // the kernel delays the next event within 10 ms
		killed := time.Now()
		if err := l.Kill(); err != nil {
			b.Fatal(err)
		}
		waitForChange(b, received, change{l.name, false})
		took = append(took, time.Since(killed))
	}
	slices.Sort(took)
	at := func(p int) float64 { return float64(took[(len(took)-1)*p/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}
