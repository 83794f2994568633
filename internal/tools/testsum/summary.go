package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// summary folds the events into what is printed.
type summary struct {
	w                       io.Writer
	order                   []*pkg // packages that began, in that order
	pkgs                    map[string]*pkg
	passed, failed, skipped int
}

func newSummary(w io.Writer) *summary { return &summary{w: w, pkgs: map[string]*pkg{}} }

// read takes all events; a line that is none is printed as it is.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(s.w, "%s", line)
			} else {
				s.add(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.w, e.Output)
		return
	case "build-fail": // the package it breaks fails as well
		return
	}
	p := s.pkgs[e.Package]
	if p == nil {
		p = newPkg()
		s.pkgs[e.Package] = p
		s.order = append(s.order, p)
	}
	p.add(e)
	if e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
		s.end(p, e.Action == "fail")
	}
}

// end prints a package that is over and counts its tests.
func (s *summary) end(p *pkg, failed bool) {
	p.done = true
	passed, bad, skipped := p.count(failed)
	s.passed += passed
	s.skipped += skipped
	if !failed {
		fmt.Fprint(s.w, p.last)
		return
	}
	s.failed += bad
	all := p.silent()
	for _, l := range p.lines {
		if all || l.test == "" || p.result[l.test] == "fail" {
			fmt.Fprint(s.w, l.text)
		}
	}
}

// close prints the sum. Packages still open did not end because go test did
// not; a status of failure is never summed up as nothing failed.
func (s *summary) close(code int) {
	for _, p := range s.order {
		if !p.done {
			s.end(p, true)
		}
	}
	if code != 0 && s.failed == 0 {
		s.failed = 1
	}
	fmt.Fprintf(s.w, "\n%d passed, %d failed", s.passed, s.failed)
	if s.skipped > 0 {
		fmt.Fprintf(s.w, ", %d skipped", s.skipped)
	}
	fmt.Fprintln(s.w)
}

// pkg is what is known of one package's tests.
type pkg struct {
	result map[string]string // test → pass, fail, skip, or "" while it runs
	parent map[string]bool   // tests with subtests
	lines  []outputLine      // all it printed
	last   string            // the last line of the package itself: "ok  …"
	done   bool
}

type outputLine struct{ test, text string }

func newPkg() *pkg { return &pkg{result: map[string]string{}, parent: map[string]bool{}} }

func (p *pkg) add(e event) {
	switch e.Action {
	case "run":
		p.result[e.Test] = ""
		for i, c := range e.Test {
			if c == '/' {
				p.parent[e.Test[:i]] = true
			}
		}
	case "pass", "fail", "skip":
		if e.Test != "" {
			p.result[e.Test] = e.Action
		}
	case "output":
		if isFrame(e.Output) {
			return
		}
		p.lines = append(p.lines, outputLine{e.Test, e.Output})
		if e.Test == "" {
			p.last = e.Output
		}
	}
}

// isFrame tells the lines that -json asks for and nobody wants to read.
func isFrame(line string) bool {
	for _, frame := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "} {
		if strings.HasPrefix(line, frame) {
			return true
		}
	}
	return false
}

// count sums up the package. In one that failed, a test that did not end is
// failed, and without any failed test the package itself is.
func (p *pkg) count(pkgFailed bool) (passed, failed, skipped int) {
	for test, r := range p.result {
		if r == "" && pkgFailed {
			r = "fail"
			p.result[test] = r
		}
		switch {
		case r == "fail":
			if !p.parent[test] || !p.childFailed(test) {
				failed++
			}
		case p.parent[test]:
		case r == "pass":
			passed++
		case r == "skip":
			skipped++
		}
	}
	if pkgFailed && failed == 0 {
		failed = 1
	}
	return passed, failed, skipped
}

// childFailed tells whether a failure of test is counted below it already.
func (p *pkg) childFailed(test string) bool {
	for name, r := range p.result {
		if strings.HasPrefix(name, test+"/") && r != "pass" && r != "skip" {
			return true
		}
	}
	return false
}

// silent: the package failed and none of its tests did, so what it printed is
// all there is to tell why.
func (p *pkg) silent() bool {
	for _, r := range p.result {
		if r == "fail" {
			return false
		}
	}
	return true
}
