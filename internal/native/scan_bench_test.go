package native

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"pluginsupervisor/internal/record"
	"pluginsupervisor/plugin"
)

const benchmarkPlugins = 200

// BenchmarkScan200 probes 200 plugins that only exit 0. The difference to
// BenchmarkBare200 is the cost of the manager over fork and exec.
func BenchmarkScan200(b *testing.B) {
	bench, ps := newBenchmarkFixture(b)
	for b.Loop() {
		running := 0
		err := bench.Probe(b.Context(), ps, func(p plugin.Probe) {
			if p.Status == plugin.StatusRunning {
				running++
			}
		})
		if err != nil || running != benchmarkPlugins {
			b.Fatalf("%d running, error %v", running, err)
		}
	}
}

// BenchmarkBare200 runs the same files with os/exec, as many at once.
func BenchmarkBare200(b *testing.B) {
	bench, ps := newBenchmarkFixture(b)
	for b.Loop() {
		slots := make(chan struct{}, bench.parallel)
		var all sync.WaitGroup
		for _, p := range ps {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				ctx, cancel := context.WithTimeout(b.Context(), p.Timeout)
				defer cancel()
				cmd := exec.CommandContext(ctx, filepath.Join(bench.versionFolder(p.Name, p.Version), p.RunPath), "--status")
				cmd.Dir = "/"
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Errorf("%v: %s", err, out)
				}
			})
		}
		all.Wait()
	}
}

func newBenchmarkFixture(b *testing.B) (*fixture, []plugin.Plugin) {
	bench := newFixture(b)
	program := exitZero(b)
	var ps []plugin.Plugin
	for i := range benchmarkPlugins {
		r := record.Record{Name: fmt.Sprintf("p%03d", i), Version: "1.0", RunPath: "run", Type: plugin.Persist, Timeout: "60"}
		dir := bench.versionFolder(r.Name, r.Version)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "run"), program, 0o755); err != nil {
			b.Fatal(err)
		}
		ps = append(ps, r.Plugin())
	}
	return bench, ps
}

// exitZero returns the smallest static executable: it exits with 0 at once.
func exitZero(b *testing.B) []byte {
	var machine uint16
	var code []byte
	switch runtime.GOARCH {
	case "amd64": // xor edi, edi; mov eax, 60; syscall
		machine, code = 62, []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05}
	case "arm64": // mov x0, 0; mov x8, 93; svc 0
		machine, code = 183, []byte{0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}
	default:
		b.Fatalf("no program for %s", runtime.GOARCH)
	}
	const base, headers = 0x400000, 64 + 56
	le := binary.LittleEndian
	elf := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	elf = le.AppendUint16(elf, 2) // an executable
	elf = le.AppendUint16(elf, machine)
	elf = le.AppendUint32(elf, 1)
	elf = le.AppendUint64(elf, base+headers) // entry
	elf = le.AppendUint64(elf, 64)           // program headers
	elf = le.AppendUint64(elf, 0)            // section headers
	elf = le.AppendUint32(elf, 0)
	for _, n := range []uint16{64, 56, 1, 64, 0, 0} {
		elf = le.AppendUint16(elf, n)
	}
	elf = le.AppendUint32(elf, 1) // to be loaded
	elf = le.AppendUint32(elf, 5) // read and execute
	size := uint64(headers + len(code))
	for _, n := range []uint64{0, base, base, size, size, 0x1000} {
		elf = le.AppendUint64(elf, n)
	}
	return append(elf, code...)
}
