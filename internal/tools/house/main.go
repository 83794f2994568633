// Command house measures the size and the form of the code, so that a change
// of structure can be compared by numbers.
//
//	go run ./internal/tools/house [-dir .] [-type actors.coordinator]
//
// It prints one table: sizes of files and functions, cyclomatic complexity,
// the ratio of tests to source, what packages export and document, names, the
// form of doc comments, and the type with the most fields and methods. With
// -type it prints the fields and methods of that one type.
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
	typeName := flags.String("type", "", "print the fields and methods of this type, as actors.coordinator")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	files, err := source.Load(os.DirFS(*dir))
	if err != nil {
		fmt.Fprintln(stderr, "house:", err)
		return 1
	}
	code := newCodebase(files)
	if *typeName == "" {
		code.printTable(stdout)
		return 0
	}
	found, ok := findType(code.types(), *typeName)
	if !ok {
		fmt.Fprintf(stderr, "house: no type %s\n", *typeName)
		return 1
	}
	printType(stdout, found)
	return 0
}
