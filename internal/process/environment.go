package process

// The variables that every verb gets (SPEC 2). A process hands the first down,
// and is known by it as a plugin's.
const (
	EnvPluginDir         = "PLUGIN_DIR"
	EnvPreviousPluginDir = "PRE_PLUGIN_DIR"
)

// PluginEnv returns the variables of a verb: the folder of its version and, in
// an upgrade, that of the version before.
func PluginEnv(dir, previous string) []string {
	return []string{EnvPluginDir + "=" + dir, EnvPreviousPluginDir + "=" + previous}
}
