package vocabulary

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"pluginsupervisor/internal/tools/source"
)

// MaxThings is the limit of different things that an identifier may name in a
// package: type, function, method, field, constant, variable of the package, local
// variable or parameter, and imported package.
const MaxThings = 3

// CheckThings returns the identifiers that name more than MaxThings different
// things in a package, each with the place where the last was found.
func CheckThings(files []source.File) []Fault {
	type place struct {
		path string
		line int
	}
	type use struct{ folder, name string }
	things := map[use]map[string]place{}
	for _, f := range files {
		if f.Test || ast.IsGenerated(f.Syntax) {
			continue
		}
		for thing, id := range thingsOf(f) {
			u := use{f.Dir(), id.Name}
			if things[u] == nil {
				things[u] = map[string]place{}
			}
			if _, known := things[u][thing]; !known {
				things[u][thing] = place{f.Path, f.Line(id.Pos())}
			}
		}
	}
	inOrder := func(a, b use) int {
		return cmp.Or(strings.Compare(a.folder, b.folder), strings.Compare(a.name, b.name))
	}
	var faults []Fault
	for _, u := range slices.SortedFunc(maps.Keys(things), inOrder) {
		of := things[u]
		if len(of) <= MaxThings {
			continue
		}
		kinds := slices.Sorted(maps.Keys(of))
		var named []string
		for _, thing := range kinds {
			named = append(named, fmt.Sprintf("%s (%s:%d)", thing, path.Base(of[thing].path), of[thing].line))
		}
		first := of[kinds[0]]
		faults = append(faults, Fault{first.path, first.line, "things", u.name, fmt.Sprintf("names %d things, %d at most: %s", len(of), MaxThings, strings.Join(named, ", "))})
	}
	return faults
}

// thingsOf returns the identifiers that a file declares, each with the kind of
// thing that it names.
func thingsOf(f source.File) func(yield func(string, *ast.Ident) bool) {
	return func(yield func(string, *ast.Ident) bool) {
		global := map[*ast.Ident]bool{}
		going := true
		add := func(thing string, ids ...*ast.Ident) {
			for _, id := range ids {
				if going && id.Name != "_" {
					going = yield(thing, id)
				}
			}
		}
		addFields := func(thing string, list *ast.FieldList) {
			if list != nil {
				for _, field := range list.List {
					add(thing, field.Names...)
				}
			}
		}
		addLocals := func(exprs ...ast.Expr) {
			for _, e := range exprs {
				if id, ok := e.(*ast.Ident); ok {
					add("local", id)
				}
			}
		}
		for _, spec := range f.Syntax.Imports {
			if imported, err := strconv.Unquote(spec.Path.Value); err == nil && spec.Name == nil {
				add("package", &ast.Ident{Name: path.Base(imported), NamePos: spec.Pos()})
			}
		}
		for _, d := range f.Syntax.Decls {
			if d, ok := d.(*ast.GenDecl); ok {
				for _, spec := range d.Specs {
					if spec, ok := spec.(*ast.ValueSpec); ok {
						for _, id := range spec.Names {
							global[id] = true
						}
						thing := "variable of the package"
						if d.Tok == token.CONST {
							thing = "constant"
						}
						add(thing, spec.Names...)
					}
				}
			}
		}
		for n := range ast.Preorder(f.Syntax) {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil {
					add("function", n.Name)
				} else {
					add("method", n.Name)
					addFields("local", n.Recv)
				}
			case *ast.TypeSpec:
				add("type", n.Name)
			case *ast.StructType:
				addFields("field", n.Fields)
			case *ast.InterfaceType:
				addFields("method", n.Methods)
			case *ast.FuncType:
				addFields("local", n.Params)
				addFields("local", n.Results)
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					addLocals(n.Lhs...)
				}
			case *ast.RangeStmt:
				if n.Tok == token.DEFINE {
					addLocals(n.Key, n.Value)
				}
			case *ast.ValueSpec:
				for _, id := range n.Names {
					if !global[id] {
						add("local", id)
					}
				}
			}
			if !going {
				return
			}
		}
	}
}
