package supervisor

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"pluginsupervisor/internal/process"
)

// agentProgram is the file name of the existing agent's executable, which is in
// BASE/<version>. It supervises the plugins of BASE as this supervisor does.
const agentProgram = "aliyun-service"

// ErrExistingAgent is wrapped by the error of Run where the existing agent runs
// on the same root (WithExistingAgent).
var ErrExistingAgent = errors.New("the existing agent runs on root")

// refuseExistingAgent returns an error if the existing agent runs on the same
// root: both would start a plugin that is down, and make two copies. With
// WithExistingAgent it is only logged.
func (s *Supervisor) refuseExistingAgent(root string) error {
	found, err := process.FindExecuting(agentProgram)
	if err != nil {
		s.log.WithError(err).Warn("Cannot check whether the existing agent runs")
		return nil
	}
	root = realPath(root)
	i := slices.IndexFunc(found, func(p process.Found) bool { return runsOn(p, root) })
	if i < 0 {
		return nil
	}
	err = fmt.Errorf("%w %s: pid %d, %s", ErrExistingAgent, root, found[i].PID, found[i].Executable)
	if s.besideAgent {
		s.log.WithError(err).Warn("Started beside the existing agent: plugins may be started twice")
		return nil
	}
	return err
}

// runsOn reports whether an agent uses the root, a path without symbolic links:
// its executable is below the root or in a version folder beside it, or it has a
// file below the root open.
func runsOn(agent process.Found, root string) bool {
	if isBelow(agent.Executable, root) || filepath.Dir(filepath.Dir(agent.Executable)) == filepath.Dir(root) {
		return true
	}
	return slices.ContainsFunc(process.OpenFiles(agent.PID), func(path string) bool { return isBelow(path, root) })
}

// isBelow reports whether a path is the folder or is inside it.
func isBelow(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
