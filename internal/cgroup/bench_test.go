package cgroup

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkFollow measures from the kill of a leaf's last process to the call
// of changed (EV-01): p50-ms and p99-ms.
func BenchmarkFollow(b *testing.B) {
	tree := openTree(b)
	l := leafOf(b, tree, "measured")
	heard, _ := follow(b, tree)
	var took []time.Duration
	for b.Loop() {
		launch(b, l, helper("hang"))
		hear(b, heard, told{l.name, true})
		time.Sleep(15 * time.Millisecond) // within 10 ms of an event the kernel holds the next back
		killed := time.Now()
		if err := l.Kill(); err != nil {
			b.Fatal(err)
		}
		hear(b, heard, told{l.name, false})
		took = append(took, time.Since(killed))
	}
	slices.Sort(took)
	at := func(p int) float64 { return float64(took[(len(took)-1)*p/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}
