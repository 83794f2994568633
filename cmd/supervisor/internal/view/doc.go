// Package view is how the supervisor's words look on a terminal: tables that
// stay aligned, times as a person says them, colour where there is a terminal
// and nobody asked for none.
//
// What plugins and servers said is shown as one line without control
// characters: a plugin's last words must not repaint the operator's screen.
package view

import (
	"io"
	"os"

	"pluginsupervisor/internal/logger"
)

// Paint is the colours of one output; the zero value has none.
type Paint struct{ on bool }

// PaintFor is colours for a terminal, unless NO_COLOR is set to anything
// (no-color.org) or the terminal is a dumb one.
func PaintFor(w io.Writer) Paint {
	return Paint{logger.IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The colours: the two digits of their escape sequence. All sequences are of
// one length, so that text/tabwriter, which counts them, still aligns a column
// in which every cell has one.
type colour string

const (
	plain  colour = "39"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	blue   colour = "34"
)

func (p Paint) colourText(c colour, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// Good is for what went well.
func (p Paint) Good(s string) string { return p.colourText(green, s) }

// Bad is for what an operator has to look at.
func (p Paint) Bad(s string) string { return p.colourText(red, s) }

// Note is for what is on its way.
func (p Paint) Note(s string) string { return p.colourText(yellow, s) }

// Link is for where to look.
func (p Paint) Link(s string) string { return p.colourText(blue, s) }

// Faint is for what may be skipped.
func (p Paint) Faint(s string) string {
	if !p.on {
		return s
	}
	return "\x1b[2m" + s + "\x1b[0m"
}

// Bold is for headings.
func (p Paint) Bold(s string) string {
	if !p.on {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}
