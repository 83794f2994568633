package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/service"
)

func newPluginPackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pack DIR",
		Short: "Pack a folder into a package",
		Long: `Pack a folder into a package, with the mode bits of its files, and check it as
hosts do. Files that do not belong in a package are left out: .git and the like,
and files of a run of the plugin in that folder.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	packaging := addPackageFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := checkFolder(args[0])
		if err != nil {
			return withExitRefused(err)
		}
		files, left, err := pack.Folder(args[0])
		if err != nil {
			return withExitCode(exitRefused, err)
		}
		files = slices.DeleteFunc(files, func(f pack.File) bool {
			isOlder := strings.HasPrefix(f.Name, name+"-") && (strings.HasSuffix(f.Name, ".zip") || strings.HasSuffix(f.Name, ".zip.sig"))
			if isOlder { // an earlier package of this command
				left = append(left, f.Name)
			}
			return isOlder
		})
		for _, name := range left {
			fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: left out: "+name)
		}
		return packaging.writePackage(cmd, files)
	}
	return cmd
}

// checkFolder returns the name of the plugin in a folder. The error joins all
// mistakes of its service.yaml.
func checkFolder(dir string) (name string, err error) {
	c, err := record.ReadPackageConfig(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s has no config.json: is it the folder of a plugin?", dir)
	case err != nil:
		return "", withExitCode(exitRefused, err)
	}
	run := filepath.Join(dir, c.RunPath)
	if info, err := os.Stat(run); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 == 0 {
		return "", withExitCode(exitRefused, fmt.Errorf("%s is not executable (mode %04o); run `chmod +x %s` before packing", c.RunPath, info.Mode().Perm(), run))
	}
	if filepath.Base(c.RunPath) != layout.Shim {
		return c.Name, nil
	}
	s, err := service.Read(dir)
	if err != nil {
		return "", err
	}
	return c.Name, s.CheckFiles(func(path string) (fs.FileMode, error) {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			return 0, err
		}
		return info.Mode(), nil
	})
}
