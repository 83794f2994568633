package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/logger"
	"pluginsupervisor/plugin"
)

// narrator tells what happens, each line with the time since the beginning.
// When its output cannot be written, the demo is cancelled.
type narrator struct {
	out      *logger.Queue // so that nothing waits for a reader that stands still
	paint    view.Paint
	terminal bool
	began    time.Time
	states   map[string]plugin.State // last told, by name and version
	drawn    int                     // lines of the live table that is on the screen
}

func newNarrator(out io.Writer, lost context.CancelFunc) *narrator {
	queue := logger.NewQueue(out, logger.QueueOptions{Failed: func(error) { lost() }})
	return &narrator{
		out: queue, paint: view.PaintFor(out), terminal: logger.IsTerminal(out),
		began: time.Now(), states: map[string]plugin.State{},
	}
}

func (n *narrator) elapsed() time.Duration { return time.Since(n.began) }

func (n *narrator) print(s string) { _, _ = io.WriteString(n.out, s) }

// end has the rest printed.
func (n *narrator) end() { _ = n.out.Close(logger.FlushWithin) }

// line tells one thing.
func (n *narrator) line(text string) {
	n.print(n.paint.Faint(fmt.Sprintf("%6.1fs", n.elapsed().Seconds())) + "  " + text + "\n")
}

// section begins a new part.
func (n *narrator) section(title string) { n.print("\n" + n.paint.Bold(title) + "\n") }

// quote shows something that was printed elsewhere.
func (n *narrator) quote(what, text string) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n         %s\n", n.paint.Faint("$ "+what))
	for l := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString("         " + l)
	}
	n.print(b.String() + "\n")
}

// came tells that a claim came true.
func (n *narrator) came(claim string) {
	mark := "ok"
	if n.terminal {
		mark = "✔"
	}
	n.line(n.paint.Good(mark + " " + claim))
}

// failed tells that it did not.
func (n *narrator) failed(claim string, err error) {
	mark := "FAILED"
	if n.terminal {
		mark = "✘"
	}
	n.line(n.paint.Bad(mark+" "+claim) + ": " + view.Line(err.Error()))
}

// changes tells which plugins changed their state since it was last asked.
func (n *narrator) changes(s plugin.Snapshot) {
	for _, v := range s.Plugins {
		key := v.Name + " " + v.Version
		was, known := n.states[key]
		n.states[key] = v.State
		if known && was == v.State {
			continue
		}
		text := fmt.Sprintf("  %-5s %s %s", v.Name, v.Version, v.State)
		if v.Why != "" {
			text += " · " + view.Line(v.Why)
		}
		if v.Next != "" && v.NextAt.After(s.At) {
			text += fmt.Sprintf(" · %s in %s", view.Line(v.Next), seconds(v.NextAt.Sub(s.At)))
		}
		n.line(text)
	}
}

// live draws the table over the one it drew before.
func (n *narrator) live(s plugin.Snapshot) {
	var b strings.Builder
	if n.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", n.drawn) // up, and clear to the end
	} else {
		b.WriteByte('\n')
	}
	begin := b.Len()
	b.WriteString("\x1b[?7l") // a line that wrapped would count for two
	_ = view.Status(&b, s, view.StatusOptions{Paint: n.paint})
	b.WriteString("\x1b[?7h")
	n.drawn = strings.Count(b.String()[begin:], "\n")
	n.print(b.String())
}
