package config

import "pluginsupervisor/internal/yamlfile"

// Warning is a valid but probably unintended setting, which does not prevent the
// start.
type Warning struct {
	Where string // file:line, variable or flag
	Key   string // "" when Where names it
	Text  string
}

// String returns the warning in one line.
func (w Warning) String() string { return yamlfile.Line(w.Where, w.Key, w.Text) }
