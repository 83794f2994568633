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

// However much a plugin prints, it is not held up and little of it is kept.
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
		t.Errorf("%d bytes were allocated", got)
	}
}

// A command may say how much of what it prints is kept.
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

// What an ended command left in the pipe is read, however late the reader
// comes and whoever else holds the pipe.
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
	p.started()
	<-p.done // before settle could give more time
	p.settle()
	if got := p.text(); got != "last words" {
		t.Errorf("%q", got)
	}
}

// The ring holds exactly the last bytes, however they come in.
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
			t.Fatalf("%d bytes kept, want the last %d", len(got), len(want))
		}
		if len(r.buf) > size {
			t.Fatalf("%d bytes of memory", len(r.buf))
		}
	})
}

// A source that fails keeps what it gave.
func TestRingError(t *testing.T) {
	var r ring
	n, err := r.ReadFrom(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("ab"))))
	if n != 1 || err != iotest.ErrTimeout || r.String() != "a" {
		t.Errorf("%d, %v, %q", n, err, r.String())
	}
}
