package imports

import (
	"maps"
	"slices"
	"strings"

	"pluginsupervisor/internal/tools/source"
)

// graph holds the imports by folder, without tests.
type graph map[string]map[string]string // folder → import as written → a file that has it

func newGraph(files []source.File) graph {
	g := graph{}
	for _, f := range files {
		if f.Test {
			continue
		}
		edges := g[f.Dir()]
		if edges == nil {
			edges = map[string]string{}
			g[f.Dir()] = edges
		}
		for _, imported := range f.Imports {
			if edges[imported] == "" {
				edges[imported] = f.Path
			}
		}
	}
	return g
}

// findCycles returns the first cycle between the parts of internal/; a part is a folder
// with all folders below it. The compiler refuses cycles between packages only.
func (g graph) findCycles() []Fault {
	parts := graph{}
	for folder, edges := range g {
		from := partOf(folder)
		for imported, file := range edges {
			to := partOf(strings.TrimPrefix(imported, Module+"/"))
			if from == "" || to == "" || from == to {
				continue
			}
			if parts[from] == nil {
				parts[from] = map[string]string{}
			}
			parts[from][Module+"/"+to] = file
		}
	}
	for _, p := range slices.Sorted(maps.Keys(parts)) {
		if path, file := parts.findPath(p, func(imported string) bool { return imported == Module+"/"+p }); path != nil {
			return []Fault{{
				file, "closes the cycle " + strings.Join(append(path, p), " → "),
				"the parts of internal/ must not import each other in a cycle",
			}}
		}
	}
	return nil
}

// partOf returns the first two elements of a folder in internal/, else "".
func partOf(folder string) string {
	elements := strings.SplitN(folder, "/", 3)
	if len(elements) < 2 || elements[0] != "internal" {
		return ""
	}
	return "internal/" + elements[1]
}

// checkReach returns a fault if target is imported by root or by a package of the module
// that root links.
func (g graph) checkReach(root, target, why string) []Fault {
	path, file := g.findPath(root, func(imported string) bool { return imported == target })
	if path == nil {
		return nil
	}
	return []Fault{{file, "imports " + target + " for " + strings.Join(path, " → "), why}}
}

// findPath returns a shortest path from root, over folders of the module, to a wanted
// import, and the file that has this import.
func (g graph) findPath(root string, wanted func(imported string) bool) (path []string, file string) {
	queue := [][]string{{root}}
	seen := map[string]bool{root: true}
	for len(queue) > 0 {
		path, queue = queue[0], queue[1:]
		folder := path[len(path)-1]
		for _, imported := range slices.Sorted(maps.Keys(g[folder])) {
			if wanted(imported) {
				return path, g[folder][imported]
			}
			next, ours := strings.CutPrefix(imported, Module+"/")
			if ours && !seen[next] {
				seen[next] = true
				queue = append(queue, append(slices.Clone(path), next))
			}
		}
	}
	return nil, ""
}
