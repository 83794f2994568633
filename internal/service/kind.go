package service

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"pluginsupervisor/plugin"

	"golang.org/x/sys/unix"
)

// Words is the kind of a command: a list of words.
type Words struct{}

// Set sets a command of one word.
func (Words) Set(field any, text string) error {
	*field.(*[]string) = []string{text}
	return checkWords(*field.(*[]string))
}

// Text returns the words with blanks between them.
func (Words) Text(field any) string { return strings.Join(*field.(*[]string), " ") }

// Allowed describes a command.
func (Words) Allowed() string {
	return "a list of words, the first a program: its path in the package, or an absolute path of the host"
}

// Word returns the name of a value in the usage of a flag.
func (Words) Word() string { return "word" }

// checkWords returns an error when words are not a command.
func checkWords(words []string) error {
	switch {
	case len(words) == 0 || words[0] == "":
		return errors.New("has no program")
	case strings.Contains(strings.Join(words, ""), "\x00"):
		return errors.New("holds a zero byte")
	case !filepath.IsAbs(words[0]) && (!filepath.IsLocal(words[0]) || filepath.Clean(words[0]) == "."):
		return fmt.Errorf("%q leaves the package", words[0])
	}
	return nil
}

// Variables is the kind of an environment.
type Variables struct{}

// Set adds one variable, NAME=VALUE.
func (Variables) Set(field any, text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("is not NAME=VALUE")
	}
	if err := checkVariable(name, value); err != nil {
		return err
	}
	variables := field.(*map[string]string)
	if *variables == nil {
		*variables = map[string]string{}
	}
	(*variables)[name] = value
	return nil
}

// Text returns the number of variables.
func (Variables) Text(field any) string { return strconv.Itoa(len(*field.(*map[string]string))) }

// Allowed describes variables.
func (Variables) Allowed() string {
	return "names of letters, digits and _, with a text each; not PLUGIN_DIR and PRE_PLUGIN_DIR"
}

// Word returns the name of a value in the usage of a flag.
func (Variables) Word() string { return "NAME=VALUE" }

// checkVariable returns an error when a variable is not allowed.
func checkVariable(name, value string) error {
	isOther := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	switch {
	case name == "" || strings.ContainsFunc(name, isOther) || name[0] >= '0' && name[0] <= '9':
		return errors.New("is not a name of a variable")
	case name == plugin.EnvDir || name == plugin.EnvPreviousDir:
		return errors.New("is set by the supervisor")
	case strings.Contains(value, "\x00"):
		return errors.New("holds a zero byte")
	}
	return nil
}

// signalKind is the kind of a signal.
type signalKind struct{}

// signalNames holds the signals that ask programs to exit.
var signalNames = []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "KILL"}

func (signalKind) Set(field any, text string) error {
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	for _, known := range signalNames {
		if name == known {
			*field.(*syscall.Signal) = unix.SignalNum("SIG" + name)
			return nil
		}
	}
	return errors.New("is none of them")
}

func (signalKind) Text(field any) string {
	return strings.TrimPrefix(unix.SignalName(*field.(*syscall.Signal)), "SIG")
}
func (signalKind) Allowed() string { return strings.Join(signalNames, ", ") }
func (signalKind) Word() string    { return "signal" }

// textKind is a text that a function checks.
type textKind struct {
	name, allow string
	check       func(string) error
}

func (t textKind) Set(field any, s string) error {
	if err := t.check(s); err != nil {
		return err
	}
	*field.(*string) = s
	return nil
}

func (textKind) Text(field any) string { return *field.(*string) }
func (t textKind) Allowed() string     { return t.allow }
func (t textKind) Word() string        { return t.name }

var (
	accountKind = textKind{"name", "a name or number of /etc/passwd or /etc/group", checkAccount}
	folderKind  = textKind{"path", "a path in the package", checkFolder}
	urlKind     = textKind{"url", "http:// with a host; for https use a command", checkURL}
	addressKind = textKind{"address", "host:port, such as 127.0.0.1:6379", checkAddress}
)

func checkAccount(s string) error {
	if s == "" || len(s) > 256 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == ':' || r == '/' || r == 0x7f }) {
		return errors.New("is not a name of a user or group")
	}
	return nil
}

func checkFolder(s string) error {
	switch {
	case strings.Contains(s, "\x00"):
		return errors.New("holds a zero byte")
	case !filepath.IsLocal(s):
		return errors.New("leaves the package")
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Scheme == "https":
		return errors.New("is https://, which only a command can check")
	case u.Scheme != "http":
		return errors.New("is not http://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("holds a user; use a command")
	case u.Port() != "" && !isPort(u.Port()):
		return errors.New("has an impossible port")
	case strings.ContainsAny(u.Host+u.RequestURI(), " \r\n\t\x00"):
		return errors.New("holds a blank")
	}
	return nil
}

func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil:
		return errors.New("is not host:port")
	case host == "":
		return errors.New("has no host")
	case !isPort(port):
		return errors.New("has an impossible port")
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
