// Package version holds the version of the programs of this project.
package version

import "runtime/debug"

// built is set by the linker for a release:
//
//	-ldflags '-X pluginsupervisor/internal/version.built=1.2.3'
var built string

// String returns the release, else the version that the Go toolchain recorded, else
// "devel".
func String() string {
	if built != "" {
		return built
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
