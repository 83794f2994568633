package config

import (
	"fmt"

	"pluginsupervisor/internal/yamlfile"
)

// findConflicts returns the mistakes of values that are valid alone but not in
// combination.
func (c *Config) findConflicts() []*yamlfile.Mistake {
	var mistakes []*yamlfile.Mistake
	wrong := func(text string, keys ...string) {
		m := &yamlfile.Mistake{Key: keys[0], Text: text}
		for _, k := range keys { // one of them was set: the defaults do not conflict
			if m.Where = c.origins[k]; m.Where != "" {
				m.Key = k
				break
			}
		}
		mistakes = append(mistakes, m)
	}
	if r := c.Restart; r.BackoffInitial > r.BackoffMax {
		wrong(fmt.Sprintf("restart.backoff_initial, %s, is longer than restart.backoff_max, %s; allowed: at most as long",
			period.Text(&r.BackoffInitial), period.Text(&r.BackoffMax)),
			"restart.backoff_initial", "restart.backoff_max")
	}
	if p := c.ControlPlane; p.CertFile != "" && p.KeyFile == "" {
		wrong("is set without control_plane.key_file; allowed: both or neither", "control_plane.cert_file")
	} else if p.KeyFile != "" && p.CertFile == "" {
		wrong("is set without control_plane.cert_file; allowed: both or neither", "control_plane.key_file")
	}
	if err := checkSocketLength(c.SocketPath()); err != nil {
		wrong(fmt.Sprintf("%v; allowed: a shorter root, or admin.socket set to a shorter path", err), "root")
	}
	return mistakes
}

// findOddities returns warnings for values that are valid but probably unintended.
func (c *Config) findOddities() []Warning {
	var odd []Warning
	if c.Intervals.Scan <= c.AvoidWindow {
		w := Warning{Key: "avoid_window", Text: fmt.Sprintf(
			"avoid_window, %s, is not shorter than intervals.scan, %s: heartbeats are never pulled",
			period.Text(&c.AvoidWindow), period.Text(&c.Intervals.Scan))}
		for _, k := range []string{"intervals.scan", "avoid_window"} {
			if w.Where = c.origins[k]; w.Where != "" {
				w.Key = k
				break
			}
		}
		odd = append(odd, w)
	}
	return odd
}
