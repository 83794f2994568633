package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"pluginsupervisor/internal/layout"
)

// TestStatusForAgent reads `--status` as the existing agent does: both streams are one
// buffer, which must be JSON for every failure of a plugin (CL-18).
func TestStatusForAgent(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	installScript(t, root, "healthy", "Persist", "20", "#!/bin/sh\necho said; echo failed >&2\n")
	for _, hung := range []string{"hung1", "hung2", "hung3"} {
		installScript(t, root, hung, "Persist", "1", "#!/bin/sh\ntrap '' TERM\nsleep 600\n")
	}
	installScript(t, root, "missing", "Persist", "20", "")
	installScript(t, root, "format", "Persist", "20", "neither a script nor a program")
	installScript(t, root, "mode", "Persist", "20", "#!/bin/sh\n")
	installScript(t, root, "odd", "Persist", "20", "#!/bin/sh\n")
	installScript(t, root, "once", "Once", "20", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(root, "plugin", "mode", "1.0", "main.sh"), 0o644); err != nil {
		t.Fatal(err)
	}
	addDamagedRecords(t, root)
	for _, args := range [][]string{{"--status"}, {"-S"}, {"--status", "--nonsense", "x"}} {
		t.Run("CL-18 "+strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			both, began := createOutput(t, "both"), time.Now()
			code, _, _ := invoke(t, invocation{
				args: args, environ: []string{"SUPERVISOR_ROOT=" + root, "SUPERVISOR_NONSENSE=1"}, streams: streams{stdout: both, stderr: both},
			})
			var list []struct{ Name, Status, Version string }
			if err := json.Unmarshal([]byte(readOutput(t, both)), &list); err != nil || code != 0 {
				t.Fatalf("exit %d, %v: %s", code, err, readOutput(t, both))
			}
			got := map[string]string{}
			for _, p := range list {
				got[p.Name] = p.Status
			}
			for name, want := range map[string]string{
				"healthy": "PERSIST_RUNNING", "hung1": "PERSIST_FAIL", "hung2": "PERSIST_FAIL", "hung3": "PERSIST_FAIL",
				"missing": "PERSIST_FAIL", "format": "PERSIST_FAIL", "mode": "PERSIST_FAIL", "odd": "PERSIST_RUNNING", "once": "",
			} {
				if got[name] != want {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("took %s: hanging plugins were probed one after the other", took)
			}
		})
	}
	t.Run("CL-18 with -V the reasons are printed", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := runOnRoot(t, root, "--status", "-V")
		if code != 0 || !json.Valid([]byte(stdout)) || !strings.Contains(stderr, "missing") || !strings.Contains(stderr, "record") {
			t.Errorf("exit %d; stdout %s; stderr %s", code, stdout, stderr)
		}
	})
}

// addDamagedRecords adds invalid records to the plugin database.
func addDamagedRecords(t *testing.T, root string) {
	t.Helper()
	db, err := bbolt.Open(layout.Database(root), 0o640, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		for i, text := range []string{"{", `{"name":"../out","version":"1.0","pluginType":1}`} {
			key := binary.LittleEndian.AppendUint64(nil, uint64(100+i))
			if err := tx.Bucket([]byte("pluginList")).Put(key, []byte(text)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoStatus checks that without a list standard output is empty and standard error
// has the reason (CL-18).
func TestNoStatus(t *testing.T) {
	t.Parallel()
	locked := t.TempDir()
	installScript(t, locked, "healthy", "Persist", "20", "#!/bin/sh\n")
	db, err := bbolt.Open(layout.Database(locked), 0o640, nil) // like another program that hangs
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	wrong := filepath.Join(t.TempDir(), "supervisor.yaml")
	if err := os.WriteFile(wrong, []byte("nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("all", func(t *testing.T) {
		for name, i := range map[string]invocation{
			"no root":             {environ: []string{"SUPERVISOR_ROOT=" + filepath.Join(locked, "none")}},
			"database in use":     {environ: []string{"SUPERVISOR_ROOT=" + locked}},
			"wrong configuration": {config: wrong},
		} {
			t.Run("CL-18 "+name, func(t *testing.T) {
				t.Parallel()
				i.args = []string{"--status"}
				if code, stdout, stderr := invoke(t, i); code != exitDatabaseRead || stdout != "" || stderr == "" {
					t.Errorf("exit %d; stdout %q; stderr %q", code, stdout, stderr)
				}
			})
		}
	})
}

// TestStatusUnprinted checks that an output that cannot be written is an error (CL-18).
func TestStatusUnprinted(t *testing.T) {
	root := t.TempDir()
	installScript(t, root, "healthy", "Persist", "20", "#!/bin/sh\n")
	i := invocation{args: []string{"--status"}, environ: []string{"SUPERVISOR_ROOT=" + root}, streams: streams{stdout: fullOutput{}, stderr: io.Discard}}
	if code, _, _ := invoke(t, i); code != exitDatabaseRead {
		t.Errorf("exit %d", code)
	}
}
