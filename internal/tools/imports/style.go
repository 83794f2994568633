package imports

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"

	"pluginsupervisor/internal/tools/source"
)

// MaxLines is the longest allowed length of a file, tests included.
const MaxLines = 500

// noWaiting holds the names that actors must not use, by package and name, with the
// reason.
var noWaiting = map[string]map[string]string{
	"sync": {
		"Mutex":   "state has one owner, an actor; other parts send messages",
		"RWMutex": "state has one owner, an actor; other parts send messages",
	},
	"time": {
		"Sleep": "a handler never blocks; use a timer",
	},
}

// CheckStyle returns the faults against the rules of style, in the order of the files.
func CheckStyle(files []source.File) []Fault {
	var faults []Fault
	for _, f := range files {
		if f.Lines > MaxLines {
			faults = append(faults, Fault{f.Path, fmt.Sprintf("has %d lines", f.Lines), fmt.Sprintf("a file has %d lines at most", MaxLines)})
		}
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				faults = append(faults, Fault{f.Path, "has an init function", "a package gets its values from its caller"})
			}
		}
		if within(f.Dir(), "actors") && !within(f.Dir(), "actors/actorstest") && !f.Test {
			faults = append(faults, checkWaiting(f)...)
		}
		if f.Test || within(f.Dir(), "actors/actorstest") {
			faults = append(faults, checkSkips(f)...)
		}
	}
	return faults
}

// checkWaiting finds the uses of noWaiting in a file.
func checkWaiting(f source.File) []Fault {
	names := map[string]map[string]string{} // by the name the file gives the package
	for _, spec := range f.Syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil || noWaiting[imported] == nil {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = noWaiting[imported]
	}
	var faults []Fault
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		if why := names[pkg.Name][sel.Sel.Name]; why != "" {
			faults = append(faults, Fault{f.Path, "uses " + pkg.Name + "." + sel.Sel.Name, why})
		}
		return true
	})
	return faults
}

// checkSkips finds tests that skip without testenv.
func checkSkips(f source.File) []Fault {
	var faults []Fault
	for n := range ast.Preorder(f.Syntax) {
		sel, ok := n.(*ast.SelectorExpr)
		if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			faults = append(faults, Fault{
				f.Path, fmt.Sprintf("uses %s on line %d", sel.Sel.Name, f.Line(sel.Pos())),
				"a test skips by testenv.SkipWithout only, so that make test-all can make it a failure",
			})
		}
	}
	return faults
}
