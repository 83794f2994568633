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
	"pluginsupervisor/internal/supply"
	"pluginsupervisor/plugin"
	"pluginsupervisor/supervisor"
)

func newInstallCommand() *cobra.Command {
	return changeCommand{
		use: "install FILE|URL|NAME[@VERSION]", short: "Install a plugin, or upgrade it to another version", asksControlPlane: true,
		more: `
A file or URL is a package. NAME@VERSION is one that the control plane lists, or
that is unpacked on this host; a NAME alone is the newest that the control plane
lists, if that is newer than the one on this host.`,
		parse: func(cmd *cobra.Command, cfg config.Config, bar *view.Bar, arg string) (request, error) {
			if info, err := os.Stat(arg); (err != nil || info.IsDir()) && !fetch.Remote(arg) {
				switch {
				case strings.Contains(arg, "@"):
					return requestVersion(arg)
				case plugin.CheckName(arg) == nil:
					w, err := requestNewest(cmd, cfg, arg, false)
					if errors.Is(err, control.ErrNotListed) {
						err = withExitCode(exitNone, fmt.Errorf("%w, nor is there such a file", err))
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

// requestPackage is the wish for the package at a file or URL, whose name and
// version it has to be looked into for.
func requestPackage(ctx context.Context, cfg config.Config, source string, progress fetch.Progress) (request, error) {
	if !fetch.Remote(source) {
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

// inspectPackage stages a package, has it seen, and leaves nothing of it (CL-14).
func inspectPackage(ctx context.Context, cfg config.Config, source string, progress fetch.Progress, see func(*install.Staged)) error {
	staged, err := stagePackage(ctx, cfg, install.Request{Source: source, Progress: progress})
	if err != nil {
		return err
	}
	see(staged)
	return staged.Discard()
}

// stagePackage gets a package into staging; the caller discards it.
func stagePackage(ctx context.Context, cfg config.Config, r install.Request) (*install.Staged, error) {
	installer, err := supply.Installer(cfg)
	if err != nil {
		return nil, err
	}
	defer installer.Close()
	_, _ = installer.Sweep(ctx) // what an earlier one left that was interrupted; the next one tries again
	return installer.Stage(ctx, r)
}

// verifyResult is what `verify` tells of a package.
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
		Short: "Fetch a package, verify and check it, and leave nothing of it",
		Long: `Fetch a package, verify it, unpack it, check what is in it, and leave nothing.

With upgrade.trusted_keys set it has to be signed by one of them; the signature
is in PACKAGE.sig beside it. It exits 0 when the package could be installed, 1
when it could not.`,
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
		Short: "Make a key that packages are signed with",
		Long: `Make a key that packages are signed with: the private one into FILE, which must
not be there yet and only you may read, the public one onto the terminal, for
upgrade.trusted_keys.`,
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
		Short: "Sign a package, into PACKAGE.sig beside it",
		Long: `Sign a package: what it is, for which system, its size and SHA-256, until when
the signature holds, and a sequence. A host refuses a lower sequence than the
last one it installed of that plugin. Several keys make several signatures, of
which a host needs one.`,
		Args: checkArguments(cobra.ExactArgs(1)),
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "private key `file`, as made by keygen; may be given again")
	cmd.Flags().DurationVar(&valid, "valid", defaultValidity, "for how `long` the signature holds")
	cmd.Flags().Uint64Var(&sequence, "sequence", uint64(time.Now().Unix()), "a number that grows with each package; the time, if none is given")
	settings := addRootSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := settings.loadConfig(cmd)
		if err != nil {
			return err
		}
		if len(keys) == 0 || valid <= 0 {
			return withExitCode(exitUsage, errors.New("--key is needed, and --valid must be positive (try --help)"))
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

// defaultValidity is how long a signature holds unless the command says otherwise.
const defaultValidity = 365 * 24 * time.Hour

// signPackage writes PACKAGE.sig beside a package and returns what it signed: what
// m says, and what the package is.
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

// progressOn shows how a download gets on.
func progressOn(bar *view.Bar, source string) fetch.Progress {
	what := path.Base(source)
	if u, err := url.Parse(source); err == nil { // it may have a password in its query
		what = path.Base(u.Path)
	}
	return func(done, total int64) { bar.ShowFetched(what, done, total) }
}
