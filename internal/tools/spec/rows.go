package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// row is one row of the specification.
type row struct {
	id        string // SC-08
	section   string // the heading above it, without the #
	condition string // its second column
}

func (r row) prefix() string { return prefixOf(r.id) }

func prefixOf(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	return prefix
}

// A cell may hold \|, which does not end the cell.
var rowLine = regexp.MustCompile(`^\| ([A-Z]{2}-[0-9]+) \|((?:[^|\\]|\\.)*)\|`)

// parseRows reads the rows in the order of the document. An ID that exists twice is an
// error, because a test that names it would be ambiguous.
func parseRows(r io.Reader) ([]row, error) {
	var rows []row
	section := ""
	lineOf := map[string]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
			continue
		}
		m := rowLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		id := m[1]
		if first, ok := lineOf[id]; ok {
			return nil, fmt.Errorf("line %d: %s is on line %d already", n, id, first)
		}
		lineOf[id] = n
		rows = append(rows, row{id: id, section: section, condition: strings.TrimSpace(m[2])})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	if len(rows) == 0 {
		return nil, errors.New("no rows")
	}
	return rows, nil
}
