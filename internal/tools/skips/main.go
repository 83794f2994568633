// Command skips prints the tests of a run that were skipped, with the reason,
// and fails on one that the list does not name, so that no test stops running
// unnoticed.
//
//	go run ./internal/tools/skips [-list .ci/skips.txt] FILE
//
// FILE is the output of `go test -json`; `make test JSON=FILE` writes it. A line
// of the list is a package and a test, as "./internal/admin TestRoutes/others";
// empty lines and what follows a # are comments. A listed test may run, since
// what it needs depends on the machine, but it must exist.
//
// Exit status: 0; 1 when a test was skipped that is not listed, or a listed test
// does not exist, or a file cannot be read; 2 when the arguments are wrong.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("skips", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := flags.String("list", ".ci/skips.txt", "file with the tests that may be skipped")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		fmt.Fprintln(stderr, "usage: skips [-list LIST] FILE")
		return 2
	}
	if err := checkSkipped(*list, flags.Arg(0), stdout); err != nil {
		fmt.Fprintln(stderr, "skips:", err)
		return 1
	}
	return 0
}

// checkSkipped prints the skipped tests of a file of results. It returns an error that
// names those which the file list does not allow and those which do not exist.
func checkSkipped(list, file string, w io.Writer) error {
	allowed, err := readFile(list, parseList)
	if err != nil {
		return err
	}
	results, err := readFile(file, parseResults)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d tests skipped\n", countSkipped(results))
	var failed []error
	for _, t := range slices.SortedFunc(maps.Keys(results), test.compare) {
		if !results[t].skipped {
			continue
		}
		fmt.Fprintf(w, "  %s: %s\n", t, results[t].reason)
		if !allowed[t] {
			failed = append(failed, fmt.Errorf("%s was skipped and is not in %s", t, list))
		}
	}
	for _, t := range slices.SortedFunc(maps.Keys(allowed), test.compare) {
		if _, ok := results[t]; !ok && packageRan(results, t.pkg) {
			failed = append(failed, fmt.Errorf("%s is in %s and does not exist", t, list))
		}
	}
	return errors.Join(failed...)
}

func readFile[T any](path string, parse func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(path)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	read, err := parse(f)
	if err != nil {
		return read, fmt.Errorf("read %s: %w", path, err)
	}
	return read, nil
}
