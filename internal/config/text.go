package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"pluginsupervisor/internal/yamlfile"
)

// textKind is the kind of a text that a function checks and may normalize.
type textKind struct {
	name  string
	allow string
	check func(string) (string, error)
}

func (k textKind) Set(field any, text string) error {
	text, err := k.check(text)
	if err != nil {
		return err
	}
	*field.(*string) = text
	return nil
}

func (textKind) Text(field any) string { return *field.(*string) }
func (k textKind) Allowed() string     { return k.allow }
func (k textKind) Word() string        { return k.name }

// pathWord is the word of the kinds of paths.
const pathWord = "path"

// The kinds of text.
var (
	absoluteKind = textKind{pathWord, "an absolute path", checkAbsolute}
	fileKind     = textKind{pathWord, `an absolute path, or "" for none`, allowEmpty(checkAbsolute)}
	socketKind   = textKind{pathWord, `an absolute path of at most 107 bytes, or "" for ROOT/supervisor/supervisor.sock`, allowEmpty(checkSocket)}
	managerKind  = textKind{pathWord, ManagerNative + ", or the absolute path of an acs-plugin-manager program", checkManager}
	urlKind      = textKind{"url", "http:// or https:// with a host, without user, query or fragment", checkURL}
	idKind       = textKind{"text", `1 to 255 printable ASCII characters without blanks, or "" for the host's own`, allowEmpty(checkID)}
	listenKind   = textKind{"address", `host:port such as 127.0.0.1:9108, or "" for none`, allowEmpty(checkListen)}
)

// commandKind is the kind of a program with its arguments.
var commandKind = yamlfile.List{Rule: "an absolute path and arguments, or nothing; ", Check: func(entries []string) error {
	if len(entries) == 0 {
		return nil
	}
	if _, err := checkAbsolute(entries[0]); err != nil {
		return fmt.Errorf("names a program that %w", err)
	}
	return nil
}}

// allowEmpty returns a check that also allows "".
func allowEmpty(check func(string) (string, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		if s == "" {
			return "", nil
		}
		return check(s)
	}
}

func checkAbsolute(s string) (string, error) {
	if strings.ContainsRune(s, 0) {
		return "", errors.New("holds a zero byte")
	}
	if !filepath.IsAbs(s) {
		return "", errors.New("is not an absolute path")
	}
	return filepath.Clean(s), nil
}

// maxSocketPath is the kernel's limit for the path of a unix socket, in bytes.
const maxSocketPath = 107

func checkSocket(s string) (string, error) {
	s, err := checkAbsolute(s)
	if err == nil {
		err = checkSocketLength(s)
	}
	return s, err
}

func checkSocketLength(s string) error {
	if len(s) > maxSocketPath {
		return fmt.Errorf("socket path too long (%d bytes, at most %d)", len(s), maxSocketPath)
	}
	return nil
}

func checkManager(s string) (string, error) {
	if s == ManagerNative {
		return s, nil
	}
	return checkAbsolute(s)
}

func checkURL(s string) (string, error) {
	u, err := url.Parse(s)
	if bracketed := bracketIPv6(s); bracketed != "" {
		return "", fmt.Errorf("has an IPv6 address without brackets; write %s", bracketed)
	}
	switch {
	case err != nil:
		return "", errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("is neither http:// nor https://")
	case u.Hostname() == "":
		return "", errors.New("has no host")
	case u.User != nil:
		return "", errors.New("holds a user; use control_plane.token_file or cert_file")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "", errors.New("has a query or fragment")
	}
	if p := u.Port(); p != "" && !isPort(p) {
		return "", errors.New("has an invalid port")
	}
	return s, nil
}

// bracketIPv6 returns the URL with its IPv6 address in brackets. It returns "" if the
// host is not an IPv6 address or has brackets.
func bracketIPv6(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return ""
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	host, path := rest[:end], rest[end:]
	if strings.Count(host, ":") < 2 || strings.ContainsAny(host, "[]@") {
		return ""
	}
	// The text behind the last colon is a port if the rest is an address too:
	// ::1:8700 is both, and is not the address of a control plane.
	i := strings.LastIndexByte(host, ':')
	if before, port := host[:i], host[i+1:]; isPort(port) && net.ParseIP(before) != nil {
		return scheme + "://[" + before + "]:" + port + path
	}
	if net.ParseIP(host) == nil {
		return ""
	}
	return scheme + "://[" + host + "]" + path
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n <= 65535
}

func checkID(s string) (string, error) {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("holds %q", c)
		}
	}
	if len(s) > 255 {
		return "", fmt.Errorf("is %d bytes long", len(s))
	}
	return s, nil
}

func checkListen(s string) (string, error) {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", errors.New("is not host:port")
	}
	if !isPort(port) {
		return "", errors.New("has an invalid port")
	}
	return s, nil
}
