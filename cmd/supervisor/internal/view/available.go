package view

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Available is a package that the control plane has for this host.
type Available struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Installed bool   `json:"installed"`      // this version is installed
	OS        string `json:"os,omitempty"`   // "" for any
	Arch      string `json:"arch,omitempty"` // "" for any
	MD5       string `json:"md5,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	Signed    bool   `json:"signed"`
	URL       string `json:"url"`
}

// describeVerification returns the ways to verify the package.
func (a Available) describeVerification() string {
	var by []string
	switch {
	case a.SHA256 != "":
		by = append(by, "sha256")
	case a.MD5 != "":
		by = append(by, "md5 only")
	}
	if a.Signed {
		by = append(by, "signed")
	}
	if len(by) == 0 {
		return "nothing"
	}
	return strings.Join(by, ", ")
}

// WritePackages writes the packages of the control plane as a table.
func WritePackages(w io.Writer, all []Available, p Paint) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "the control plane has no packages for this host")
		return err
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "NAME\tVERSION\t%s\tOS\tARCH\tVERIFIED BY\n", p.colourText(plain, "HERE"))
	for _, a := range all {
		here := p.colourText(plain, "-")
		if a.Installed {
			here = p.colourText(green, "installed")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", CleanLine(a.Name), CleanLine(a.Version), here, orAny(a.OS), orAny(a.Arch), a.describeVerification())
	}
	_ = tw.Flush() // into memory
	_, err := io.WriteString(w, b.String())
	return err
}

func orAny(word string) string {
	if word == "" {
		return "any"
	}
	return CleanLine(word)
}
