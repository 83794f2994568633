package logfile

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// markEnd ends each line that the supervisor writes into a log.
const markEnd = " ---"

// MarkEvent appends a line to the log at a path that says when something happened, such
// as an exit. The line is separate also when the plugin has not finished its last one.
// The log must exist.
func MarkEvent(path string, at time.Time, what string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("mark event: %w", err)
	}
	defer f.Close()
	size, err := regularSize(f)
	if err != nil {
		return fmt.Errorf("mark event: %w", err)
	}
	line := markBegin + at.UTC().Format(time.RFC3339) + " " + what + markEnd + "\n"
	last := []byte{'\n'}
	if size > 0 {
		// A log that was shortened meanwhile has no such byte, and needs no line break.
		_, _ = f.ReadAt(last, size-1)
	}
	if last[0] != '\n' {
		line = "\n" + line
	}
	if _, err := f.WriteString(line); err != nil { // one call: no output comes between
		return fmt.Errorf("mark event: %w", err)
	}
	return nil
}

// isEvent reports whether MarkEvent has written the line.
func isEvent(line string) bool {
	rest, ok := strings.CutPrefix(line, markBegin)
	at, _, _ := strings.Cut(rest, " ")
	_, err := time.Parse(time.RFC3339, at)
	return ok && err == nil && strings.HasSuffix(rest, markEnd)
}

// cutEvents returns the part of a log behind its last event.
func cutEvents(s string) string {
	for end := len(s); ; {
		at := strings.LastIndex(s[:end], markBegin)
		if at < 0 {
			return s
		}
		line, rest, isWhole := strings.Cut(s[at:], "\n")
		if isWhole && (at == 0 || s[at-1] == '\n') && isEvent(line) {
			return rest
		}
		end = at
	}
}
