package imports

import (
	"fmt"
	"slices"
	"strings"
)

// shortNames are the words that ARCHITECTURE.md uses for modules.
var shortNames = map[string]string{
	protoActor: "proto.actor", logrus: "logrus", backoff: "backoff", rate: "x/time/rate",
}

// Tables returns the two tables of ARCHITECTURE.md, Imports: the rules, and the
// floors of internal/.
func Tables() string {
	var b strings.Builder
	b.WriteString("| folder | may import, beside the standard library | and never | because |\n|---|---|---|---|\n")
	for _, r := range rules {
		may := quotePaths(r.may)
		if slices.Equal(r.modules, anyModule) {
			may = append(may, "other modules")
		} else {
			may = append(may, quotePaths(r.modules)...)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.folder, strings.Join(may, ", "), strings.Join(quotePaths(r.never), ", "), r.why)
	}
	b.WriteString("\n| floor | about | packages of `internal/` |\n|---|---|---|\n")
	for i, f := range slices.Backward(floors) {
		packages := slices.Sorted(slices.Values(f.packages))
		fmt.Fprintf(&b, "| %d | %s | %s |\n", i+1, f.about, strings.Join(packages, ", "))
	}
	return b.String()
}

// quotePaths returns folders and packages as code, and modules by their short names.
func quotePaths(paths []string) []string {
	var out []string
	for _, p := range paths {
		if short, ok := shortNames[p]; ok {
			out = append(out, short)
		} else {
			out = append(out, "`"+p+"`")
		}
	}
	return out
}
