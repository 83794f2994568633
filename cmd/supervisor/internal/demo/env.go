package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pluginsupervisor/internal/layout"
	"pluginsupervisor/internal/process"
	"pluginsupervisor/internal/record"
	"pluginsupervisor/internal/registry"
	"pluginsupervisor/plugin"
)

// samples are the plugins of examples/ that the demo installs.
var samples = [...]string{"hello", "crash", "hang", "once"}

// env is where the show takes place: the root and the programs that run.
type env struct {
	bin          string
	root         string
	registry     *registry.Registry
	supervisor   *child
	controlPlane *child
	address      string // of the control plane, host:port
}

// checkBuilt tells what is missing in bin, and how to get it.
func checkBuilt(bin string) error {
	var missing []string
	need := []string{"supervisor", "controlplane"}
	for _, s := range samples {
		need = append(need, filepath.Join("examples", s, s), filepath.Join("examples", s, layout.PackageConfig))
	}
	for _, n := range need {
		if _, err := os.Stat(filepath.Join(bin, n)); err != nil {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the demo needs %s in %s: run `make build` first", strings.Join(missing, ", "), bin)
	}
	return nil
}

func newEnv(bin string) (*env, error) {
	root, err := os.MkdirTemp("", "supervisor-demo-")
	if err != nil {
		return nil, fmt.Errorf("create the demo's root: %w", err)
	}
	// As the kernel will tell it of the processes in there.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, fmt.Errorf("find the demo's root: %w", err)
	}
	return &env{bin: bin, root: root, registry: registry.New(registry.Options{Root: root})}, nil
}

func (s *env) logFile(name string) string { return filepath.Join(s.root, name+".log") }
func (s *env) pageURL() string            { return "http://" + s.address + "/" }
func (s *env) socketPath() string         { return layout.Socket(s.root) }

// unpackSample puts a version of a sample where a package's files are.
func (s *env) unpackSample(name, version string) (record.PackageConfig, error) {
	return s.unpackAs(name, version, name)
}

// unpackAs does so with the program of another sample.
func (s *env) unpackAs(name, version, program string) (record.PackageConfig, error) {
	from := filepath.Join(s.bin, "examples")
	to := layout.Version(s.root, name, version)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return record.PackageConfig{}, fmt.Errorf("unpack %s: %w", name, err)
	}
	for _, f := range []struct {
		from, name string
		mode       fs.FileMode
	}{{filepath.Join(program, program), name, 0o755}, {filepath.Join(name, layout.PackageConfig), layout.PackageConfig, 0o644}} {
		b, err := os.ReadFile(filepath.Join(from, f.from))
		if err != nil {
			return record.PackageConfig{}, fmt.Errorf("unpack %s: %w", name, err)
		}
		if f.name == layout.PackageConfig {
			if b, err = replaceVersion(b, version); err != nil {
				return record.PackageConfig{}, fmt.Errorf("unpack %s: %w", name, err)
			}
		}
		if err := os.WriteFile(filepath.Join(to, f.name), b, f.mode); err != nil {
			return record.PackageConfig{}, fmt.Errorf("unpack %s: %w", name, err)
		}
	}
	return record.ReadPackageConfig(to)
}

// replaceVersion is a config.json with another version: all versions of a sample
// are the same program.
func replaceVersion(config []byte, version string) ([]byte, error) {
	fields := map[string]any{}
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	fields["version"] = version
	return json.MarshalIndent(fields, "", "  ")
}

// installSample unpacks a version of a sample and records it in the plugin database.
func (s *env) installSample(ctx context.Context, name, version string) error {
	config, err := s.unpackSample(name, version)
	if err != nil {
		return err
	}
	if _, err := s.registry.Put(ctx, config.Record()); err != nil {
		return fmt.Errorf("record %s: %w", name, err)
	}
	return nil
}

