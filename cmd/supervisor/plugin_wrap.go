package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"
)

// wrapCommand holds the arguments of plugin wrap.
type wrapCommand struct {
	name, version string
	command       []string
	files         []string // SRC or SRC:DST
	ofHost        bool     // the command is a program that hosts have
	arch          string   // as Go names it
	shim          string
	service       service.Service
}

func newPluginWrapCommand() *cobra.Command {
	w := wrapCommand{service: service.Default()}
	cmd := &cobra.Command{
		Use:   "wrap NAME --version VERSION [flags] -- COMMAND ARG…",
		Short: "Make a package of any program",
		Long: `Make a package of any program that runs in the foreground. The package contains
the program, a service.yaml that says how to run it, and plugin-shim, which
implements the plugin contract for it.

COMMAND is a file on this machine, which is copied to bin/ of the package; or the
path of a file that --file puts into the package; or with --host-command the
absolute path of a program that is installed on the hosts.`,
		Example: `  supervisor plugin wrap node-exporter --version 1.8.2 \
      --ready-http http://127.0.0.1:9100/metrics --health-http http://127.0.0.1:9100/metrics \
      -- ./node_exporter --web.listen-address=127.0.0.1:9100
  supervisor plugin wrap redis --version 7.0 --host-command --ready-tcp 127.0.0.1:6379 \
      -- /usr/bin/redis-server --port 6379`,
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at != 1 || len(args) < 2 {
				return withExitCode(exitUsage, errors.New("expected one NAME, then --, then the COMMAND with its arguments (try --help)"))
			}
			return nil
		},
	}
	packaging := addPackageFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&w.version, "version", "", "`version` of the package")
	f.StringArrayVar(&w.files, "file", nil, "add a file or folder `SRC[:DST]` to the package, at DST; can be repeated")
	f.BoolVar(&w.ofHost, "host-command", false, "COMMAND is the absolute path of a program that is installed on the hosts")
	shim, arch := addShimFlags(cmd)
	addServiceFlags(f, &w.service)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w.name, w.command, w.shim, w.arch = args[0], args[1:], *shim, *arch
		files, notes, err := w.collectFiles()
		if err != nil {
			return err
		}
		for _, n := range notes {
			fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: "+n)
		}
		return packaging.writePackage(cmd, files)
	}
	return cmd
}

// addServiceFlags adds a flag for each key of service.yaml but the command.
func addServiceFlags(f *pflag.FlagSet, s *service.Service) {
	for _, k := range service.Keys() {
		if k.Name == "command" {
			continue
		}
		help := strings.ReplaceAll(k.Help, "`", "") // pflag takes a text in backquotes for the name of the value
		field := k.Field(s)
		switch field.(type) {
		case *[]string:
			help += " One word per flag; can be repeated."
		case *map[string]string:
			help += " Can be repeated."
		}
		f.Var(&serviceFlag{key: k, field: field}, strings.NewReplacer(".", "-", "_", "-").Replace(k.Name), help)
	}
}

// serviceFlag is a flag that sets a key of service.yaml.
type serviceFlag struct {
	key   service.Key
	field any
}

// String returns the value. pflag also calls it on the zero value.
func (f *serviceFlag) String() string {
	if f.field == nil {
		return ""
	}
	if _, isMap := f.field.(*map[string]string); isMap {
		return ""
	}
	return f.key.Kind.Text(f.field)
}

// Type returns the name of a value in the help.
func (f *serviceFlag) Type() string { return f.key.Kind.Word() }

// Set parses a value; for a command it appends a word.
func (f *serviceFlag) Set(text string) error {
	if words, ok := f.field.(*[]string); ok && len(*words) > 0 {
		*words = append(*words, text)
		return nil
	}
	if err := f.key.Kind.Set(f.field, text); err != nil {
		return errors.New(yamlfile.BadValue(text, err, f.key.Kind))
	}
	return nil
}

