package controlplane

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pluginsupervisor/internal/control"
	"pluginsupervisor/internal/logger"
)

// childDatabase is the variable that makes the test binary serve that database.
const childDatabase = "CONTROLPLANE_TEST_DATABASE"

// runChild prints its address and serves until it is killed or its parent exits.
func runChild(database string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // stdin closes when the parent exits
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		cancel()
	}()
	if limit := os.Getenv(childFileSize); limit != "" {
		if err := limitFiles(limit); err != nil {
			return err
		}
	}
	store, err := Open(ctx, database)
	if err != nil {
		return err
	}
	defer store.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return NewServer(store, logger.Silent(), DefaultLimits(), Links{}).Serve(ctx, listener)
}

func startChild(t *testing.T, database string) (cmd *exec.Cmd, url string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDatabase+"="+database)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // also when the test failed before it killed the child
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, "http://" + strings.TrimSpace(address)
}

func TestKilledServerLosesNothing(t *testing.T) {
	database := filepath.Join(t.TempDir(), "fleet.db")
	answered := map[string]string{} // host to the last version that was answered 200
	for run := range 3 {
		for host, version := range reportUntilKilled(t, database, run) {
			answered[host] = version
		}
		store := openStore(t, database)
		kept := readVersions(t, store)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		for host, version := range answered {
			// A later version may be stored, too: its answer was cut off.
			if kept[host] < version {
				t.Errorf("CP-04 run %d: version %[3]s of %[2]s was acknowledged, stored is %[4]q", run, host, version, kept[host])
			}
		}
	}
}

// reportUntilKilled reports ever newer versions of several hosts, kills the server
// with -9, and returns the last version of each host that was answered 200.
func reportUntilKilled(t *testing.T, database string, run int) map[string]string {
	cmd, url := startChild(t, database)
	var mu sync.Mutex
	answered := map[string]string{}
	total := 0
	client := &http.Client{Timeout: time.Minute}
	var hosts sync.WaitGroup
	for i := range 8 {
		hosts.Go(func() {
			host := fmt.Sprintf("host-%d", i)
			for n := 0; ; n++ {
				version := fmt.Sprintf("%d.%06d", run, n) // sorts as text
				r, err := http.NewRequest(http.MethodPost, url+control.PathReport,
					strings.NewReader(`{"plugin":[{"name":"agent","status":"PERSIST_RUNNING","version":"`+version+`"}]}`))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set(control.HeaderInstanceID, host)
				answer, err := client.Do(r)
				if err != nil {
					return // killed
				}
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					t.Errorf("answered %s, want 200", answer.Status)
					return
				}
				mu.Lock()
				answered[host] = version
				total++
				mu.Unlock()
			}
		})
	}
	waitFor(t, "reports", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return total >= 50
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	hosts.Wait()
	return maps.Clone(answered)
}

func readVersions(t *testing.T, s *Store) map[string]string {
	t.Helper()
	hosts, err := s.ListHosts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, h := range hosts {
		for _, p := range h.Plugins {
			all[h.ID] = p.Version
		}
	}
	return all
}
