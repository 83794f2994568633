package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// openRow is one line of the list of rows that have no test yet.
type openRow struct {
	id     string
	reason string // the area, and what is missing
	line   int
}

var openLine = regexp.MustCompile(`^([A-Z]{2}-[0-9]+)\s+(\S.*)$`)

// readOpen reads the list of open rows at path.
func readOpen(path string) ([]openRow, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the list of open rows: %w", err)
	}
	defer f.Close()
	open, err := parseOpen(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return open, nil
}

// parseOpen reads one row a line: the ID, blanks, the reason. Empty lines and
// lines that begin with # are left out.
func parseOpen(r io.Reader) ([]openRow, error) {
	var open []openRow
	lineOf := map[string]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		m := openLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d: %q is not an ID and a reason", n, line)
		}
		id := m[1]
		if first, ok := lineOf[id]; ok {
			return nil, fmt.Errorf("line %d: %s is on line %d already", n, id, first)
		}
		lineOf[id] = n
		open = append(open, openRow{id: id, reason: m[2], line: n})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read open rows: %w", err)
	}
	return open, nil
}

// checkOpen returns what is wrong with the list: an ID that is no row, and a
// row that has a test.
func checkOpen(open []openRow, rows []row, named map[string][]string) []string {
	known := map[string]bool{}
	for _, r := range rows {
		known[r.id] = true
	}
	var faults []string
	for _, o := range open {
		switch files := named[o.id]; {
		case !known[o.id]:
			faults = append(faults, fmt.Sprintf("line %d: %s is no row", o.line, o.id))
		case len(files) > 0:
			faults = append(faults, fmt.Sprintf("line %d: %s has a test in %s; delete the line", o.line, o.id, files[0]))
		}
	}
	return faults
}
