package main

import (
	"go/ast"
	"go/token"
	"strings"
	"unicode"

	"pluginsupervisor/internal/tools/source"
)

// function is one declared function or method.
type function struct {
	name       string
	lines      int
	cyclomatic int
}

// listFunctions returns the declared functions and methods of the files that have
// a body.
func listFunctions(files []source.File) []function {
	var all []function
	for _, f := range files {
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			all = append(all, function{fn.Name.Name, countLines(f, fn), countBranches(fn)})
		}
	}
	return all
}

// countLines returns the lines of a node, its comment left out.
func countLines(f source.File, n ast.Node) int { return f.Line(n.End()) - f.Line(n.Pos()) + 1 }

// countBranches returns 1 plus the number of branches of fn, function literals
// included: if, for, range, case, && and ||.
func countBranches(fn *ast.FuncDecl) int {
	n := 1
	for node := range ast.Preorder(fn) {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil {
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
	}
	return n
}

// countWords returns how many words a name in camel case has; an abbreviation in
// capitals is one, a digit belongs to the word before it.
func countWords(name string) int {
	runes := []rune(strings.Trim(name, "_"))
	n := 1
	for i := 1; i < len(runes); i++ {
		upper := unicode.IsUpper(runes[i])
		begins := upper && !unicode.IsUpper(runes[i-1]) || // aB
			upper && i+1 < len(runes) && unicode.IsLower(runes[i+1]) // ABc
		if begins || runes[i] == '_' {
			n++
		}
	}
	return n
}
