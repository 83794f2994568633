// Package config is the supervisor's configuration: what can be set, where it
// is read from, and what is said when it is wrong.
//
// There is one table of keys (keys.go). The file's keys, the flags, the
// variables of the environment, `config show` and docs/configuration.md are all
// made from it, so that none can say something else than the others. A key is
// named as in the file, with dots between sections: `control_plane.url` is the
// flag --control-plane-url and the variable SUPERVISOR_CONTROL_PLANE_URL.
//
// Load reads, each overriding the one before: the defaults,
// BASE/config/PluginCheckInterval (TM-06), the YAML file, the environment, the
// flags. It reports every mistake it finds, not the first one, each in one
// line that says where it is, which key, what is wrong and what is allowed:
//
//	/etc/supervisor/supervisor.yaml:7: intervals.scan: "15 minutes" is not a duration; allowed: …
//
// Whether files that are named exist is not checked here but where they are
// read.
package config
