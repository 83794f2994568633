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

// childDatabase tells the test binary to serve that database and nothing else.
const childDatabase = "CONTROLPLANE_TEST_DATABASE"

// child prints its address and serves until it is killed, or orphaned.
func child(database string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // the parent's end of stdin closes with the parent
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
	for round := range 3 {
		for host, version := range reportUntilKilled(t, database, round) {
			answered[host] = version
		}
		store := openStore(t, database)
		kept := versions(t, store)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		for host, version := range answered {
			// The one after it may be kept as well: its answer was cut off.
			if kept[host] < version {
				t.Errorf("CP-04 round %d: %s was answered for %s, kept %q", round, host, version, kept[host])
			}
		}
	}
}

// reportUntilKilled lets hosts report ever newer versions, kills the server
// with -9 in the midst of that, and tells what each was last answered 200 for.
func reportUntilKilled(t *testing.T, database string, round int) map[string]string {
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
				version := fmt.Sprintf("%d.%06d", round, n) // ordered as text
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
					t.Errorf("answered %s", answer.Status)
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

func versions(t *testing.T, s *Store) map[string]string {
	t.Helper()
	hosts, err := s.Hosts(context.Background())
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
