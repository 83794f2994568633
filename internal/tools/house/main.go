// Command house measures the size and the form of the code, so that a change
// of structure can be compared by numbers.
//
//	go run ./internal/tools/house [-dir .] [-base DIR] [-type actors.coordinator]
//
// It prints one table: sizes of files and functions, cyclomatic complexity,
// the ratio of tests to source, exports and their comments, names, the form of
// doc comments, tests named after their sources, godoc examples, and the type
// with the most fields and methods. With -base, a folder with an older version
// of the module (git worktree add --detach DIR COMMIT), it prints its values
// too. With -type it prints the fields and methods of that one type.
//
// Generated files, testdata and modules of their own are left out. Source
// means files that are no tests.
//
// Exit status: 0; 1 when the files cannot be read or the type does not exist;
// 2 when the arguments cannot be understood.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"pluginsupervisor/internal/tools/source"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("house", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", ".", "root of the module to measure")
	baseDir := flags.String("base", "", "root of an older version of the module, to compare with")
	typeName := flags.String("type", "", "print the fields and methods of this type, as actors.coordinator")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	code, err := loadCodebase(*dir)
	if err != nil {
		fmt.Fprintln(stderr, "house:", err)
		return 1
	}
	if *typeName == "" {
		var base *codebase
		if *baseDir != "" {
			if base, err = loadCodebase(*baseDir); err != nil {
				fmt.Fprintln(stderr, "house:", err)
				return 1
			}
		}
		code.printTable(stdout, base)
		return 0
	}
	found, ok := findType(code.listTypes(), *typeName)
	if !ok {
		fmt.Fprintf(stderr, "house: no type %s\n", *typeName)
		return 1
	}
	printType(stdout, found)
	return 0
}

func loadCodebase(dir string) (*codebase, error) {
	files, err := source.Load(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	code := newCodebase(files)
	return &code, nil
}
