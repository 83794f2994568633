// Package imports checks the structure of the project: the allowed imports
// (ARCHITECTURE.md, Imports), and some rules of style that the compiler does not
// check. Its test applies them to every Go file of the module; each fault names the
// file and the rule.
//
// If code needs another rule, rules.go or floors.go is changed in the same commit.
package imports

import (
	"slices"
	"strings"

	"pluginsupervisor/internal/tools/source"
)

// Module is the path of the module whose files are checked.
const Module = "pluginsupervisor"

const (
	protoActor = "github.com/asynkron/protoactor-go"
	logrus     = "github.com/sirupsen/logrus"
	backoff    = "github.com/cenkalti/backoff/v4"
	rate       = "golang.org/x/time/rate"
	sql        = "database/sql"
	bbolt      = "go.etcd.io/bbolt"
	execs      = "os/exec"
)

var anyModule = []string{"*"}

// Fault is a broken rule.
type Fault struct {
	File string // or the folder
	What string // imports net/http
	Why  string // the rule
}

func (f Fault) String() string { return f.File + " " + f.What + ": " + f.Why }

// rule holds the allowed imports of a folder and the folders below it, beside the
// isStandard library and the folder itself.
type rule struct {
	folder  string
	may     []string // folders of this module
	modules []string // other modules, or anyModule
	never   []string // not allowed, even if one of the above allows it
	why     string
}

// rules holds the rules; the first one whose folder has the file applies.
var rules = []rule{
	{
		folder: "plugin",
		why:    "plugin has the types of the domain and imports the standard library only",
	},
	{
		folder: "messages",
		may:    []string{"plugin"},
		why:    "messages are what actors send each other, in the types of plugin; they import nothing else of this module",
	},
	{
		folder:  "actors/policy",
		may:     []string{"messages", "plugin"},
		modules: []string{backoff, rate},
		never:   []string{execs, "net/http", "syscall"},
		why:     "policy has the decisions: values in, values out, without actors, logs and I/O",
	},
	{
		folder:  "actors",
		may:     []string{"messages", "plugin", "actors/policy"},
		modules: []string{protoActor, logrus, backoff},
		never:   []string{execs, "net/http", "syscall"},
		why:     "actors decide; processes, files and HTTP are behind the ports of actors/ports.go",
	},
	{
		folder:  "internal",
		may:     []string{"plugin", "internal"},
		modules: anyModule,
		never:   []string{protoActor},
		why:     "internal packages do the work and contain no policy: they use the types of plugin, never actors or messages",
	},
	{
		folder:  "supervisor",
		may:     []string{"plugin", "messages", "actors", "internal"},
		modules: anyModule,
		never:   []string{protoActor},
		why:     "supervisor assembles the parts; only actors uses proto.actor",
	},
	{
		folder: "pluginkit",
		why:    "a plugin links pluginkit and nothing else of this project",
	},
	{
		folder:  "cmd",
		may:     []string{"supervisor", "plugin", "messages", "actors", "internal"},
		modules: anyModule,
		never:   []string{protoActor},
		why:     "commands use the assembled parts; only actors uses proto.actor",
	},
	{
		folder:  "examples/embed",
		may:     []string{"supervisor", "plugin"},
		modules: []string{logrus},
		why:     "a program that embeds the supervisor shows its public packages, and uses nothing internal",
	},
	{
		folder: "examples",
		may:    []string{"pluginkit"},
		why:    "a sample plugin shows the plugin contract and uses nothing of this project but pluginkit",
	},
}

// testLibraries may be imported by tests only.
var testLibraries = []string{"github.com/google/go-cmp", "pgregory.net/rapid", "github.com/rogpeppe/go-internal"}

// testPackages are packages of this module that may be imported by tests and by
// each other only.
var testPackages = []string{
	Module + "/internal/testenv", Module + "/internal/testenv/callfault", Module + "/internal/powerfail", Module + "/internal/pkgcheck/pkgchecktest",
	Module + "/internal/trust/trusttest", Module + "/actors/actorstest",
}

// runners are the folders that may import os/exec outside of tests.
var runners = []string{
	"internal/process",           // runs every verb
	"internal/testenv/callfault", // runs programs for tests
	"internal/tools",             // bench and soak run the programs
	"cmd/supervisor",             // demo starts the control plane
	"pluginkit",                  // a plugin starts its own daemon
}

// Check returns every forbidden import in the order of the files, then the cycles
// and the forbidden indirect imports.
func Check(files []source.File) []Fault {
	var faults []Fault
	for _, f := range files {
		for _, imported := range f.Imports {
			if why := checkImport(f, imported); why != "" {
				faults = append(faults, Fault{f.Path, "imports " + imported, why})
			}
		}
	}
	graph := newGraph(files)
	faults = append(faults, graph.findCycles()...)
	for _, root := range []string{"supervisor", "cmd/supervisor"} {
		faults = append(faults, graph.checkReach(root, sql, "the supervisor links no SQL; the control plane is a program of its own")...)
	}
	for _, root := range []string{"internal/control", "internal/controlplane", "internal/external"} {
		faults = append(faults, graph.checkReach(root, bbolt, "a record is decoded by internal/record; only programs that open a database link bbolt")...)
	}
	return faults
}

// checkImport returns why f may not import a package, or "".
func checkImport(f source.File, imported string) string {
	if !f.Test && !slices.Contains(testPackages, Module+"/"+f.Dir()) {
		if withinAny(imported, testLibraries) || withinAny(imported, testPackages) {
			return "it is for tests only"
		}
		if imported == execs && !withinAny(f.Dir(), runners) {
			return "only internal/process runs programs, so that each process has a deadline and is waited for"
		}
	}
	i := slices.IndexFunc(rules, func(r rule) bool { return within(f.Dir(), r.folder) })
	if i < 0 {
		return "there is no rule for this folder; add one to internal/tools/imports/rules.go"
	}
	r := rules[i]
	folder, isOurs := strings.CutPrefix(imported, Module+"/")
	var ok bool
	switch {
	case withinAny(imported, r.never):
	case isOurs:
		ok = within(folder, r.folder) || withinAny(folder, r.may)
	case isStandard(imported):
		ok = true
	default:
		ok = slices.Equal(r.modules, anyModule) || withinAny(imported, r.modules) || f.Test && withinAny(imported, testLibraries)
	}
	if ok {
		return ""
	}
	return r.why
}

// within reports whether a path is the folder or below it.
func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

func withinAny(p string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(p, folder) })
}

// isStandard reports whether a package is of the standard library: the first
// element of its path has no dot.
func isStandard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return first != Module && !strings.Contains(first, ".")
}
