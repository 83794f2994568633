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

// screen is a terminal of one line: what a person sees on it, and the lines
// that have gone by above.
type screen struct {
	gone []string
	line []rune
	at   int
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
			s.gone, s.line, s.at = append(s.gone, string(s.line)), nil, 0
		default:
			s.line = append(s.line[:min(s.at, len(s.line))], append([]rune{r}, s.line[min(s.at+1, len(s.line)):]...)...)
			s.at++
		}
	}
	return len(p), nil
}

// newTestBar is a bar on a screen, and a clock that each look puts on.
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
	if got := strings.Join(s.gone, "|"); got != "a line of the log|another" {
		t.Errorf("above it: %q", got)
	}
}

// It never comes to the end of the terminal's line, where the next would begin.
func TestBarFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 200).Draw(t, "columns")
		b, s := newTestBar(columns)
		total := rapid.Int64Range(-1, 1<<40).Draw(t, "total")
		b.ShowFetched(rapid.String().Draw(t, "what"), rapid.Int64Range(0, 1<<40).Draw(t, "done"), total)
		if n := len(s.line); n >= columns && n > 1 || len(s.gone) > 0 {
			t.Fatalf("%d columns of %d: %q", n, columns, string(s.line))
		}
	})
}

// It is not drawn more often than anybody can see.
func TestBarIsDrawnSeldom(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(1e9, 0)
	b := &Bar{w: &out, width: func() int { return 80 }, now: func() time.Time { return at }}
	for i := range 1000 {
		at = at.Add(time.Millisecond)
		b.ShowFetched("p", int64(i)*1e6, 1e9)
	}
	if n := strings.Count(out.String(), "\r"); n > 11 {
		t.Errorf("drawn %d times in a second", n)
	}
}

// Where there is no terminal nothing is shown, and lines go where they went.
func TestNoBar(t *testing.T) {
	var out bytes.Buffer
	b := NewBar(&out)
	b.ShowText("x")
	b.ShowFetched("x", 1, 2)
	fmt.Fprint(b.Above(&out), "a line")
	b.Clear()
	if b != nil || out.String() != "a line" {
		t.Errorf("%v, %q", b, out.String())
	}
}
