// Package source parses the Go files of the module for the checks of the
// project.
package source

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

// File is one Go file.
type File struct {
	Path    string   // from the root of the module, with slashes
	Test    bool     // *_test.go
	Lines   int      // of text
	Imports []string // as written, sorted
	Syntax  *ast.File
	Set     *token.FileSet // positions of Syntax
}

// Dir returns the folder of the file, "." for the root.
func (f File) Dir() string { return path.Dir(f.Path) }

// Line returns the line of a position.
func (f File) Line(p token.Pos) int { return f.Set.Position(p).Line }

// Load parses every Go file below root that the go command would build: no file in
// testdata, in hidden folders, or in a module of its own.
func Load(root fs.FS) ([]File, error) {
	var files []File
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && !isBuilt(root, p):
			return fs.SkipDir
		case d.IsDir() || path.Ext(p) != ".go":
			return nil
		}
		f, err := parseFile(root, p)
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

func isBuilt(root fs.FS, dir string) bool {
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

func parseFile(root fs.FS, p string) (File, error) {
	text, err := fs.ReadFile(root, p)
	if err != nil {
		return File{}, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, p, text, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil {
		return File{}, err
	}
	f := File{
		Path: p, Test: strings.HasSuffix(p, "_test.go"), Lines: bytes.Count(text, []byte("\n")),
		Syntax: syntax, Set: set,
	}
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