// runControlPlane starts the control plane: on a free port, and the next time
// on the same, with what it knew.
func (s *env) runControlPlane(ctx context.Context) error {
	listen := s.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	file := filepath.Join(s.root, "controlplane.address")
	c, err := spawnChild("control plane", filepath.Join(s.bin, "controlplane"), s.logFile("controlplane"),
		"serve", "--listen", listen, "--address-file", file, "--database", filepath.Join(s.root, "controlplane.db"))
	if err != nil {
		return err
	}
	s.controlPlane = c
	return waitUntil(ctx, 30*time.Second, func() (bool, error) {
		b, err := os.ReadFile(file)
		s.address = strings.TrimSpace(string(b))
		if errors.Is(err, fs.ErrNotExist) {
			return false, c.exitError()
		}
		return s.address != "", err
	})
}

// runSupervisor starts the supervisor with periods short enough to watch.
func (s *env) runSupervisor() error {
	config := filepath.Join(s.root, "supervisor.yaml")
	text := fmt.Sprintf(`root: %q
instance_id: demo
control_plane: {url: %q}
intervals: {scan: 3s, pull: 2s, update: 5s, inventory: 1h}
first_run: {scan: 500ms, pull: 2s, update: 3s, inventory: 4s, jitter: 0s}
avoid_window: 0s
restart: {stagger: 500ms, backoff_initial: 1s, backoff_max: 5s, healthy_after: 3s}
upgrade: {prove: 3s}
`, s.root, "http://"+s.address)
	if err := os.WriteFile(config, []byte(text), 0o640); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	c, err := spawnChild("supervisor", filepath.Join(s.bin, "supervisor"), s.logFile("supervisor"), "run", "--config", config)
	s.supervisor = c
	return err
}

// cleanUp ends all that the demo started, the plugins too, and removes the root.
func (s *env) cleanUp(ctx context.Context, keep bool) error {
	// The supervisor first, or it would start again what is stopped here.
	failed := s.supervisor.stopProcess(ctx)
	failed = errors.Join(failed, s.stopPlugins(ctx), s.controlPlane.stopProcess(ctx))
	if keep {
		return failed
	}
	if err := os.RemoveAll(s.root); err != nil {
		failed = errors.Join(failed, fmt.Errorf("remove the demo's root: %w", err))
	}
	return failed
}

// stopPlugins has every plugin stop itself. What runs then still, a verb that
// was under way or a daemon that would not hear, is ended by the kernel's list.
func (s *env) stopPlugins(ctx context.Context) error {
	runner := process.NewRunner(process.Options{})
	programs, err := filepath.Glob(filepath.Join(layout.Plugins(s.root), "*", "*", "*"))
	if err != nil {
		return fmt.Errorf("find plugins: %w", err)
	}
	for _, program := range programs {
		dir := filepath.Dir(program)
		if filepath.Base(program) != filepath.Base(filepath.Dir(dir)) {
			continue
		}
		// That it failed is seen below.
		runner.Run(ctx, process.Command{
			Path: program, Args: []string{string(plugin.VerbStop)}, Timeout: 10 * time.Second,
			Env: append(os.Environ(), process.PluginEnv(dir, "")...),
		})
	}
	return waitUntil(ctx, 10*time.Second, func() (bool, error) {
		left, err := listDaemons(s.root)
		for _, d := range left {
			_ = syscall.Kill(d.pid, syscall.SIGKILL)
		}
		return len(left) == 0, err
	})
}

// errTimeout says that something did not come true in time.
var errTimeout = errors.New("not seen")

// waitUntil asks until the answer is yes, an error, or patience is at its end.
func waitUntil(ctx context.Context, patience time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w within %v", errTimeout, patience))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// heartbeatAge is how long a plugin's heartbeat has not changed; 0 if there is none.
func (s *env) heartbeatAge(name, version string) time.Duration {
	info, err := os.Stat(filepath.Join(layout.Version(s.root, name, version), layout.Heartbeat))
	if err != nil {
		return 0
	}
	return time.Since(info.ModTime())
}

// readTail is the last n lines of a file.
func readTail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
