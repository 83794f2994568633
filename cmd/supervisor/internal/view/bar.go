package view

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"pluginsupervisor/internal/logger"
)

// Bar is the last line of a terminal, which shows progress until it is cleared. It
// may be used by several goroutines. A nil Bar shows nothing.
type Bar struct {
	mu    sync.Mutex
	w     io.Writer
	width func() int // of the terminal, in columns
	now   func() time.Time
	text  string    // the text on the screen, "" for none
	drawn time.Time // when the text was drawn
}

// NewBar returns a bar on w, or nil unless w is a terminal that can redraw a line.
func NewBar(w io.Writer) *Bar {
	if !logger.IsTerminal(w) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	f, _ := w.(*os.File) // as logger.IsTerminal has checked
	return &Bar{w: w, now: time.Now, width: func() int {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col == 0 {
			return 80
		}
		return int(size.Col)
	}}
}

// redrawInterval bounds how often a bar is drawn.
const redrawInterval = 100 * time.Millisecond

// ShowText shows a text.
func (b *Bar) ShowText(text string) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drawText(func(int) string { return text })
}

// ShowFetched shows how much of a package is fetched; total is not positive if it is
// unknown.
func (b *Bar) ShowFetched(what string, done, total int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drawText(func(columns int) string {
		about, size := "fetching "+CleanLine(what)+"  ", FormatFetched(done, total)
		const longest = len("100 %, 1234.5 of 1234.5 MB") // keeps the length of the bar constant
		cells := min(columns-utf8.RuneCountInString(about)-longest-len("[]  "), 40)
		if total <= 0 || cells < 10 {
			return about + size
		}
		full := int(min(done, total) * int64(cells) / total)
		return about + "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]  " + size
	})
}

// Clear removes the bar from the terminal until something is shown again.
func (b *Bar) Clear() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.eraseText()
	b.drawn = time.Time{}
}

// drawText draws a text unless the last one was drawn a moment ago.
func (b *Bar) drawText(what func(columns int) string) {
	now := b.now()
	if now.Sub(b.drawn) < redrawInterval {
		return
	}
	columns := b.width() - 1 // the last column would start the next line
	text := cutText(what(columns), columns)
	if text != b.text {
		fmt.Fprint(b.w, "\r"+text+"\x1b[K")
	}
	b.text, b.drawn = text, now
}

func (b *Bar) eraseText() {
	if b.text != "" {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
	b.text = ""
}

// Above returns a writer for whole lines on the same terminal, which puts them above
// the bar. A nil Bar returns w.
func (b *Bar) Above(w io.Writer) io.Writer {
	if b == nil {
		return w
	}
	return barWriter{b}
}

// barWriter writes lines above a bar.
type barWriter struct{ *Bar }

// Write implements io.Writer.
func (a barWriter) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := a.text
	a.eraseText()
	n, err := a.w.Write(p)
	if text != "" {
		fmt.Fprint(a.w, "\r"+text+"\x1b[K")
		a.text = text
	}
	return n, err
}

// cutText cuts a text to a number of columns.
func cutText(text string, columns int) string {
	if r := []rune(text); len(r) > columns {
		return string(r[:max(columns-1, 0)]) + "…"
	}
	return text
}
