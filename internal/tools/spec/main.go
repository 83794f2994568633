// Command spec lists the rows of the specification with the test that names
// each, and counts those without one.
//
//	go run ./internal/tools/spec [-doc docs/spec.md] [-open docs/spec-open.txt] [-root .] [-require TM,ST | -require all]
//
// A row has a test when a *_test.go or *.txtar file has its ID as a whole word. That
// shows that a test was written for the row, not that the test is good; it prevents
// that a row is forgotten. The list of open rows names the rows that have no test
// yet, each with a reason.
//
// Exit status: 0; 1 when a row of a required prefix has no test and is not
// open, when an open row has a test or does not exist, or when a test names a
// row of a required prefix that does not exist; 2 when the arguments or the
// documents cannot be understood.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("spec", flag.ContinueOnError)
	flags.SetOutput(stderr)
	doc := flags.String("doc", "docs/spec.md", "the specification")
	openList := flags.String("open", "docs/spec-open.txt", "the rows that have no test yet")
	root := flags.String("root", ".", "folder to search for tests")
	require := flags.String("require", "", "comma-separated prefixes whose every row must have a test or be open, or all")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	rows, err := readRows(*doc)
	if err != nil {
		fmt.Fprintln(stderr, "spec:", err)
		return 2
	}
	open, err := readOpen(*openList)
	if err != nil {
		fmt.Fprintln(stderr, "spec:", err)
		return 2
	}
	required, err := parsePrefixes(*require, rows)
	if err != nil {
		fmt.Fprintln(stderr, "spec:", err)
		return 2
	}
	named, err := namedIn(os.DirFS(*root))
	if err != nil {
		fmt.Fprintln(stderr, "spec:", err)
		return 2
	}

	reasons := map[string]string{}
	for _, o := range open {
		reasons[o.id] = o.reason
	}
	printRows(stdout, rows, named, reasons)
	printSummary(stdout, rows, named)
	code := printFaults(stderr, required, rows, named, reasons)
	for _, fault := range checkOpen(open, rows, named) {
		fmt.Fprintf(stderr, "spec: %s, %s\n", *openList, fault)
		code = 1
	}
	return code
}

func readRows(path string) ([]row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open specification: %w", err)
	}
	defer f.Close()
	rows, err := parseRows(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return rows, nil
}

// parsePrefixes splits the -require flag; all means every prefix of the rows. A prefix
// without a row is an error, because it would require nothing.
func parsePrefixes(flag string, rows []row) ([]string, error) {
	if flag == "" {
		return nil, nil
	}
	if flag == "all" {
		var list []string
		for _, r := range rows {
			list = append(list, r.prefix())
		}
		return list, nil
	}
	list := strings.Split(flag, ",")
	for _, p := range list {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.prefix() == p }) {
			return nil, fmt.Errorf("no row has the required prefix %q", p)
		}
	}
	return list, nil
}

// printFaults prints the rows of the required prefixes that have no test and no
// reason, and the IDs that are no row. It returns the exit status.
func printFaults(w io.Writer, required []string, rows []row, named map[string][]string, reasons map[string]string) int {
	code := 0
	for _, r := range rows {
		if slices.Contains(required, r.prefix()) && len(named[r.id]) == 0 && reasons[r.id] == "" {
			fmt.Fprintf(w, "spec: %s has no test: %s\n", r.id, r.condition)
			code = 1
		}
	}
	for _, id := range unknownIDs(rows, named) {
		fmt.Fprintf(w, "spec: %s names %s, which is no row\n", named[id][0], id)
		if slices.Contains(required, prefixOf(id)) {
			code = 1
		}
	}
	return code
}
