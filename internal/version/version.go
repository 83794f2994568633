// Package version is what the programs of this project call themselves.
package version

import "runtime/debug"

// built is set by the linker for a release:
//
//	-ldflags '-X pluginsupervisor/internal/version.built=1.2.3'
var built string

// String is the release, else what the Go toolchain knows of the source that
// was built, else "devel".
func String() string {
	if built != "" {
		return built
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
