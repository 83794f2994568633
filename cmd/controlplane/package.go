package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pluginsupervisor/internal/controlplane"
)

func packageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "package",
		Short: "Add, list and remove the packages that hosts can download",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(packageAddCommand(), packageListCommand(), packageRemoveCommand())
	return cmd
}

func packageAddCommand() *cobra.Command {
	var c client
	var manifest string
	var replace bool
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Upload a package and print its name, version and digest",
		Long: `Upload a package, a zip file with the plugin's config.json, and print its name,
version, system, size and digest. Adding the same package again changes nothing.
Other content for the same name, version, os and arch needs --replace.`,
		Example: "  controlplane package add agent-2.4.2.zip --manifest agent-2.4.2.zip.sig",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var p controlplane.Package
			if err := c.uploadPackage(cmd.Context(), args[0], manifest, replace, &p); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s/%s %d bytes sha256:%s\n", printable(p.Name), printable(p.Version), printable(p.OS), printable(p.Arch), p.Size, printable(p.SHA256))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&manifest, "manifest", "", "`file` with the signed manifest of the package")
	f.BoolVar(&replace, "replace", false, "overwrite an existing package with other content")
	serverFlags(cmd, &c)
	return cmd
}

func packageListCommand() *cobra.Command {
	var c client
	var format string
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "List all packages, or those of one plugin, newest version first",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("output %q is not known: want text or json", format)
			}
			path := "/api/packages"
			if len(args) == 1 {
				path += "?" + url.Values{"name": args}.Encode()
			}
			var all controlplane.PackageList
			if err := c.callAPI(cmd.Context(), http.MethodGet, path, nil, &all); err != nil {
				return err
			}
			if format == "json" {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(all)
			}
			return printPackages(cmd.OutOrStdout(), all.Packages, time.Now())
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	serverFlags(cmd, &c)
	return cmd
}

func printPackages(to io.Writer, packages []controlplane.Package, now time.Time) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PLUGIN\tVERSION\tOS\tARCH\tBYTES\tSHA256\tSIGNED\tUPLOADED")
	for _, p := range packages {
		signed := "no"
		if p.Manifest != "" {
			signed = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%.12s\t%s\t%s ago\n",
			printable(p.Name), printable(p.Version), printable(p.OS), printable(p.Arch), p.Size, printable(p.SHA256), signed, formatAge(now, p.Uploaded))
	}
	return w.Flush()
}

func packageRemoveCommand() *cobra.Command {
	var c client
	var which controlplane.Removal
	cmd := &cobra.Command{
		Use:   "remove NAME VERSION",
		Short: "Remove the packages of a version, for all systems by default",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"name": {args[0]}, "version": {args[1]}, "os": {which.OS}, "arch": {which.Arch}}
			if which.Force {
				q.Set("force", "true")
			}
			return c.callAPI(cmd.Context(), http.MethodDelete, "/api/packages?"+q.Encode(), nil, nil)
		},
	}
	f := cmd.Flags()
	f.StringVar(&which.OS, "os", "", "only the one for this `os`: linux, windows, freebsd or both")
	f.StringVar(&which.Arch, "arch", "", "only the one for this `arch`: x64, x86, arm or all")
	f.BoolVar(&which.Force, "force", false, "remove even an offered version")
	serverFlags(cmd, &c)
	return cmd
}
