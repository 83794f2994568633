// Package config reads, checks and prints the configuration of the supervisor.
//
// One table (keys.go) defines the keys. The keys of the file, the flags, the
// environment variables, `config show` and docs/configuration.md are generated
// from it, so that they always agree. A key is named as in the file, with dots
// between sections: `control_plane.url` is the flag --control-plane-url and the
// variable SUPERVISOR_CONTROL_PLANE_URL.
//
// Load reads, each overriding the one before: the defaults,
// BASE/config/PluginCheckInterval (TM-06), the YAML file, the environment, the
// flags. It reports all mistakes, each in one line that says where it is, which
// key, what is wrong and what is allowed:
//
//	/etc/supervisor/supervisor.yaml:7: intervals.scan: "15 minutes" is not a duration; allowed: …
//
// It does not check that named files exist: that is checked when they are read.
package config
