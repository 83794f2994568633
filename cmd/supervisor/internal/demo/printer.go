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

// printer prints the progress of the demo, each line with the time since its start.
// If the output cannot be written, the demo is canceled.
type printer struct {
	out        *logger.Queue // nothing waits for a reader that does not read
	paint      view.Paint
	terminal   bool
	began      time.Time
	states     map[string]plugin.State // last printed, by name and version
	tableLines int                     // of the table on the screen
}

func newPrinter(out io.Writer, lost context.CancelFunc) *printer {
	queue := logger.NewQueue(out, logger.QueueOptions{Failed: func(error) { lost() }})
	return &printer{
		out: queue, paint: view.PaintFor(out), terminal: logger.IsTerminal(out),
		began: time.Now(), states: map[string]plugin.State{},
	}
}

func (p *printer) elapsed() time.Duration { return time.Since(p.began) }

func (p *printer) write(s string) { _, _ = io.WriteString(p.out, s) }

// close prints the rest of the queue.
func (p *printer) close() { _ = p.out.Close(logger.FlushWithin) }

// printLine prints a line with the time.
func (p *printer) printLine(text string) {
	p.write(p.paint.Faint(fmt.Sprintf("%6.1fs", p.elapsed().Seconds())) + "  " + text + "\n")
}

// printTitle prints the title of a part.
func (p *printer) printTitle(title string) { p.write("\n" + p.paint.Bold(title) + "\n") }

// printQuote prints the output of a command.
func (p *printer) printQuote(what, text string) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n         %s\n", p.paint.Faint("$ "+what))
	for l := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString("         " + l)
	}
	p.write(b.String() + "\n")
}

// printVerified prints a claim that was verified.
func (p *printer) printVerified(claim string) {
	mark := "ok"
	if p.terminal {
		mark = "✔"
	}
	p.printLine(p.paint.Good(mark + " " + claim))
}

// printFailed prints a claim that failed.
func (p *printer) printFailed(claim string, err error) {
	mark := "FAILED"
	if p.terminal {
		mark = "✘"
	}
	p.printLine(p.paint.Bad(mark+" "+claim) + ": " + view.CleanLine(err.Error()))
}

// printChanges prints the plugins whose state has changed since the last call.
func (p *printer) printChanges(s plugin.Snapshot) {
	for _, v := range s.Plugins {
		key := v.Name + " " + v.Version
		was, known := p.states[key]
		p.states[key] = v.State
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
		p.printLine(text)
	}
}

// redrawTable draws the table over the last one.
func (p *printer) redrawTable(s plugin.Snapshot) {
	var b strings.Builder
	if p.tableLines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", p.tableLines) // up, and clear the rest of the screen
	} else {
		b.WriteByte('\n')
	}
	begin := b.Len()
	b.WriteString("\x1b[?7l") // no wrapping: it would change the number of lines
	_ = view.WriteStatus(&b, s, view.StatusOptions{Paint: p.paint})
	b.WriteString("\x1b[?7h")
	p.tableLines = strings.Count(b.String()[begin:], "\n")
	p.write(b.String())
}
