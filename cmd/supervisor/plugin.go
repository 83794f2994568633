package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/pack"
	"pluginsupervisor/internal/pkgcheck"
	"pluginsupervisor/internal/platform"
	"pluginsupervisor/internal/service"
	"pluginsupervisor/internal/yamlfile"
)

func newPluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Make packages: wrap a program, create, pack or check a plugin",
		Args:  checkArguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPluginWrapCommand(), newPluginNewCommand(), newPluginPackCommand(), newPluginCheckCommand())
	return cmd
}

// packageFlags holds the flags of commands that write a package.
type packageFlags struct {
	output string
	keys   []string
}

func addPackageFlags(cmd *cobra.Command) *packageFlags {
	p := &packageFlags{}
	cmd.Flags().StringVar(&p.output, "output", "", "package `file`; by default NAME-VERSION-linux-ARCH.zip in the current folder")
	cmd.Flags().StringArrayVar(&p.keys, "sign", nil, "sign the package with this private key `file`: write PACKAGE.sig beside it; can be repeated")
	return p
}

// writePackage writes and checks a package, signs it if there are keys, and prints
// the result.
func (p *packageFlags) writePackage(cmd *cobra.Command, files []pack.File) error {
	made, err := pack.Make(cmd.Context(), files, p.output)
	if err != nil {
		return withExitRefused(err)
	}
	for _, w := range findWarnings(made) {
		fmt.Fprintln(cmd.ErrOrStderr(), "supervisor: warning: "+w)
	}
	signed := ""
	if len(p.keys) > 0 {
		now := time.Now()
		m := manifest.Manifest{NotAfter: now.Add(defaultValidity).Unix(), Sequence: uint64(now.Unix())}
		if m, err = signPackage(cmd.Context(), config.Default(), made.Path, p.keys, m); err != nil {
			return err
		}
		signed = fmt.Sprintf(", signed, sequence %d", m.Sequence)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s, %d bytes%s\n", made.Path, made.Config.Name, made.Config.Version, made.Size, signed)
	return err
}

// findWarnings returns possible problems on hosts, as far as this host shows them.
func findWarnings(made *pack.Made) (warnings []string) {
	if made.Service == nil {
		return nil
	}
	if _, err := made.Service.Account(); err != nil {
		warnings = append(warnings, err.Error())
	}
	if needs, has := made.Service.VerbTimeout(), made.Config.Record().Plugin().Timeout; has < needs {
		warnings = append(warnings, fmt.Sprintf("config.json: timeout is %v, but service.yaml allows %v for starting and stopping", has, needs))
	}
	return warnings
}

// withExitRefused gives the error of a package that hosts reject its exit status.
func withExitRefused(err error) error {
	if refusal := (*pkgcheck.Error)(nil); errors.As(err, &refusal) {
		return withExitCode(exitRefused, err)
	}
	if mistake := (*yamlfile.Mistake)(nil); errors.As(err, &mistake) {
		return withExitCode(exitRefused, err)
	}
	return err
}

// marshalPackageConfig returns the config.json of a plugin that the shim runs (AP-08).
// arch is in the form of packages.
func marshalPackageConfig(name, version, arch string, s service.Service) ([]byte, error) {
	text, err := json.MarshalIndent(struct {
		Name       string `json:"name"`
		Version    string `json:"version"`
		Arch       string `json:"arch"`
		OSType     string `json:"osType"`
		RunPath    string `json:"runPath"`
		Timeout    string `json:"timeout"`
		Publisher  string `json:"publisher"`
		PluginType string `json:"pluginType"`
	}{name, version, arch, "linux", layout.Shim, fmt.Sprint(int(s.VerbTimeout().Seconds())), "", "Persist"}, "", "  ")
	return append(text, '\n'), err
}

// findShim returns the shim for an architecture: the named file, or the one beside
// this executable.
func findShim(named, arch string) (pack.File, error) {
	f := pack.File{Name: layout.Shim, Mode: 0o755, Path: named}
	if named == "" {
		self, err := os.Executable()
		if err != nil {
			return f, err
		}
		f.Path = filepath.Join(filepath.Dir(self), layout.Shim+"-"+arch)
	}
	program, err := pack.ReadProgram(f.Path)
	switch {
	case err != nil:
		return f, fmt.Errorf("cannot read the shim for %s: %w; run `make build`, or name it by --shim FILE", arch, err)
	case program.Arch != "" && program.Arch != arch:
		return f, withExitCode(exitUsage, fmt.Errorf("%s is built for %s, but the package is for %s", f.Path, program.Arch, arch))
	}
	return f, nil
}

// addShimFlags adds the flags --shim and --arch.
func addShimFlags(cmd *cobra.Command) (shim, arch *string) {
	shim = cmd.Flags().String("shim", "", "plugin-shim `file` for the package; by default plugin-shim-ARCH beside this program")
	arch = cmd.Flags().String("arch", runtime.GOARCH, "architecture of the hosts: amd64 or arm64")
	return shim, arch
}

// parseArch returns an architecture in the form of packages.
func parseArch(arch string) (string, error) {
	if arch != "amd64" && arch != "arm64" {
		return "", withExitCode(exitUsage, fmt.Errorf("--arch %q; allowed: amd64, arm64", arch))
	}
	return platform.Arch(arch), nil
}
