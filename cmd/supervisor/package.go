package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/cmd/supervisor/internal/view"
	"pluginsupervisor/internal/config"
	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/install"
	"pluginsupervisor/internal/install/fetch"
	"pluginsupervisor/internal/install/manifest"
	"pluginsupervisor/internal/owner"
	"pluginsupervisor/internal/packagesource"
	"pluginsupervisor/plugin"
	"pluginsupervisor/supervisor"
)

func newInstallCommand() *cobra.Command {
	return changeCommand{
		use: "install FILE|URL|NAME[@VERSION]", short: "Install a package, or upgrade a plugin", asksControlPlane: true,
		more: `
FILE or URL is a package. NAME@VERSION is a version that the control plane has or
that is unpacked on this host. A NAME alone is the newest version of the plugin at
the control plane, if it is newer than the installed one.`,
		parse: func(cmd *cobra.Command, cfg config.Config, bar *view.Bar, arg string) (request, error) {
			if info, err := os.Stat(arg); (err != nil || info.IsDir()) && !fetch.IsRemote(arg) {
				switch {
				case strings.Contains(arg, "@"):
					return requestVersion(arg)
				case plugin.CheckName(arg) == nil:
					w, err := requestNewest(cmd, cfg, arg, false)
					if errors.Is(err, control.ErrNotListed) {
						err = withExitCode(exitNone, fmt.Errorf("%w, and there is no such file", err))
					}
					return w, err
				}
			}
			if err := supervisor.PrepareRoot(cfg.Root); err != nil {
				return request{}, err
			}
			return requestPackage(cmd.Context(), cfg, arg, progressOn(bar, arg))
		},
	}.build()
}

// requestPackage returns the request for the package in a file or at a URL, which it
// stages to read the name and version.
func requestPackage(ctx context.Context, cfg config.Config, source string, progress fetch.Progress) (request, error) {
	if !fetch.IsRemote(source) {
		var err error
		if source, err = filepath.Abs(source); err != nil {
			return request{}, err
		}
	}
	staged, err := stagePackage(ctx, cfg, install.Request{Source: source, Progress: progress, Resume: true, HandOver: true})
	if err != nil {
		return request{}, err
	}
	offer := plugin.Change{Name: staged.Config.Name, Version: staged.Config.Version, Package: source, Kind: plugin.ChangeInstall, Origin: plugin.FromOperator}
	return request{change: offer, staged: staged}, nil
}

// inspectPackage stages a package, calls see with it, and removes it (CL-14).
func inspectPackage(ctx context.Context, cfg config.Config, source string, progress fetch.Progress, see func(*install.Staged)) error {
	staged, err := stagePackage(ctx, cfg, install.Request{Source: source, Progress: progress})
	if err != nil {
		return err
	}
	see(staged)
	return staged.Discard()
}

// stagePackage fetches a package into staging; the caller discards it.
func stagePackage(ctx context.Context, cfg config.Config, r install.Request) (*install.Staged, error) {
	installer, err := packagesource.NewInstaller(cfg)
	if err != nil {
		return nil, err
	}
	defer installer.Close()
	_, _ = installer.Sweep(ctx) // leftovers of an interrupted command; the next command retries
	return installer.Stage(ctx, r)
}

// verifyResult is the JSON output of verify.
type verifyResult struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Type     string `json:"type"`
	OS       string `json:"os,omitempty"`
	Arch     string `json:"arch,omitempty"`
	Size     int64  `json:"size"` // bytes
	Verified string `json:"verified"`
	Sum      string `json:"sum"`
	Key      string `json:"key,omitempty"`
}

func newVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FILE|URL",
		Short: "Check a package without installing it",
		Long: `Check a package without installing it: fetch, verify and unpack it, check its
files, and remove it.

If upgrade.trusted_keys is set, the package must be signed by one of these keys;
the signature is in PACKAGE.sig beside it.

Exit status: 0 if the package can be installed, else 1.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	output := addOutput(cmd)
	settings := addRootSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if err := owner.BecomeOf(cfg.Root); err != nil {
			return err
		}
		if err := supervisor.PrepareRoot(cfg.Root); err != nil {
			return err
		}
		var v verifyResult
		bar := view.NewBar(cmd.ErrOrStderr())
		defer bar.Clear()
		err = inspectPackage(cmd.Context(), cfg, args[0], progressOn(bar, args[0]), func(s *install.Staged) {
			v = verifyResult{
				Name: s.Config.Name, Version: s.Config.Version, Type: s.Config.Type.String(), OS: s.Config.OSType, Arch: s.Config.Arch,
				Size: s.Size, Verified: string(s.Verified), Sum: s.Sum, Key: s.Key,
			}
		})
		bar.Clear()
		switch {
		case err != nil:
			return err
		case *output == asJSON:
			return writeJSON(cmd.OutOrStdout(), v)
		}
		by := v.Verified
		if v.Key != "" {
			by += " by key " + v.Key
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s  %s  %d bytes  %s\nverified: %s\n", v.Name, v.Version, v.Type, v.Size, v.Sum, by)
		return err
	}
	return cmd
}

func newKeygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen FILE",
		Short: "Write a new private key to FILE and print the public key",
		Long: `Write a new private key to FILE (mode 0600, never overwritten) and print the
public key, for upgrade.trusted_keys. sign signs packages with the private key.`,
		Args: checkArguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := manifest.GenerateKey()
			if err != nil {
				return err
			}
			if err := key.WriteFile(args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key.Public())
			return err
		},
	}
}

func newSignCommand() *cobra.Command {
	var (
		keys     []string
		valid    time.Duration
		sequence uint64
	)
	cmd := &cobra.Command{
		Use:   "sign PACKAGE --key FILE",
		Short: "Sign a package: write PACKAGE.sig beside it",
		Long: `Sign a package. The signature covers name, version, system, size and SHA-256, the
date until which it is valid, and a sequence number. A host rejects a lower
sequence number than the last one that it installed of that plugin. Several keys
make several signatures; a host needs one of them.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "private key `file` of keygen; can be repeated")
	cmd.Flags().DurationVar(&valid, "valid", defaultValidity, "`duration` until the signature expires")
	cmd.Flags().Uint64Var(&sequence, "sequence", uint64(time.Now().Unix()), "sequence `number`, which grows with each package")
	cmd.Flags().Lookup("sequence").DefValue = "the Unix time"
	settings := addRootSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if len(keys) == 0 || valid <= 0 {
			return withExitCode(exitUsage, errors.New("--key is required, and --valid must be positive (try --help)"))
		}
		m, err := signPackage(cmd.Context(), cfg, args[0], keys, manifest.Manifest{NotAfter: time.Now().Add(valid).Unix(), Sequence: sequence})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s.sig: %s %s, sequence %d, until %s\n", args[0], m.Name, m.Version, m.Sequence, time.Unix(m.NotAfter, 0).UTC().Format(time.DateOnly))
		return err
	}
	return cmd
}

// defaultValidity is the default validity of a signature.
const defaultValidity = 365 * 24 * time.Hour

// signPackage writes PACKAGE.sig beside a package and returns the signed manifest:
// m, completed with the values of the package.
func signPackage(ctx context.Context, cfg config.Config, file string, keys []string, m manifest.Manifest) (manifest.Manifest, error) {
	var private []manifest.PrivateKey
	for _, file := range keys {
		key, err := manifest.ReadPrivateKey(file)
		if err != nil {
			return m, err
		}
		private = append(private, key)
	}
	cfg.Upgrade.TrustedKeys, cfg.Upgrade.RequireSHA256 = nil, false
	var err error
	if cfg.Root, err = os.MkdirTemp("", "supervisor-sign-"); err != nil {
		return m, err
	}
	defer os.RemoveAll(cfg.Root)
	err = inspectPackage(ctx, cfg, file, nil, func(s *install.Staged) {
		m.Name, m.Version, m.OS, m.Arch, m.Size, m.SHA256 = s.Config.Name, s.Config.Version, s.Config.OSType, s.Config.Arch, s.Size, s.Sum
	})
	if err != nil {
		return m, err
	}
	text, err := manifest.Sign(m, private...)
	if err != nil {
		return m, err
	}
	return m, os.WriteFile(file+".sig", text, 0o644)
}

// progressOn returns a function that shows the progress of a download.
func progressOn(bar *view.Bar, source string) fetch.Progress {
	what := path.Base(source)
	if u, err := url.Parse(source); err == nil { // its query may have a password
		what = path.Base(u.Path)
	}
	return func(done, total int64) { bar.ShowFetched(what, done, total) }
}
