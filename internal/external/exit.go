package external

import (
	"errors"
	"fmt"

	"pluginsupervisor/internal/process"
)

// exitTimeout is the program's exit code for a plugin that it had to kill.
const exitTimeout = 247

// exitCodes holds the meanings of the program's own exit codes (SPEC 11). A plugin
// may exit with the same code, so errors always contain the code too.
var exitCodes = map[int]string{
	232:         "plugin is locked",
	234:         "plugin not found",
	235:         "package is not a zip file",
	236:         "package cannot be unpacked",
	237:         "package has a bad config.json",
	238:         "package is not acceptable or its executable is missing",
	239:         "package has another digest",
	240:         "package cannot be downloaded",
	241:         "plugin database cannot be read",
	242:         "plugin database cannot be written",
	243:         "list of packages cannot be fetched",
	244:         "no permission",
	245:         "files cannot be removed",
	246:         "executable cannot be run",
	exitTimeout: "plugin did not exit in time",
}

// explainFailure adds the meaning of the exit code to the error, or the name of the
// program if the program itself could not be run.
func (m *Manager) explainFailure(r process.Result) process.Result {
	switch {
	case r.Err == nil, r.Cancelled, errors.Is(r.Err, process.ErrDraining):
	case !r.Started:
		r.Err = fmt.Errorf("plugin manager %s: %w", m.path, r.Err)
	case exitCodes[r.ExitCode] != "":
		r.Err = fmt.Errorf("%w: %s", r.Err, exitCodes[r.ExitCode])
	}
	return r
}
