package imports

import (
	"slices"
	"strings"
)

const (
	protoActor = "github.com/asynkron/protoactor-go"
	logrus     = "github.com/sirupsen/logrus"
	backoff    = "github.com/cenkalti/backoff/v4"
	sql        = "database/sql"
	bbolt      = "go.etcd.io/bbolt"
	execs      = "os/exec"
)

var anyModule = []string{"*"}

// rule says what the files of a folder, and of those below it, may import
// beside the standard library and the folder itself.
type rule struct {
	folder  string
	may     []string // folders of this module
	modules []string // other modules, or anyModule
	never   []string // even where the above allows it
	why     string
}

// The first rule that fits a file holds.
var rules = []rule{
	{
		folder: "plugin",
		why:    "plugin holds the words of the domain and imports the standard library only",
	},
	{
		folder: "messages",
		may:    []string{"plugin"},
		why:    "messages say what actors tell each other in the words of plugin; they import nothing else of ours",
	},
	{
		folder:  "actors",
		may:     []string{"messages", "plugin"},
		modules: []string{protoActor, logrus, backoff},
		never:   []string{execs, "net/http", "syscall"},
		why:     "actors decide and do no work: processes, files and HTTP are behind the ports of actors/ports.go",
	},
	{
		folder:  "internal",
		may:     []string{"plugin", "internal"},
		modules: anyModule,
		never:   []string{protoActor},
		why:     "internal packages do the work and know no policy: they speak the words of plugin, never actors or messages",
	},
	{
		folder:  "cmd",
		may:     []string{"plugin", "messages", "actors", "internal"},
		modules: anyModule,
		never:   []string{protoActor},
		why:     "commands wire the parts together; nothing but actors knows proto.actor",
	},
	{
		folder: "examples",
		why:    "a sample plugin shows the plugin contract and nothing of this project",
	},
}

// testLibraries are for tests, anywhere, and for nothing else.
var testLibraries = []string{"github.com/google/go-cmp", "pgregory.net/rapid", "github.com/rogpeppe/go-internal"}

// runners may import os/exec outside of tests.
var runners = []string{
	"internal/process", // runs every verb
	"internal/tools",   // bench and soak run the programs
	"cmd/supervisor",   // demo starts the control plane
	"examples",         // a plugin daemonizes itself
}

// Check returns every edge that the rules forbid, in the order of the files,
// then the faults of the whole.
func Check(files []File) []Fault {
	var faults []Fault
	for _, f := range files {
		for _, imported := range f.Imports {
			if why := forbidden(f, imported); why != "" {
				faults = append(faults, Fault{f.Path, "imports " + imported, why})
			}
		}
	}
	graph := newGraph(files)
	faults = append(faults, graph.cycles()...)
	faults = append(faults, graph.reach("cmd/supervisor", sql, "the supervisor speaks no SQL; the control plane is a program of its own")...)
	for _, root := range []string{"internal/control", "internal/controlplane", "internal/external"} {
		faults = append(faults, graph.reach(root, bbolt, "a record is decoded by internal/record; only who opens a database links one")...)
	}
	return faults
}

// forbidden says why f may not import a package, or "".
func forbidden(f File, imported string) string {
	if !f.Test {
		if withinAny(imported, testLibraries) {
			return "it is for tests only"
		}
		if imported == execs && !withinAny(f.Dir(), runners) {
			return "only internal/process runs programs, so that no process is started without a deadline and an end"
		}
	}
	i := slices.IndexFunc(rules, func(r rule) bool { return within(f.Dir(), r.folder) })
	if i < 0 {
		return "no rule is known for this folder; give it one in internal/tools/imports/rules.go"
	}
	r := rules[i]
	folder, isOurs := strings.CutPrefix(imported, Module+"/")
	var ok bool
	switch {
	case withinAny(imported, r.never):
	case isOurs:
		ok = within(folder, r.folder) || withinAny(folder, r.may)
	case standard(imported):
		ok = true
	default:
		ok = slices.Equal(r.modules, anyModule) || withinAny(imported, r.modules) || f.Test && withinAny(imported, testLibraries)
	}
	if ok {
		return ""
	}
	return r.why
}

// within tells whether a path is the folder or below it.
func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

func withinAny(p string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(p, folder) })
}

// standard tells whether a package is of the standard library: the first
// element of its path has no dot.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return first != Module && !strings.Contains(first, ".")
}
