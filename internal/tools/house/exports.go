package main

import (
	"go/ast"
	"go/token"
	"regexp"

	"pluginsupervisor/internal/tools/source"
)

// export is one exported name of a package: a function, a method of an
// exported type, a type, a constant or a variable.
type export struct {
	name string
	doc  bool
}

// listExports returns the exported names of the files.
func listExports(files []source.File) []export {
	var all []export
	for _, f := range files {
		for _, d := range f.Syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiverName(d))) {
					all = append(all, export{d.Name.Name, d.Doc != nil})
				}
			case *ast.GenDecl:
				all = append(all, exportsOf(d)...)
			}
		}
	}
	return all
}

// exportsOf returns the exported names of a declaration. A comment of the
// declaration documents each of its constants and variables.
func exportsOf(d *ast.GenDecl) []export {
	var all []export
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				all = append(all, export{spec.Name.Name, spec.Doc != nil || spec.Comment != nil || d.Doc != nil})
			}
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				if name.IsExported() {
					all = append(all, export{name.Name, spec.Doc != nil || spec.Comment != nil || d.Doc != nil})
				}
			}
		}
	}
	return all
}

// receiverName returns the name of a method's type.
func receiverName(fn *ast.FuncDecl) string {
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

var (
	plainDoc = regexp.MustCompile(`^\S+ (returns|reports)\b`)
	tellsDoc = regexp.MustCompile(`^\S+ (tells\b|is (what|how|when|who|where|why)\b)`)
)

// docForms returns how many doc comments of the files begin with "X returns" or
// "X reports", and how many with "X tells" or "X is what".
func docForms(files []source.File) (plain, tells int) {
	count := func(doc *ast.CommentGroup) {
		switch text := doc.Text(); {
		case plainDoc.MatchString(text):
			plain++
		case tellsDoc.MatchString(text):
			tells++
		}
	}
	for _, f := range files {
		for _, d := range f.Syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				count(d.Doc)
			case *ast.GenDecl:
				if d.Tok == token.IMPORT {
					continue
				}
				count(d.Doc)
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						count(spec.Doc)
					case *ast.ValueSpec:
						count(spec.Doc)
					}
				}
			}
		}
	}
	return plain, tells
}