// collectFiles returns the files of the package, and notes for its author.
func (w *wrapCommand) collectFiles() (files []pack.File, notes []string, err error) {
	if err := pack.CheckNames(w.name, w.version); err != nil {
		return nil, nil, withExitCode(exitUsage, err)
	}
	arch, err := parseArch(w.arch)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range w.files {
		more, err := readFiles(f)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, more...)
	}
	if files, err = w.addCommand(files); err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		program, err := pack.ReadProgram(f.Path)
		if err != nil {
			return nil, nil, err
		}
		if f.Mode&0o111 == 0 {
			continue
		}
		if program.Arch != "" && program.Arch != w.arch {
			return nil, nil, withExitCode(exitUsage, fmt.Errorf("%s is built for %s, but the package is for %s; see --arch", f.Path, program.Arch, w.arch))
		}
		if needs := program.String(); needs != "" {
			notes = append(notes, f.Name+" "+needs)
		}
	}
	text, err := w.service.YAML()
	if err == nil {
		_, err = service.Parse(layout.Service, text) // conflicts of keys
	}
	if err != nil {
		return nil, nil, withExitRefused(err)
	}
	config, err := marshalPackageConfig(w.name, w.version, arch, w.service)
	if err != nil {
		return nil, nil, err
	}
	shim, err := findShim(w.shim, w.arch)
	if err != nil {
		return nil, nil, err
	}
	return append(files, shim,
		pack.File{Name: layout.Service, Mode: 0o644, Body: text}, pack.File{Name: layout.PackageConfig, Mode: 0o644, Body: config}), notes, nil
}

// addCommand sets the command of the service, and adds its program to the files
// if it is a file of this machine that is not one of them.
func (w *wrapCommand) addCommand(files []pack.File) ([]pack.File, error) {
	name, args := w.command[0], w.command[1:]
	setTo := func(program string) { w.service.Command = append([]string{program}, args...) }
	if w.ofHost {
		if !filepath.IsAbs(name) {
			return nil, withExitCode(exitUsage, fmt.Errorf("%s is not an absolute path, as --host-command requires", name))
		}
		setTo(filepath.Clean(name))
		return files, nil
	}
	isPacked := func(f pack.File) bool { return f.Name == path.Clean(name) }
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		if slices.ContainsFunc(files, isPacked) {
			setTo(path.Clean(name))
			return files, nil
		}
		hint := ""
		if found, lookErr := exec.LookPath(name); lookErr == nil && !strings.Contains(name, "/") {
			hint = fmt.Sprintf("; to use %s of the hosts, add --host-command", found)
		}
		return nil, withExitCode(exitUsage, fmt.Errorf("COMMAND %s is not a file, and --file does not add it to the package%s", name, hint))
	}
	for _, f := range files { // --file has added it
		if packed, err := os.Stat(f.Path); err == nil && os.SameFile(packed, info) {
			setTo(f.Name)
			return files, nil
		}
	}
	f := pack.File{Name: "bin/" + filepath.Base(name), Mode: info.Mode(), Path: name}
	if info.Mode()&0o111 == 0 {
		return nil, withExitCode(exitRefused, fmt.Errorf("%s is not executable (mode %04o); run `chmod +x %s`", name, info.Mode().Perm(), name))
	}
	setTo(f.Name)
	return append(files, f), nil
}

// readFiles returns the files that SRC or SRC:DST names.
func readFiles(arg string) ([]pack.File, error) {
	src, dst := arg, ""
	if i := strings.LastIndexByte(arg, ':'); i >= 0 {
		src, dst = arg[:i], arg[i+1:]
	}
	info, err := os.Stat(src)
	if err != nil {
		return nil, withExitCode(exitUsage, fmt.Errorf("--file %s: %w", arg, err))
	}
	if strings.HasSuffix(dst, "/") && !info.IsDir() {
		dst += filepath.Base(src)
	}
	if dst == "" {
		dst = filepath.Base(filepath.Clean(src))
	}
	if dst = path.Clean(dst); !filepath.IsLocal(dst) {
		return nil, withExitCode(exitUsage, fmt.Errorf("--file %s: %s leads out of the package", arg, dst))
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return nil, withExitCode(exitUsage, fmt.Errorf("--file %s: %w", arg, fs.ErrInvalid))
		}
		return []pack.File{{Name: dst, Mode: info.Mode(), Path: src}}, nil
	}
	files, _, err := pack.Folder(src)
	if err != nil {
		return nil, withExitCode(exitRefused, err)
	}
	for i := range files {
		files[i].Name = path.Join(dst, files[i].Name)
	}
	return files, nil
}
