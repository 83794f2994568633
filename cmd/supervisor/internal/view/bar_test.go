package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// screen is a terminal of one line, with the lines above it.
type screen struct {
	above []string
	line  []rune
	at    int
}

func (s *screen) Write(p []byte) (int, error) {
	text := string(p)
	for text != "" {
		if rest, erased := strings.CutPrefix(text, "\x1b[K"); erased {
			s.line, text = s.line[:s.at], rest
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\r':
			s.at = 0
		case '\n':
			s.above, s.line, s.at = append(s.above, string(s.line)), nil, 0
		default:
			s.line = append(s.line[:min(s.at, len(s.line))], append([]rune{r}, s.line[min(s.at+1, len(s.line)):]...)...)
			s.at++
		}
	}
	return len(p), nil
}

// newTestBar returns a bar on a screen, with a clock that each reading advances.
func newTestBar(columns int) (*Bar, *screen) {
	s, at := &screen{}, time.Unix(1e9, 0)
	return &Bar{w: s, width: func() int { return columns }, now: func() time.Time {
		at = at.Add(redrawInterval)
		return at
	}}, s
}

func TestBar(t *testing.T) {
	b, s := newTestBar(70)
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() { b.ShowFetched("hello 1.0", 5e6, 20e6) }, "fetching hello 1.0  [####...............]  25 %, 5.0 of 20.0 MB"},
		{func() { b.ShowFetched("hello 1.0", 20e6, 20e6) }, "fetching hello 1.0  [###################]  100 %, 20.0 of 20.0 MB"},
		{func() { b.ShowFetched("hello 1.0", 20e6, -1) }, "fetching hello 1.0  20.0 MB"},
		{func() { b.ShowText("hello: upgrade to 1.0") }, "hello: upgrade to 1.0"},
		{func() { b.ShowText("short") }, "short"},
		{func() { b.ShowText(strings.Repeat("long", 20)) }, strings.Repeat("long", 20)[:68] + "…"},
		{func() { fmt.Fprintln(b.Above(io.Discard), "a line of the log") }, strings.Repeat("long", 20)[:68] + "…"},
		{func() { b.Clear() }, ""},
		{func() { b.Clear() }, ""},
		{func() { fmt.Fprintln(b.Above(io.Discard), "another") }, ""},
	} {
		if step.do(); string(s.line) != step.want {
			t.Errorf("shown %q, want %q", string(s.line), step.want)
		}
	}
	if got := strings.Join(s.above, "|"); got != "a line of the log|another" {
		t.Errorf("lines above the bar: %q", got)
	}
}

// The bar never fills the line, which would start the next one.
func TestBarFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 200).Draw(t, "columns")
		b, s := newTestBar(columns)
		total := rapid.Int64Range(-1, 1<<40).Draw(t, "total")
		b.ShowFetched(rapid.String().Draw(t, "what"), rapid.Int64Range(0, 1<<40).Draw(t, "done"), total)
		if n := len(s.line); n >= columns && n > 1 || len(s.above) > 0 {
			t.Fatalf("the bar has %d columns of %d: %q", n, columns, string(s.line))
		}
	})
}

// The bar is drawn at most ten times a second.
func TestBarIsDrawnAtIntervals(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(1e9, 0)
	b := &Bar{w: &out, width: func() int { return 80 }, now: func() time.Time { return at }}
	for i := range 1000 {
		at = at.Add(time.Millisecond)
		b.ShowFetched("p", int64(i)*1e6, 1e9)
	}
	if n := strings.Count(out.String(), "\r"); n > 11 {
		t.Errorf("drawn %d times in a second, want at most 11", n)
	}
}

// Without a terminal the bar is nil and shows nothing.
func TestNoBar(t *testing.T) {
	var out bytes.Buffer
	b := NewBar(&out)
	b.ShowText("x")
	b.ShowFetched("x", 1, 2)
	fmt.Fprint(b.Above(&out), "a line")
	b.Clear()
	if b != nil || out.String() != "a line" {
		t.Errorf("bar %v, output %q; want nil and one line", b, out.String())
	}
}
