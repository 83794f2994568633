package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"pluginsupervisor/internal/config"
)

// With log.format json the log is JSON lines, and metrics.listen serves metrics and
// health.
func TestRunServesMetricsAndHealth(t *testing.T) {
	root, err := os.MkdirTemp("/tmp", "sv")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	cmd := exec.Command(filepath.Join(os.Getenv("TEST_BIN"), "supervisor"), "run", "--root", root, "--log-format", "json",
		"--metrics-listen", "127.0.0.1:0", "--first-run-jitter", "0s", "--control-plane-url", "http://127.0.0.1:1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(timeLimit, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	lines := bufio.NewScanner(stderr)
	var started struct{ Msg, Metrics, Level, Root string }
	for started.Msg != "Supervisor started" && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &started); err != nil {
			t.Fatalf("log line %q: %v", lines.Text(), err)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	for path, want := range map[string]string{"/healthz": `"ok"`, "/readyz": `"ok"`, "/metrics": "\nsupervisor_up 1\n"} {
		if err := awaitPage("http://"+started.Metrics+path, want); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit after SIGTERM: %v", err)
	}
}

// awaitPage waits until the page contains the text: /readyz is 503 before the first
// scan.
func awaitPage(url, want string) error {
	var err error
	for deadline := time.Now().Add(timeLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var resp *http.Response
		if resp, err = http.Get(url); err != nil {
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK && strings.Contains(string(b), want) {
			return nil
		}
		err = fmt.Errorf("%s: %s", resp.Status, b)
	}
	return err
}

func TestNewLogger(t *testing.T) {
	log, err := newLogger(config.Log{Level: "warning", Format: "json"}, io.Discard)
	if err != nil || log.GetLevel() != logrus.WarnLevel {
		t.Errorf("%v, %v", log.GetLevel(), err)
	}
	if _, ok := log.Formatter.(*logrus.JSONFormatter); !ok {
		t.Errorf("formatter is %T", log.Formatter)
	}
	if _, err := newLogger(config.Log{Level: "loud"}, io.Discard); err == nil {
		t.Error("an unknown level is accepted")
	}
}
