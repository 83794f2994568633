package imports

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pluginsupervisor/internal/tools/source"
)

// floor holds packages of internal/ that do not import each other, and their
// subject.
type floor struct {
	about    string
	packages []string
}

// floors holds every package below internal/, from the lowest floor up: a
// package imports packages of lower floors only. A sub-package has a floor of
// its own.
var floors = []floor{
	{"facts and primitives", []string{
		"bounded", "clock", "failpoint", "hostfault", "inherit", "install/failure", "layout", "logger", "pause", "platform", "procfs", "testenv", "testenv/callfault", "trust", "trust/trusttest", "version", "vfork",
		"yamlfile",
	}},
	{"files, the kernel and systemd", []string{"durable", "inotify", "lock", "owner", "sdnotify"}},
	{"the content of files", []string{"boltfile", "record"}},
	{"how the program of a package is run", []string{"service"}},
	{"the rules for the content of packages", []string{"pkgcheck"}},
	{"one kind of file or kernel object each; packages for tests", []string{
		"cgroup", "config", "heartbeat", "install/fetch", "install/manifest", "logfile", "others", "outbox", "pack", "pkgcheck/pkgchecktest", "powerfail", "sweep",
	}},
	{"one kind of store or process each", []string{"controlplane/packagestore", "install/unpack", "process", "registry", "state"}},
	{"one job each: an API, a client, a package, a change, a verb", []string{"admin", "control", "install", "shim", "transaction", "verb"}},
	{"managers, server, sources of packages", []string{"controlplane", "external", "native", "packagesource"}},
	{"a whole plugin on a host of its own", []string{"plugincheck"}},
	{"tools", []string{
		"tools/testbed", "tools/testbed/noop", "tools/testbed/sampledaemon", "tools/links", "tools/skips", "tools/source", "tools/spec",
	}},
	{"tools that use tools", []string{"tools/bench", "tools/causes", "tools/house", "tools/imports", "tools/soak", "tools/vocabulary"}},
}

// CheckFloors returns every import between internal packages that is not of a lower
// floor, then the packages without a floor, then the names in the table that are no
// package. Tests may import any floor.
func CheckFloors(files []source.File) []Fault { return checkFloors(files, floors) }

func checkFloors(files []source.File, floors []floor) []Fault {
	floorOf := map[string]int{}
	var faults []Fault
	for i, f := range floors {
		for _, p := range f.packages {
			if _, twice := floorOf[p]; twice {
				faults = append(faults, Fault{"internal/" + p, "is in the table of floors twice", "a package has one floor"})
			}
			floorOf[p] = i
		}
	}

	folders := map[string]bool{}
	for _, f := range files {
		from, ok := strings.CutPrefix(f.Dir(), "internal/")
		if !ok {
			continue
		}
		folders[from] = true
		if f.Test {
			continue
		}
		for _, imported := range f.Imports {
			to, ours := strings.CutPrefix(imported, Module+"/internal/")
			if !ours {
				continue
			}
			lower, known := floorOf[to]
			if upper, ok := floorOf[from]; known && ok && lower >= upper {
				faults = append(faults, Fault{
					f.Path, fmt.Sprintf("imports %s, floor %d imports floor %d", imported, upper+1, lower+1),
					"an internal package imports only lower floors (internal/tools/imports/floors.go)",
				})
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(folders)) {
		if _, ok := floorOf[p]; !ok {
			faults = append(faults, Fault{"internal/" + p, "has no floor", "each internal package is in the table of internal/tools/imports/floors.go"})
		}
	}
	for _, p := range slices.Sorted(maps.Keys(floorOf)) {
		if !folders[p] {
			faults = append(faults, Fault{"internal/" + p, "is in the table of floors and is no package", "the table must hold existing packages only"})
		}
	}
	return faults
}
