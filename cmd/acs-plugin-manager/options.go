package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/shlex"
)

// command is what the program is to do.
type command int

// The commands. Of several on one command line the first in this order counts,
// as in the existing program (CL-16).
const (
	showHelp command = iota
	showVersion
	list
	verify
	status
	execute
	remove
)

// options are the command line.
type options struct {
	command       command
	local         bool
	verbose       bool
	foreground    bool // an interactive plugin gets the terminal
	plugin        string
	pluginVersion string
	file, url     string
	params        []string
	timeout       *time.Duration // of the plugin's command, not positive: none; nil: the record's
	fetchTimeout  time.Duration  // of a download or a wait for a lock; not positive: install.fetch_timeout, lockWait
	unknown       []string       // flags that are ignored
}

// knownFlag is a flag that the program has.
type knownFlag struct {
	name  string
	short string // one letter, "" for none
	value string // what it takes, "" for nothing
	help  string
}

var flags = [...]knownFlag{
	{"help", "h", "", "print this"},
	{"version", "v", "", "print the version of this program"},
	{"list", "l", "", "list the plugins that are available, with --local the installed ones"},
	{"status", "S", "", "print the status of the persistent plugins, as JSON"},
	{"exec", "e", "", "run a plugin, installing it first where that is needed"},
	{"remove", "r", "", "remove a plugin"},
	{"verify", "f", "", "run a package without installing it"},
	{"local", "L", "", "use only what is installed"},
	{"plugin", "P", "NAME", "name of the plugin"},
	{"pluginVersion", "n", "VERSION", "version of the plugin"},
	{"pluginId", "", "ID", "accepted and ignored"},
	{"params", "p", "TEXT", "arguments for the plugin, separated by the separator or by blanks"},
	{"paramsV2", "", "TEXT", "arguments for the plugin, separated by blanks; takes precedence over --params"},
	{"separator", "s", "TEXT", "separator of the arguments in --params (default ,)"},
	{"file", "F", "FILE", "package file to install and run"},
	{"url", "u", "URL", "http, https or file URL of the package to verify"},
	{"timeout", "", "SECONDS", "how long the plugin's command may take, 0 for ever (default: the timeout of the plugin)"},
	{"fetchTimeout", "", "SECONDS", "how long a download, or a wait for a lock, may take"},
	{"experimental-foreground", "", "", "give the plugin the terminal, for one that is interactive"},
	{"verbose", "V", "", "print more diagnostics, on standard error"},
}

// usage returns the help text.
func usage() string {
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

// parse reads the command line, by the rules of the existing program (CL-16).
func parse(args []string) (o options, err error) {
	g := given{values: map[string]string{}}
	if err := g.read(args); err != nil {
		return o, err
	}
	o = options{
		local: g.has("local"), verbose: g.has("verbose"), foreground: g.has("experimental-foreground"),
		plugin: g.values["plugin"], pluginVersion: g.values["pluginVersion"], file: g.values["file"], url: g.values["url"],
		unknown: g.unknown,
	}
	if o.command = g.command(); o.command == showHelp {
		return o, nil
	}
	if text, ok := g.values["timeout"]; ok {
		d, err := seconds("timeout", text)
		if err != nil {
			return o, err
		}
		o.timeout = &d
	}
	if text, ok := g.values["fetchTimeout"]; ok {
		if o.fetchTimeout, err = seconds("fetchTimeout", text); err != nil {
			return o, err
		}
	}
	o.params = words(g.values["paramsV2"])
	if g.values["paramsV2"] == "" {
		o.params = words(strings.ReplaceAll(g.values["params"], cmp.Or(g.values["separator"], ","), " "))
	}
	return o, nil
}

// words splits text as a POSIX shell does (CL-15). A word whose quote is not
// closed is lost, as in the existing program.
func words(text string) []string {
	split, _ := shlex.Split(text)
	return split
}

// seconds reads the value of a flag.
func seconds(flag, text string) (time.Duration, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("--%s %q is not a whole number of seconds", flag, text)
	}
	return toSeconds(n), nil
}

// toSeconds returns n seconds, or the longest time there is.
func toSeconds(n int) time.Duration {
	const most = int(1<<63-1) / int(time.Second)
	return time.Duration(max(min(n, most), -most)) * time.Second
}

// given are the flags of a command line with their values.
type given struct {
	values  map[string]string // by the name of the flag
	unknown []string
	help    bool // the word help stands where no flag wants a value
}

func (g *given) has(name string) bool { _, ok := g.values[name]; return ok }

// command returns what is to be done.
func (g *given) command() command {
	if g.help || g.has("help") {
		return showHelp
	}
	for i, name := range [...]string{"version", "list", "verify", "status", "exec", "remove"} {
		if g.has(name) {
			return showVersion + command(i)
		}
	}
	return showHelp
}

// read reads the arguments. The one after a flag that takes a value is the
// value, whatever it looks like; others that are no flags say nothing.
func (g *given) read(args []string) error {
	wants := ""    // the flag whose value comes next
	maybe := false // the flag before is unknown, and may take a value
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
		f, value, err := g.flag(arg)
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

// flag returns the flag of an argument, and its value where that is in the
// argument: --flag=value, --flag:value, and the same with one letter. An unknown
// long one is returned without a help text.
func (g *given) flag(arg string) (f knownFlag, value string, err error) {
	name, value := arg, ""
	if i := strings.IndexAny(arg, "=:"); i >= 0 {
		name, value = arg[:i], arg[i+1:]
	}
	long, isLong := strings.CutPrefix(name, "--")
	switch {
	case isLong && long == "":
		return f, "", fmt.Errorf("-- is not supported")
	case !isLong && len(name) != 2:
		return f, "", fmt.Errorf("%s is not supported: one letter after a single dash", name)
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
