package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/shlex"
)

// command is a command of the program.
type command int

// The commands. If a command line has several, the first in this order is run, as in
// the existing program (CL-16).
const (
	commandHelp command = iota
	commandVersion
	commandList
	commandVerify
	commandStatus
	commandExec
	commandRemove
)

// options holds the parsed command line.
type options struct {
	command       command
	local         bool
	verbose       bool
	foreground    bool // gives the terminal to an interactive plugin
	plugin        string
	pluginVersion string
	file, url     string
	params        []string
	timeout       *time.Duration // of the plugin's command, not positive: none; nil: the record's
	fetchTimeout  time.Duration  // of a download or a wait for a lock; not positive: install.fetch_timeout, lockWait
	unknown       []string       // unknown flags, which are ignored
}

// knownFlag is a flag of the program.
type knownFlag struct {
	name  string
	short string // one letter, "" for none
	value string // name of its value in the help, "" for no value
	help  string
}

var flags = [...]knownFlag{
	{"help", "h", "", "print this help"},
	{"version", "v", "", "print the version of this program"},
	{"list", "l", "", "list available plugins, with --local the installed ones"},
	{"status", "S", "", "print the status of the persistent plugins, as JSON"},
	{"exec", "e", "", "run a plugin, and install it first if needed"},
	{"remove", "r", "", "remove a plugin"},
	{"verify", "f", "", "run a package without installing it"},
	{"local", "L", "", "use installed plugins only"},
	{"plugin", "P", "NAME", "name of the plugin"},
	{"pluginVersion", "n", "VERSION", "version of the plugin"},
	{"pluginId", "", "ID", "accepted and ignored"},
	{"params", "p", "TEXT", "arguments for the plugin, separated by the separator or by blanks"},
	{"paramsV2", "", "TEXT", "arguments for the plugin, separated by blanks; takes precedence over --params"},
	{"separator", "s", "TEXT", "separator of the arguments in --params (default ,)"},
	{"file", "F", "FILE", "package file to install and run"},
	{"url", "u", "URL", "http, https or file URL of the package to verify"},
	{"timeout", "", "SECONDS", "timeout of the plugin's command, 0 for none (default: the timeout of the plugin)"},
	{"fetchTimeout", "", "SECONDS", "timeout of a download and of a wait for a lock"},
	{"experimental-foreground", "", "", "give the terminal to an interactive plugin"},
	{"verbose", "V", "", "print more messages to standard error"},
}

// usageText returns the help.
func usageText() string {
	var b strings.Builder
	b.WriteString("Usage: acs-plugin-manager [flags]\n\n")
	for _, f := range flags {
		short := "    "
		if f.short != "" {
			short = "-" + f.short + ", "
		}
		fmt.Fprintf(&b, "  %s%-26s %s\n", short, strings.TrimSpace("--"+f.name+" "+f.value), f.help)
	}
	return b.String()
}

// parseOptions parses the command line by the rules of the existing program (CL-16).
func parseOptions(args []string) (o options, err error) {
	g := parsedFlags{values: map[string]string{}}
	if err := g.parseArgs(args); err != nil {
		return o, err
	}
	o = options{
		local: g.has("local"), verbose: g.has("verbose"), foreground: g.has("experimental-foreground"),
		plugin: g.values["plugin"], pluginVersion: g.values["pluginVersion"], file: g.values["file"], url: g.values["url"],
		unknown: g.unknown,
	}
	if o.command = g.selectCommand(); o.command == commandHelp {
		return o, nil
	}
	if text, ok := g.values["timeout"]; ok {
		d, err := parseSeconds("timeout", text)
		if err != nil {
			return o, err
		}
		o.timeout = &d
	}
	if text, ok := g.values["fetchTimeout"]; ok {
		if o.fetchTimeout, err = parseSeconds("fetchTimeout", text); err != nil {
			return o, err
		}
	}
	o.params = splitWords(g.values["paramsV2"])
	if g.values["paramsV2"] == "" {
		o.params = splitWords(strings.ReplaceAll(g.values["params"], cmp.Or(g.values["separator"], ","), " "))
	}
	return o, nil
}

// splitWords splits text as a POSIX shell does (CL-15). It drops a word whose quote is
// not closed, as the existing program does.
func splitWords(text string) []string {
	split, _ := shlex.Split(text)
	return split
}

// parseSeconds parses the value of a flag.
func parseSeconds(flag, text string) (time.Duration, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("--%s %q is not a whole number of seconds", flag, text)
	}
	return toSeconds(n), nil
}

// toSeconds returns n seconds, limited to the range of a Duration.
func toSeconds(n int) time.Duration {
	const most = int(1<<63-1) / int(time.Second)
	return time.Duration(max(min(n, most), -most)) * time.Second
}

// parsedFlags holds the flags of a command line and their values.
type parsedFlags struct {
	values  map[string]string // by the name of the flag
	unknown []string
	help    bool // the argument "help" is given, not as the value of a flag
}

func (g *parsedFlags) has(name string) bool { _, ok := g.values[name]; return ok }

// selectCommand returns the command to run.
func (g *parsedFlags) selectCommand() command {
	if g.help || g.has("help") {
		return commandHelp
	}
	for i, name := range [...]string{"version", "list", "verify", "status", "exec", "remove"} {
		if g.has(name) {
			return commandVersion + command(i)
		}
	}
	return commandHelp
}

// parseArgs parses the arguments. Any argument after a flag with a value is its value;
// other arguments that are not flags are ignored.
func (g *parsedFlags) parseArgs(args []string) error {
	wants := ""    // the flag whose value is the next argument
	maybe := false // the previous flag is unknown and may have a value
	for _, arg := range args {
		if wants != "" {
			g.values[wants], wants = arg, ""
			continue
		}
		if !strings.HasPrefix(arg, "-") {
			g.help = g.help || arg == "help" && !maybe
			maybe = false
			continue
		}
		f, value, err := g.findFlag(arg)
		switch {
		case err != nil:
			return err
		case f.value == "" && value != "" && f.help != "":
			return fmt.Errorf("flag --%s takes no value", f.name)
		}
		g.values[f.name] = value
		maybe = f.help == "" && value == ""
		if f.value != "" && value == "" {
			wants = f.name
		}
	}
	return nil
}

// findFlag returns the flag of an argument, and its value if that is in the argument:
// --flag=value, --flag:value, and the same with one letter. An unknown long flag is
// returned without a help text.
func (g *parsedFlags) findFlag(arg string) (f knownFlag, value string, err error) {
	name, value := arg, ""
	if i := strings.IndexAny(arg, "=:"); i >= 0 {
		name, value = arg[:i], arg[i+1:]
	}
	long, isLong := strings.CutPrefix(name, "--")
	switch {
	case isLong && long == "":
		return f, "", fmt.Errorf("-- is not supported")
	case !isLong && len(name) != 2:
		return f, "", fmt.Errorf("%s is not supported: a single dash takes one letter", name)
	}
	f = knownFlag{name: long}
	for _, known := range flags {
		if isLong && known.name == long || !isLong && known.short == name[1:] {
			f = known
		}
	}
	switch {
	case f.help == "" && !isLong:
		return f, "", fmt.Errorf("unknown flag %s", name)
	case f.help == "":
		g.unknown = append(g.unknown, name)
	}
	if g.has(f.name) {
		return f, "", fmt.Errorf("%s duplicated", name)
	}
	return f, value, nil
}
