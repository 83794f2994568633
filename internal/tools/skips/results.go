package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
)

const module = "pluginsupervisor"

// test is a test or a subtest.
type test struct{ pkg, name string }

func (t test) String() string { return t.pkg + " " + t.name }

func (t test) compare(other test) int {
	return cmp.Or(cmp.Compare(t.pkg, other.pkg), cmp.Compare(t.name, other.name))
}

// result is the outcome of a test.
type result struct {
	skipped bool
	reason  string // what the test printed when it skipped
}

// parseResults reads the events of `go test -json` and returns the result of each
// finished test. It fails when there is none.
func parseResults(r io.Reader) (map[test]result, error) {
	results := map[test]result{}
	printed := map[test]string{}
	for d := json.NewDecoder(r); ; {
		var e struct{ Action, Package, Test, Output string }
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("event of go test: %w", err)
		}
		if e.Test == "" {
			continue
		}
		t := test{shortPackage(e.Package), e.Test}
		switch e.Action {
		case "output":
			if line := strings.TrimSpace(e.Output); line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
				printed[t] = line
			}
		case "pass", "fail":
			results[t] = result{}
		case "skip":
			results[t] = result{skipped: true, reason: printed[t]}
		}
	}
	if len(results) == 0 {
		return nil, errors.New("it has no finished test")
	}
	return results, nil
}

// parseList reads the tests that may be skipped.
func parseList(r io.Reader) (map[test]bool, error) {
	allowed := map[test]bool{}
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line, _, _ := strings.Cut(s.Text(), "#")
		switch words := strings.Fields(line); len(words) {
		case 0:
		case 2:
			allowed[test{words[0], words[1]}] = true
		default:
			return nil, fmt.Errorf("line %d: want a package and a test", n)
		}
	}
	return allowed, s.Err()
}

// shortPackage returns the folder of a package of this module, as "./plugin".
func shortPackage(path string) string {
	if short, ok := strings.CutPrefix(path, module); ok {
		return "." + short
	}
	return path
}

func countSkipped(results map[test]result) (n int) {
	for _, r := range results {
		if r.skipped {
			n++
		}
	}
	return n
}

// packageRan reports whether the run had any test of a package.
func packageRan(results map[test]result, pkg string) bool {
	for t := range maps.Keys(results) {
		if t.pkg == pkg {
			return true
		}
	}
	return false
}
