package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options are the command line, checked.
type options struct {
	list, status, exec, remove, verify, version bool

	local         bool
	plugin        string
	pluginVersion string
	file, url     string
	params        []string
	timeout       time.Duration // of a plugin's command; 0: its own
	fetchTimeout  time.Duration // of a download or a wait for a lock; 0: install.fetch_timeout, lockWait

	usage string
}

// once is a flag that may be given one time.
type once struct {
	name  string
	value string
	set   bool
}

func (f *once) String() string { return f.value }
func (f *once) Type() string   { return "string" }

// Set refuses the second value: the one that is lost would be missed.
func (f *once) Set(s string) error {
	if f.set {
		return fmt.Errorf("-%s duplicated", f.name)
	}
	f.value, f.set = s, true
	return nil
}

// parse reads the command line. What follows --paramsV2 belongs to the plugin,
// whatever it looks like.
func parse(args []string) (options, error) {
	var o options
	var rest []string
	at := slices.Index(args, "--paramsV2")
	if at >= 0 {
		args, rest = args[:at], args[at+1:]
	}
	params := &once{name: "p"}
	var separator string
	var timeout, fetchTimeout int
	fs := pflag.NewFlagSet("acs-plugin-manager", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.BoolVar(&o.list, "list", false, "list the plugins to be had, with --local the installed ones")
	fs.BoolVar(&o.status, "status", false, "tell the status of the persistent plugins, as JSON")
	fs.BoolVarP(&o.exec, "exec", "e", false, "run a plugin")
	fs.BoolVarP(&o.remove, "remove", "r", false, "remove a plugin")
	fs.BoolVarP(&o.verify, "verify", "f", false, "run a package without installing it")
	fs.BoolVar(&o.local, "local", false, "only what is installed")
	fs.StringVarP(&o.plugin, "plugin", "P", "", "`name` of the plugin")
	fs.StringVarP(&o.pluginVersion, "pluginVersion", "n", "", "`version` of the plugin")
	fs.VarP(params, "params", "p", "arguments for the plugin, separated by the separator")
	fs.Bool("paramsV2", false, "all that follows are arguments for the plugin")
	fs.StringVarP(&separator, "separator", "s", ",", "what separates the arguments in --params")
	fs.StringVarP(&o.file, "file", "F", "", "package `file` to install and run")
	fs.StringVarP(&o.url, "url", "u", "", "`URL` of the package to verify")
	fs.IntVar(&timeout, "timeout", 0, "`seconds` the plugin may take")
	fs.IntVar(&fetchTimeout, "fetchTimeout", 0, "`seconds` a download, or a wait for a lock, may take")
	fs.BoolVar(&o.version, "version", false, "print the version")
	o.usage = "Usage: acs-plugin-manager [flags]\n\n" + fs.FlagUsages()
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.timeout, o.fetchTimeout = time.Duration(timeout)*time.Second, time.Duration(fetchTimeout)*time.Second
	switch {
	case at >= 0:
		o.params = rest
	case params.value != "":
		o.params = strings.Split(params.value, separator)
	}
	return o, o.check()
}

// check tells what the flags lack together.
func (o options) check() error {
	commands := 0
	for _, given := range []bool{o.list, o.status, o.exec, o.remove, o.verify, o.version} {
		if given {
			commands++
		}
	}
	switch {
	case commands == 0:
		return pflag.ErrHelp
	case commands > 1:
		return errors.New("more than one command given")
	case o.timeout < 0 || o.fetchTimeout < 0:
		return errors.New("a timeout is negative")
	case o.exec && o.plugin == "" && o.file == "", o.remove && o.plugin == "":
		return errors.New("no --plugin given")
	case o.verify && o.url == "":
		return errors.New("no --url given")
	}
	return nil
}
