package process

import "pluginsupervisor/plugin"

// PluginEnv returns the environment variables of a verb: the folder of its version and, in an
// upgrade, the folder of the previous version.
func PluginEnv(dir, previous string) []string {
	return []string{plugin.EnvDir + "=" + dir, plugin.EnvPreviousDir + "=" + previous}
}
