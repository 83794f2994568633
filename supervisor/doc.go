// Package supervisor runs a plugin supervisor inside a Go program. The program
// cmd/supervisor runs the same assembly:
//
//	s, err := supervisor.New(
//		supervisor.WithRoot("/var/lib/agent"),
//		supervisor.WithControlPlane("https://control.example.com"),
//	)
//	if err != nil {
//		return err
//	}
//	return s.Run(ctx) // until ctx ends
//
// Plugins keep running when Run returns or the process exits. The next Run on
// the same root re-attaches to them.
//
// One process may run several supervisors, each on a root of its own. A
// Supervisor handles no signals, never exits the process, writes nothing to the
// standard streams and reads no environment variables of its own. It reaps no
// child process of the embedding program, unless WithSubreaper allows that.
//
// What it does to the process as a whole: folders and files are created with
// the umask of the process, plugins inherit its environment, and where a plugin
// has limits and the process is in a cgroup that was delegated to it, the
// process moves to the subgroup supervisor of that cgroup (SPEC EV-17).
//
// Every key of docs/configuration.md can be set by WithSetting and by
// WithConfigFile.
package supervisor
