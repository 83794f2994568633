package vocabulary

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"

	"pluginsupervisor/internal/tools/source"
)

// verbs holds the verbs that a doc comment begins with, behind the name.
var verbs = wordSet(`
	is are was has holds contains keeps lists names describes identifies represents distinguishes means says
	returns reports gets finds counts compares reads parses decodes encodes formats prints writes renders shows
	runs supervises starts stops restarts kills ends calls executes drives does performs applies works changes carries handles serves answers asks queries requests orders
	makes creates recreates builds opens closes sets fills adds appends inserts registers records stores saves remembers marks
	removes deletes empties clears drops forgets discards releases cancels resets undoes reverts restores rolls
	copies moves renames replaces swaps switches links mounts locks unlocks joins splits folds merges commits
	waits blocks watches follows notices detects observes monitors polls probes checks verifies validates tests measures
	fetches downloads uploads installs uninstalls upgrades unpacks packs signs sends receives queues enqueues dispatches delivers
	decides chooses selects picks allows lets limits bounds caps shortens refuses rejects fails ignores hides skips
	implements wraps converts maps translates turns takes uses gives begins finishes completes collects generates derives
	leaves passes puts schedules spawns retries resumes continues grants acquires reserves tracks notifies announces
	connects listens logs traces documents defines configures overrides loads prepares initializes
`)

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(text) {
		set[word] = true
	}
	return set
}

var (
	docStart  = regexp.MustCompile(`^(?:An? |The )?(\S+?)((?:, \S+)* and \S+)?[,:]?\s+(\S+)\s*(\S*)`)
	questions = wordSet("what how when who where why whether")
)

// CheckDocs returns the doc comments of exported names that do not begin with
// the name and a standard verb. A comment of a group of constants or variables
// is free.
func CheckDocs(files []source.File) []Fault {
	var faults []Fault
	for _, f := range files {
		if f.Test || ast.IsGenerated(f.Syntax) {
			continue
		}
		check := func(name *ast.Ident, doc *ast.CommentGroup) {
			if doc == nil || !name.IsExported() {
				return
			}
			if wrong := docFault(name.Name, doc.Text()); wrong != "" {
				faults = append(faults, Fault{f.Path, f.Line(doc.Pos()), "doc", name.Name, wrong})
			}
		}
		for _, d := range f.Syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || ast.IsExported(receiverName(d)) {
					check(d.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					doc := d.Doc
					if d.Lparen.IsValid() {
						doc = nil
					}
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Doc != nil {
							doc = spec.Doc
						}
						check(spec.Name, doc)
					case *ast.ValueSpec:
						if spec.Doc != nil {
							doc = spec.Doc
						}
						check(spec.Names[0], doc)
					}
				}
			}
		}
	}
	return faults
}

// docFault returns what is wrong with the doc comment of a name, empty for
// nothing.
func docFault(name, text string) string {
	if strings.HasPrefix(text, "Deprecated:") {
		return ""
	}
	m := docStart.FindStringSubmatch(text)
	switch {
	case m == nil || m[1] != name:
		return "begin the comment with the name"
	case (m[3] == "is" || m[3] == "are") && questions[m[4]]:
		return fmt.Sprintf("not %q: name the thing", m[3]+" "+m[4])
	}
	verb := strings.TrimRight(m[3], ",.;:")
	if several := m[2] != "" || strings.HasSuffix(name, "s"); !verbs[verb] && !(several && verbs[verb+"s"]) { // A and B return
		return fmt.Sprintf("%q is no standard verb: returns, reports whether, is, holds, runs, …", verb)
	}
	return ""
}

// receiverName returns the name of a method's type.
func receiverName(fn *ast.FuncDecl) string {
	for n := range ast.Preorder(fn.Recv.List[0].Type) {
		if id, ok := n.(*ast.Ident); ok {
			return id.Name
		}
	}
	return ""
}
