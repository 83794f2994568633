package config

import (
	"fmt"
	"strings"

	"pluginsupervisor/internal/yamlfile"
)

// readEnvironment returns the settings of the environment, in the order of the
// table. An unknown variable with our prefix is only a warning: other programs use
// the prefix as well.
func readEnvironment(environ []string) ([]setting, []Warning) {
	values := map[string]string{}
	var warnings []Warning
	names := listVariables()
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if _, ok := findKey(func(k key) bool { return k.variableName() == name && !k.isFileOnly() }); ok {
			values[name] = text
			continue
		}
		w := Warning{Where: name, Text: "is not a setting"}
		if s := yamlfile.Suggest(strings.ToLower(name), names); s != "" {
			w.Text += fmt.Sprintf("; did you mean %s?", strings.ToUpper(s))
		}
		warnings = append(warnings, w)
	}
	var set []setting
	for _, k := range keys {
		if text, ok := values[k.variableName()]; ok {
			set = append(set, setting{k, text, k.variableName()})
		}
	}
	return set, warnings
}

// listVariables returns the names of the variables in lower case, for
// yamlfile.Suggest.
func listVariables() []string {
	var names []string
	for _, k := range keys {
		if !k.isFileOnly() {
			names = append(names, strings.ToLower(k.variableName()))
		}
	}
	return names
}
