// Package view formats the output of the supervisor for people: aligned tables,
// short times, and colours on a terminal unless NO_COLOR is set.
//
// Text of plugins and servers is shown without control characters, so that it cannot
// change the screen of the operator.
package view

import (
	"io"
	"os"

	"pluginsupervisor/internal/logger"
)

// Paint adds colours to text; the zero value adds none.
type Paint struct{ on bool }

// PaintFor returns a Paint with colours if w is a terminal, NO_COLOR is not set
// (no-color.org) and TERM is not dumb.
func PaintFor(w io.Writer) Paint {
	return Paint{logger.IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// colour holds the two digits of an escape sequence. All sequences have the same
// length, so that text/tabwriter, which counts them, aligns a column in which every
// cell has one.
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

// Good formats a success.
func (p Paint) Good(s string) string { return p.colourText(green, s) }

// Bad formats a failure.
func (p Paint) Bad(s string) string { return p.colourText(red, s) }

// Note formats a pending state.
func (p Paint) Note(s string) string { return p.colourText(yellow, s) }

// Link formats an address.
func (p Paint) Link(s string) string { return p.colourText(blue, s) }

// Faint formats less important text.
func (p Paint) Faint(s string) string {
	if !p.on {
		return s
	}
	return "\x1b[2m" + s + "\x1b[0m"
}

// Bold formats a heading.
func (p Paint) Bold(s string) string {
	if !p.on {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}
