package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Program is a program of others that tests run as a plugin (AP-13).
type Program struct {
	Name    string // of the executable
	Package string // the Debian package that contains it; or
	Module  string // the Go package that it is built from, with a version
}

// Find returns the path of the program. Where it is missing, Find installs the Debian
// package, which needs root, or builds the Go package in the user's cache folder. It
// does so only where everything is required; elsewhere the test is skipped.
func (p Program) Find(t testing.TB) string {
	t.Helper()
	if !All() {
		SkipWithout(t, RealPrograms, p.Name+" is run by make test-all")
	}
	found, err := p.findOrInstall()
	if err != nil {
		SkipWithout(t, RealPrograms, err)
	}
	return found
}

func (p Program) findOrInstall() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "pluginsupervisor-tests")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(cache, "lock")) // tests of other packages run at the same time
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if p.Module != "" {
		return p.build(filepath.Join(cache, path.Base(p.Module)))
	}
	return p.install()
}

// build returns the program in a folder, and builds it if it is not there.
func (p Program) build(folder string) (string, error) {
	program := filepath.Join(folder, p.Name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	cmd := exec.Command("go", "install", p.Module)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s is missing and cannot be built: go install %s: %w: %s", p.Name, p.Module, err, lastLine(out))
	}
	return program, nil
}

// install returns the program of a Debian package, and installs it if it is missing.
func (p Program) install() (string, error) {
	if found := p.lookUp(); found != "" {
		return found, nil
	}
	var failed error
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", p.Package}} {
		cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=120"}, args...)...)
		// The package must not start a service.
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_OFFLINE=1", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			failed = fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLine(out))
		}
	}
	if found := p.lookUp(); found != "" {
		return found, nil
	}
	return "", fmt.Errorf("%s is missing; as root: apt-get install %s (%w)", p.Name, p.Package, failed)
}

// lookUp returns the path of the program on this machine, "" for none.
func (p Program) lookUp() string {
	for _, name := range []string{p.Name, "/usr/sbin/" + p.Name} { // a user's PATH may lack sbin
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
