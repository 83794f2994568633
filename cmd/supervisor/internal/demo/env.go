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

// samples holds the plugins of examples/ that the demo installs.
var samples = [...]string{"hello", "crash", "hang", "once"}

// env is the environment of the demo: its root and programs.
type env struct {
	bin          string
	root         string
	registry     *registry.Registry
	supervisor   *child
	controlPlane *child
	address      string // of the control plane, host:port
}

// checkBuilt returns an error with the files that are missing in bin.
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
		return nil, fmt.Errorf("create the root of the demo: %w", err)
	}
	// The path that the kernel reports for its processes.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, fmt.Errorf("resolve the root of the demo: %w", err)
	}
	return &env{bin: bin, root: root, registry: registry.New(registry.Options{Root: root})}, nil
}

func (e *env) logFile(name string) string { return filepath.Join(e.root, name+".log") }
func (e *env) pageURL() string            { return "http://" + e.address + "/" }
func (e *env) socketPath() string         { return layout.Socket(e.root) }

// unpackSample copies a version of a sample to the folder of its package.
func (e *env) unpackSample(name, version string) (record.PackageConfig, error) {
	return e.unpackAs(name, version, name)
}

// unpackAs copies a version of a sample with the program of another sample.
func (e *env) unpackAs(name, version, program string) (record.PackageConfig, error) {
	from := filepath.Join(e.bin, "examples")
	to := layout.Version(e.root, name, version)
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

// replaceVersion returns a config.json with another version: all versions of a sample
// have the same program.
func replaceVersion(config []byte, version string) ([]byte, error) {
	fields := map[string]any{}
	if err := json.Unmarshal(config, &fields); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	fields["version"] = version
	return json.MarshalIndent(fields, "", "  ")
}

// installSample unpacks a version of a sample and records it in the plugin database.
func (e *env) installSample(ctx context.Context, name, version string) error {
	config, err := e.unpackSample(name, version)
	if err != nil {
		return err
	}
	if _, err := e.registry.Put(ctx, config.Record()); err != nil {
		return fmt.Errorf("record %s: %w", name, err)
	}
	return nil
}

// runControlPlane starts the control plane on a free port, and after that on the same
// port, with the same database.
func (e *env) runControlPlane(ctx context.Context) error {
	listen := e.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	file := filepath.Join(e.root, "controlplane.address")
	c, err := spawnChild("control plane", filepath.Join(e.bin, "controlplane"), e.logFile("controlplane"),
		"serve", "--listen", listen, "--address-file", file, "--database", filepath.Join(e.root, "controlplane.db"))
	if err != nil {
		return err
	}
	e.controlPlane = c
	return waitUntil(ctx, 30*time.Second, func() (bool, error) {
		b, err := os.ReadFile(file)
		e.address = strings.TrimSpace(string(b))
		if errors.Is(err, fs.ErrNotExist) {
			return false, c.exitError()
		}
		return e.address != "", err
	})
}

// runSupervisor starts the supervisor with short intervals.
func (e *env) runSupervisor() error {
	config := filepath.Join(e.root, "supervisor.yaml")
	text := fmt.Sprintf(`root: %q
instance_id: demo
control_plane: {url: %q}
intervals: {scan: 3s, pull: 2s, update: 5s, inventory: 1h}
first_run: {scan: 500ms, pull: 2s, update: 3s, inventory: 4s, jitter: 0s}
avoid_window: 0s
restart: {stagger: 500ms, backoff_initial: 1s, backoff_max: 5s, healthy_after: 3s}
upgrade: {prove: 3s}
`, e.root, "http://"+e.address)
	if err := os.WriteFile(config, []byte(text), 0o640); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	c, err := spawnChild("supervisor", filepath.Join(e.bin, "supervisor"), e.logFile("supervisor"), "run", "--config", config)
	e.supervisor = c
	return err
}

// cleanUp stops all processes of the demo, plugins included, and removes the root
// unless keep is set.
func (e *env) cleanUp(ctx context.Context, keep bool) error {
	// The supervisor first, or it restarts the stopped plugins.
	failed := e.supervisor.stopProcess(ctx)
	failed = errors.Join(failed, e.stopPlugins(ctx), e.controlPlane.stopProcess(ctx))
	if keep {
		return failed
	}
	if err := os.RemoveAll(e.root); err != nil {
		failed = errors.Join(failed, fmt.Errorf("remove the root of the demo: %w", err))
	}
	return failed
}

// stopPlugins runs --stop of every plugin, and then kills all processes that still
// run a program of the root.
func (e *env) stopPlugins(ctx context.Context) error {
	runner := process.NewRunner(process.Options{})
	programs, err := filepath.Glob(filepath.Join(layout.Plugins(e.root), "*", "*", "*"))
	if err != nil {
		return fmt.Errorf("find plugins: %w", err)
	}
	for _, program := range programs {
		dir := filepath.Dir(program)
		if filepath.Base(program) != filepath.Base(filepath.Dir(dir)) {
			continue
		}
		// After a failure the process is killed below.
		runner.Run(ctx, process.Command{
			Path: program, Args: []string{string(plugin.VerbStop)}, Timeout: 10 * time.Second,
			Env: append(os.Environ(), process.PluginEnv(dir, "")...),
		})
	}
	return waitUntil(ctx, 10*time.Second, func() (bool, error) {
		left, err := listDaemons(e.root)
		for _, d := range left {
			_ = syscall.Kill(d.pid, syscall.SIGKILL)
		}
		return len(left) == 0, err
	})
}

// errTimeout is wrapped by the error of waitUntil after its timeout.
var errTimeout = errors.New("not true")

// waitUntil calls check until it returns true or an error, or until the timeout.
func waitUntil(ctx context.Context, timeout time.Duration, check func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w within %v", errTimeout, timeout))
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := check(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// heartbeatAge returns how long ago a plugin wrote its heartbeat, 0 if it never did.
func (e *env) heartbeatAge(name, version string) time.Duration {
	info, err := os.Stat(filepath.Join(layout.Version(e.root, name, version), layout.Heartbeat))
	if err != nil {
		return 0
	}
	return time.Since(info.ModTime())
}

// readTail returns the last n lines of a file.
func readTail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
