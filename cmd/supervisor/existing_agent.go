package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/process"
)

// agentProgram is the file name of the existing agent's executable, which is in
// BASE/<version>. It supervises the plugins of BASE as this supervisor does.
const agentProgram = "aliyun-service"

// refuseBesideAgent returns an error if the existing agent runs on the same
// root: both would start a plugin that is down, and make two copies. With force
// it is only logged.
func refuseBesideAgent(root string, force bool, log logrus.FieldLogger) error {
	running, err := process.FindExecuting(agentProgram)
	if err != nil {
		log.WithError(err).Warn("Cannot check whether the existing agent runs")
		return nil
	}
	root = realPath(root)
	i := slices.IndexFunc(running, func(p process.Found) bool { return runsOn(p, root) })
	if i < 0 {
		return nil
	}
	err = fmt.Errorf("the existing agent runs on root %s: pid %d, %s", root, running[i].PID, running[i].Executable)
	if force {
		log.WithError(err).Warn("Started with --force: plugins may be started twice")
		return nil
	}
	return errors.Join(err, errors.New("stop it and whatever starts it again (systemctl stop aliyun.service; assist_daemon --stop), or use --force; see Handing over in docs/drop-in.md"))
}

// runsOn reports whether an agent works on the root, which is a path without
// symbolic links: its executable is below the root, or in a version's folder
// beside the root, or it has a file below the root open.
func runsOn(agent process.Found, root string) bool {
	if below(agent.Executable, root) || filepath.Dir(filepath.Dir(agent.Executable)) == filepath.Dir(root) {
		return true
	}
	return slices.ContainsFunc(process.OpenFiles(agent.PID), func(path string) bool { return below(path, root) })
}

// below reports whether a path is a folder or in it.
func below(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
