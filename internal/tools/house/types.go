package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/types"
	"io"
	"slices"
	"strings"
)

// declaredType is a type with its methods and, if it is a struct, its fields.
type declaredType struct {
	name    string   // actors.coordinator
	folder  string   // actors
	fields  []string // "now time.Time"; an embedded one is its type
	methods []method // in the order of the files
}

type method struct {
	name, file string
	lines      int
}

func (s declaredType) methodLines() int {
	n := 0
	for _, m := range s.methods {
		n += m.lines
	}
	return n
}

// listTypes returns the types of the source, the one with the most fields and
// methods first.
func (c codebase) listTypes() []declaredType {
	byName := map[string]*declaredType{} // by folder and name
	var all []*declaredType
	for _, f := range c.source {
		for _, d := range f.Syntax.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range decl.Specs {
				spec, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				s := &declaredType{name: packageName(f) + "." + spec.Name.Name, folder: f.Dir()}
				if fields, ok := spec.Type.(*ast.StructType); ok {
					s.fields = fieldsOf(fields)
				}
				byName[f.Dir()+"."+spec.Name.Name] = s
				all = append(all, s)
			}
		}
	}
	for _, f := range c.source {
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			if s := byName[f.Dir()+"."+receiverName(fn)]; s != nil {
				s.methods = append(s.methods, method{fn.Name.Name, f.Path, countLines(f, fn)})
			}
		}
	}
	var sorted []declaredType
	for _, s := range all {
		sorted = append(sorted, *s)
	}
	slices.SortStableFunc(sorted, func(a, b declaredType) int {
		return cmp.Compare(len(b.fields)+len(b.methods), len(a.fields)+len(a.methods))
	})
	return sorted
}

func fieldsOf(s *ast.StructType) []string {
	var fields []string
	for _, f := range s.Fields.List {
		of := types.ExprString(f.Type)
		if len(f.Names) == 0 {
			fields = append(fields, of)
		}
		for _, name := range f.Names {
			fields = append(fields, name.Name+" "+of)
		}
	}
	return fields
}

// findType returns the type with the name, as actors.coordinator, or with the
// folder before it where the package's name is not enough.
func findType(all []declaredType, name string) (declaredType, bool) {
	i := slices.IndexFunc(all, func(s declaredType) bool {
		_, base, _ := strings.Cut(s.name, ".")
		return s.name == name || s.folder+"."+base == name
	})
	if i < 0 {
		return declaredType{}, false
	}
	return all[i], true
}

func printType(w io.Writer, s declaredType) {
	fmt.Fprintf(w, "%s in %s: %d fields, %d methods, %d lines of methods\n", s.name, s.folder, len(s.fields), len(s.methods), s.methodLines())
	for _, f := range s.fields {
		fmt.Fprintln(w, "  field ", f)
	}
	for _, m := range s.methods {
		fmt.Fprintf(w, "  method %s, %d lines in %s\n", m.name, m.lines, m.file)
	}
}
