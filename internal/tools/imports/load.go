// Package imports keeps the shape of the project: who may import whom
// (ARCHITECTURE.md, Imports), and the few rules of style a compiler does not
// know. Its test runs them over every Go file of the module and says of each
// fault where it is and which rule it breaks.
//
// A rule that stands in the way is changed in rules.go, in the same commit as
// the code that needs it, so that the change is seen.
package imports

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module whose files are checked.
const Module = "pluginsupervisor"

// File is one Go file.
type File struct {
	Path    string   // from the root of the module, with slashes
	Test    bool     // *_test.go
	Lines   int      // of text
	Imports []string // as written, sorted
	Syntax  *ast.File
}

// Dir is the folder of the file, "." for the root.
func (f File) Dir() string { return path.Dir(f.Path) }

// Fault is a broken rule.
type Fault struct {
	File string
	What string // imports net/http
	Why  string // the rule
}

func (f Fault) String() string { return f.File + " " + f.What + ": " + f.Why }

// Load parses every Go file below root that the go command would build: not
// what stands in testdata, in hidden folders, or in a module of its own.
func Load(root fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && !built(root, p):
			return fs.SkipDir
		case d.IsDir() || path.Ext(p) != ".go":
			return nil
		}
		f, err := load(root, p)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the module's files: %w", err)
	}
	return files, nil
}

func built(root fs.FS, dir string) bool {
	if dir == "." {
		return true
	}
	base := path.Base(dir)
	if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "vendor" {
		return false
	}
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err != nil
}

func load(root fs.FS, p string) (File, error) {
	text, err := fs.ReadFile(root, p)
	if err != nil {
		return File{}, err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), p, text, parser.SkipObjectResolution)
	if err != nil {
		return File{}, err
	}
	f := File{Path: p, Test: strings.HasSuffix(p, "_test.go"), Lines: bytes.Count(text, []byte("\n")), Syntax: syntax}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, fmt.Errorf("%s: import %s: %w", p, spec.Path.Value, err)
		}
		f.Imports = append(f.Imports, imported)
	}
	slices.Sort(f.Imports)
	return f, nil
}
