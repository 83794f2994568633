package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/service"
)

// skeletons holds a folder per language. NAME stands for the name of the plugin, also
// in file names. Files that the go command must not read end in .tmpl.
//
//go:embed all:skeleton
var skeletons embed.FS

func newPluginNewCommand() *cobra.Command {
	var lang, shim string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Create the folder of a new plugin",
		Long: `Create a folder NAME with a small program, a service.yaml that says how to run it,
config.json and a README. The folder can be packed without changes.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringVar(&lang, "lang", "sh", "`language` of the program: sh or go")
	cmd.Flags().StringVar(&shim, "shim", "", "plugin-shim `file`; by default plugin-shim-ARCH beside this program")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if err := pack.CheckNames(name, "0"); err != nil {
			return withExitCode(exitUsage, err)
		}
		if lang != "sh" && lang != "go" {
			return withExitCode(exitUsage, fmt.Errorf("--lang %q; allowed: sh, go", lang))
		}
		if err := createPlugin(name, lang, shim); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: see %s/README.md; pack it with `supervisor plugin pack %s`\n", name, name, name)
		return err
	}
	return cmd
}

// createPlugin creates the folder of a plugin, and removes it after an error.
func createPlugin(name, lang, shim string) (err error) {
	from, err := findShim(shim, runtime.GOARCH)
	if err != nil {
		return err
	}
	if err := os.Mkdir(name, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(name))
		}
	}()
	top := path.Join("skeleton", lang)
	err = fs.WalkDir(skeletons, top, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := skeletons.ReadFile(p)
		if err != nil {
			return err
		}
		to := strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(p, top+"/"), "NAME", name), ".tmpl")
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(to, "bin/") {
			mode = 0o755
		}
		return createFile(filepath.Join(name, to), []byte(strings.ReplaceAll(string(text), "NAME", name)), mode)
	})
	if err != nil {
		return err
	}
	config, err := marshalPackageConfig(name, "0.1.0", platform.LocalArch(), service.Default()) // the shim is for this machine
	if err != nil {
		return err
	}
	body, err := os.ReadFile(from.Path)
	if err != nil {
		return err
	}
	if err := errors.Join(
		createFile(filepath.Join(name, layout.PackageConfig), config, 0o644), createFile(filepath.Join(name, layout.Shim), body, 0o755)); err != nil {
		return err
	}
	if lang == "go" {
		return buildProgram(name)
	}
	return nil
}

// createFile writes a new file, and the folders that it needs.
func createFile(path string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// buildProgram builds a Go program as its README says.
func buildProgram(dir string) error {
	cmd := exec.Command("go", "build", "-o", filepath.Join("bin", dir), ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}
