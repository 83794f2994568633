// Package causes keeps the table of causes and cures in docs/operations.md complete:
// it has every text of the supervisor about a fault. The test of the package finds
// missing ones.
package causes

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"pluginsupervisor/internal/tools/source"
)

// FaultTexts returns the texts of faults in the module at root, sorted: the texts of
// exported sentinel errors and of failures of commands (internal/process), and the
// names of problems.
func FaultTexts(root fs.FS) ([]string, error) {
	files, err := source.Load(root)
	if err != nil {
		return nil, err
	}
	texts := map[string]bool{}
	for _, f := range files {
		if f.Test || strings.HasPrefix(f.Path, "internal/tools/") {
			continue
		}
		for node := range ast.Preorder(f.Syntax) {
			for _, text := range textsIn(f, node) {
				texts[text] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(texts)), nil
}

func textsIn(f source.File, node ast.Node) []string {
	switch n := node.(type) {
	case *ast.ValueSpec: // var ErrX = errors.New("…")
		if len(n.Names) == 1 && strings.HasPrefix(n.Names[0].Name, "Err") && len(n.Values) == 1 {
			return callText(n.Values[0], "New", 0)
		}
	case *ast.CallExpr:
		texts := slices.Concat(callText(n, "addProblem", 0), callText(n, "followSource", 2))
		if f.Dir() == "internal/process" {
			texts = append(texts, callText(n, "fail", 0)...)
		}
		return texts
	}
	return nil
}

// callText returns an argument of a call of a function, if it is a string literal.
func callText(e ast.Expr, function string, at int) []string {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) <= at {
		return nil
	}
	name := ""
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		name = fun.Name
	case *ast.SelectorExpr:
		name = fun.Sel.Name
	}
	literal, ok := call.Args[at].(*ast.BasicLit)
	if name != function || !ok || literal.Kind != token.STRING {
		return nil
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return nil
	}
	return []string{text}
}

// MissingTexts returns the texts that no row of the section's table begins with.
func MissingTexts(document, section string, texts []string) ([]string, error) {
	_, body, found := strings.Cut(document, "\n## "+section+"\n")
	if !found {
		return nil, fmt.Errorf("no section %q", section)
	}
	body, _, _ = strings.Cut(body, "\n## ")
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool {
		return strings.Contains(body, "\n| `"+text)
	}), nil
}
