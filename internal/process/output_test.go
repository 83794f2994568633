package process

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// A plugin that prints much is not blocked, and little of its output is kept.
func TestRunPrintsMuch(t *testing.T) {
	f := newFamily(t)
	r := NewRunner(Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res := r.Run(t.Context(), f.command("print", "1024")) // 1 GiB
	runtime.ReadMemStats(&after)
	if res.Err != nil || len(res.Output) != ringSize || !strings.HasSuffix(res.Output, "x\nthe end") {
		t.Errorf("%v, %d bytes", res.Err, len(res.Output))
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("allocated %d bytes", got)
	}
}

// A command may set how much of its output is kept.
func TestRunKeep(t *testing.T) {
	f := newFamily(t)
	c := f.command("print", "1")
	for _, c.Keep = range []int{10, 1<<20 + len("the end")} {
		res := NewRunner(Options{}).Run(t.Context(), c)
		if res.Err != nil || len(res.Output) != c.Keep || !strings.HasSuffix(res.Output, "x\nthe end") {
			t.Errorf("%v, %d bytes, want %d", res.Err, len(res.Output), c.Keep)
		}
	}
}

// Output in the pipe of an exited command is read, also by a late reader and while another process
// holds the pipe.
func TestPipeReadLate(t *testing.T) {
	p, err := newPipe()
	if err != nil {
		t.Fatal(err)
	}
	other, err := unix.Dup(p.write)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if _, err := unix.Write(other, []byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := p.read.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	p.childStarted()
	<-p.done // before drainOutput could extend the deadline
	p.drainOutput()
	if got := p.closeAndRead(); got != "last words" {
		t.Errorf("output %q", got)
	}
}

// The ring keeps exactly the last bytes, for any size of the reads.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 40_000), 0, 8).Draw(t, "sizes")
		slow := rapid.Bool().Draw(t, "slow")
		size := rapid.SampledFrom([]int{ringSize, 1, 511, 4096, 3 * ringSize}).Draw(t, "kept")
		r := ring{keep: size}
		if size == ringSize {
			r.keep = 0
		}
		var all bytes.Buffer
		for i, length := range sizes {
			part := bytes.Repeat([]byte{byte('a' + i), byte('z' - i), '.'}, length/3)
			all.Write(part)
			var src io.Reader = bytes.NewReader(part)
			if slow {
				src = iotest.HalfReader(src)
			}
			if n, err := r.ReadFrom(src); err != nil || n != int64(len(part)) {
				t.Fatalf("read %d of %d: %v", n, len(part), err)
			}
		}
		want := all.String()
		want = want[max(0, len(want)-size):]
		if got := r.String(); got != want {
			t.Fatalf("kept %d bytes, want the last %d", len(got), len(want))
		}
		if len(r.buf) > size {
			t.Fatalf("buffer of %d bytes", len(r.buf))
		}
	})
}

// A failing source keeps what was read before.
func TestRingError(t *testing.T) {
	var r ring
	n, err := r.ReadFrom(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("ab"))))
	if n != 1 || err != iotest.ErrTimeout || r.String() != "a" {
		t.Errorf("%d, %v, %q", n, err, r.String())
	}
}
