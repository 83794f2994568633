// Package vocabulary checks the words of the project. Its tests find
//
//   - messages that the table of ARCHITECTURE.md lacks, and rows without a message
//   - private words in what users read and in exported names
//   - doc comments that do not begin with the name and a standard verb
//   - identifiers that name too many different things in a package
package vocabulary

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Structs returns the exported struct types of the Go files in the folder
// fsys, tests left out, sorted.
func Structs(fsys fs.FS) ([]string, error) {
	files, err := fs.Glob(fsys, "*.go")
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		for n := range ast.Preorder(syntax) {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				continue
			}
			if _, ok := spec.Type.(*ast.StructType); ok {
				names = append(names, spec.Name.Name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

var (
	heading = regexp.MustCompile(`(?m)^## Messages\n`)
	code    = regexp.MustCompile("`([^`]*)`")
)

// Table returns what stands as code in the first column of the tables below
// the heading Messages, sorted; a span of code may hold several words.
func Table(document string) ([]string, error) {
	at := heading.FindStringIndex(document)
	if at == nil {
		return nil, fmt.Errorf("no heading %q", "## Messages")
	}
	section, _, _ := strings.Cut(document[at[1]:], "\n## ")
	var names []string
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || cells[0] != "" {
			continue
		}
		for _, span := range code.FindAllStringSubmatch(cells[1], -1) {
			names = append(names, strings.Fields(span[1])...)
		}
	}
	slices.Sort(names)
	return names, nil
}
