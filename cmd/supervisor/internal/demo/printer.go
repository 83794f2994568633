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

// printer tells what happens, each line with the time since the beginning.
// When its output cannot be written, the demo is cancelled.
type printer struct {
	out        *logger.Queue // so that nothing waits for a reader that stands still
	paint      view.Paint
	terminal   bool
	began      time.Time
	states     map[string]plugin.State // last told, by name and version
	tableLines int                     // lines of the live table that is on the screen
}

func newPrinter(out io.Writer, lost context.CancelFunc) *printer {
	queue := logger.NewQueue(out, logger.QueueOptions{Failed: func(error) { lost() }})
	return &printer{
		out: queue, paint: view.PaintFor(out), terminal: logger.IsTerminal(out),
		began: time.Now(), states: map[string]plugin.State{},
	}
}

func (n *printer) elapsed() time.Duration { return time.Since(n.began) }

func (n *printer) write(s string) { _, _ = io.WriteString(n.out, s) }

// close has the rest printed.
func (n *printer) close() { _ = n.out.Close(logger.FlushWithin) }

// printLine tells one thing.
func (n *printer) printLine(text string) {
	n.write(n.paint.Faint(fmt.Sprintf("%6.1fs", n.elapsed().Seconds())) + "  " + text + "\n")
}

// printTitle begins a new part.
func (n *printer) printTitle(title string) { n.write("\n" + n.paint.Bold(title) + "\n") }

// printQuote shows something that was printed elsewhere.
func (n *printer) printQuote(what, text string) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n         %s\n", n.paint.Faint("$ "+what))
	for l := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString("         " + l)
	}
	n.write(b.String() + "\n")
}

// printVerified tells that a claim came true.
func (n *printer) printVerified(claim string) {
	mark := "ok"
	if n.terminal {
		mark = "✔"
	}
	n.printLine(n.paint.Good(mark + " " + claim))
}

// printFailed tells that it did not.
func (n *printer) printFailed(claim string, err error) {
	mark := "FAILED"
	if n.terminal {
		mark = "✘"
	}
	n.printLine(n.paint.Bad(mark+" "+claim) + ": " + view.CleanLine(err.Error()))
}

// printChanges tells which plugins changed their state since it was last asked.
func (n *printer) printChanges(s plugin.Snapshot) {
	for _, v := range s.Plugins {
		key := v.Name + " " + v.Version
		was, known := n.states[key]
		n.states[key] = v.State
		if known && was == v.State {
			continue
		}
		text := fmt.Sprintf("  %-5s %s %s", v.Name, v.Version, v.State)
		if v.Why != "" {
			text += " · " + view.CleanLine(v.Why)
		}
		if v.Next != "" && v.NextAt.After(s.At) {
			text += fmt.Sprintf(" · %s in %s", view.CleanLine(v.Next), formatSeconds(v.NextAt.Sub(s.At)))
		}
		n.printLine(text)
	}
}

// redrawTable draws the table over the one it drew before.
func (n *printer) redrawTable(s plugin.Snapshot) {
	var b strings.Builder
	if n.tableLines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", n.tableLines) // up, and clear to the end
	} else {
		b.WriteByte('\n')
	}
	begin := b.Len()
	b.WriteString("\x1b[?7l") // a line that wrapped would count for two
	_ = view.WriteStatus(&b, s, view.StatusOptions{Paint: n.paint})
	b.WriteString("\x1b[?7h")
	n.tableLines = strings.Count(b.String()[begin:], "\n")
	n.write(b.String())
}
