package config

import (
	"fmt"
	"strings"

	"pluginsupervisor/internal/yamlfile"
)

// environmentSettings are the variables that are set, in the order of the
// table. One that begins like ours and is none is worth a warning only: other
// programs use the prefix as well.
func environmentSettings(environ []string) ([]setting, []Warning) {
	values := map[string]string{}
	var warnings []Warning
	names := variables()
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if _, ok := find(func(k key) bool { return k.variable() == name && !k.fileOnly() }); ok {
			values[name] = text
			continue
		}
		w := Warning{Where: name, Text: "is no setting"}
		if s := yamlfile.Suggest(strings.ToLower(name), names); s != "" {
			w.Text += fmt.Sprintf("; did you mean %s?", strings.ToUpper(s))
		}
		warnings = append(warnings, w)
	}
	var set []setting
	for _, k := range keys {
		if text, ok := values[k.variable()]; ok {
			set = append(set, setting{k, text, k.variable()})
		}
	}
	return set, warnings
}

// variables are the names in lower case, as suggest wants them.
func variables() []string {
	var names []string
	for _, k := range keys {
		if !k.fileOnly() {
			names = append(names, strings.ToLower(k.variable()))
		}
	}
	return names
}
