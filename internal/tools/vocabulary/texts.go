package vocabulary

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"pluginsupervisor/internal/tools/source"
)

// Fault is one violation in a file.
type Fault struct {
	Path string // from the root of the module
	Line int
	Rule string // word, name, doc or things
	What string // the word, the name of the comment, the identifier
	Say  string // what is wrong, and what to do
}

// Folder returns the folder of the file; a document, and a file of the root,
// stands for itself.
func (f Fault) Folder() string {
	if dir := path.Dir(f.Path); path.Ext(f.Path) == ".go" && dir != "." {
		return dir
	}
	return f.Path
}

func (f Fault) String() string {
	return fmt.Sprintf("%s:%d: %s %q: %s", f.Path, f.Line, f.Rule, f.What, f.Say)
}

// CheckTexts returns the private words in what users read: texts in the source
// of the programs, documents, pages, the help of the Makefile and what forges
// and packages show.
func CheckTexts(root fs.FS, files []source.File) ([]Fault, error) {
	var faults []Fault
	check := func(name string, number int, line string) {
		for _, w := range findPhrases(line, path.Ext(name) == ".go") {
			faults = append(faults, Fault{name, number, "word", w.found, "say " + w.plain})
		}
	}
	for _, f := range files {
		if f.Test || within(f.Path, "internal/tools") {
			continue
		}
		for text, at := range listSentences(f) {
			for i, line := range strings.Split(text, "\n") {
				check(f.Path, f.Line(at)+i, line)
			}
		}
	}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		lines := readableLines(name)
		if lines == nil {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(lines(string(text)), "\n") {
			check(name, i+1, line)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read texts: %w", err)
	}
	return faults, nil
}

// listSentences returns the texts of a file that a person may read, with their
// place: string literals of several words, and single ones that begin like a
// sentence or end like a heading. Keys, flags and names on disk are neither.
func listSentences(f source.File) func(yield func(string, token.Pos) bool) {
	return func(yield func(string, token.Pos) bool) {
		tags := map[*ast.BasicLit]bool{}
		for n := range ast.Preorder(f.Syntax) {
			switch n := n.(type) {
			case *ast.Field:
				if n.Tag != nil {
					tags[n.Tag] = true
				}
			case *ast.ImportSpec:
				tags[n.Path] = true
			case *ast.BasicLit:
				if n.Kind != token.STRING || tags[n] {
					continue
				}
				text, err := strconv.Unquote(n.Value)
				if err == nil && isSentence(text) && !yield(text, n.Pos()) {
					return
				}
			}
		}
	}
}

func isSentence(text string) bool {
	text = strings.TrimSpace(text)
	return strings.ContainsAny(text, " \n") || strings.HasSuffix(text, ":") || text != "" && unicode.IsUpper([]rune(text)[0])
}

var (
	codeSpan = regexp.MustCompile("`[^` \n]+`|\\]\\([^)]*\\)") // one word of code, the target of a link
	markup   = regexp.MustCompile(`(?s)<(script|style)[^>]*>.*?</(script|style)>|\{\{.*?\}\}|<[^>]*>`)
	helpLine = regexp.MustCompile(`(?m)^([a-z-]+:.*## )?(.*)$`)
)

// readableLines returns what makes the readable lines of a file's text, and nil
// for a file that has none. Each line keeps its number.
func readableLines(name string) func(text string) string {
	switch {
	case path.Ext(name) == ".md":
		return func(text string) string { return codeSpan.ReplaceAllString(text, "``") }
	case path.Ext(name) == ".html":
		return func(text string) string {
			return markup.ReplaceAllStringFunc(text, func(tag string) string { return strings.Repeat("\n", strings.Count(tag, "\n")) })
		}
	case name == "Makefile":
		return func(text string) string {
			return helpLine.ReplaceAllStringFunc(text, func(line string) string {
				_, help, _ := strings.Cut(line, "## ")
				return help
			})
		}
	case within(name, ".github") && path.Ext(name) == ".yml", within(name, "packaging"):
		return func(text string) string { return text }
	}
	return nil
}

// CheckNames returns the private words in exported names of packages, methods
// and fields included, and in the names of packages.
func CheckNames(files []source.File) []Fault {
	var faults []Fault
	for _, f := range files {
		if f.Test || within(f.Path, "internal/tools/vocabulary") || ast.IsGenerated(f.Syntax) {
			continue
		}
		for _, id := range declaredNames(f) {
			if !ast.IsExported(id.Name) {
				continue
			}
			for _, w := range findNameWords(f.Dir(), id.Name) {
				faults = append(faults, Fault{f.Path, f.Line(id.Pos()), "name", id.Name, "has " + w.found + "; say " + w.plain})
			}
		}
	}
	return faults
}

// declaredNames returns what a file declares for others: package-level names,
// methods, fields and the methods of interfaces.
func declaredNames(f source.File) []*ast.Ident {
	var ids []*ast.Ident
	for _, d := range f.Syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			ids = append(ids, d.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					ids = append(ids, spec.Names...)
				case *ast.TypeSpec:
					ids = append(ids, spec.Name)
					for n := range ast.Preorder(spec.Type) {
						if field, ok := n.(*ast.Field); ok {
							ids = append(ids, field.Names...)
						}
					}
				}
			}
		}
	}
	return ids
}

func within(name, folder string) bool { return strings.HasPrefix(name, folder+"/") }
