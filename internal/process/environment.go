package process

import "pluginsupervisor/plugin"

// PluginEnv returns the variables of a verb: the folder of its version and, in
// an upgrade, that of the version before.
func PluginEnv(dir, previous string) []string {
	return []string{plugin.EnvDir + "=" + dir, plugin.EnvPreviousDir + "=" + previous}
}
