package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"pluginsupervisor/internal/tools/testbed"
)

// errNoPeer is returned where runit is not installed.
var errNoPeer = errors.New("runsv is not installed")

// measurePeer measures the time from the kill of a daemon until runit's runsv has
// restarted it. The daemons are of the same program. runsv restarts one at once if
// it has run for a second.
func measurePeer(ctx context.Context, services, deaths int) (_ spans, err error) {
	if _, err := exec.LookPath("runsv"); err != nil {
		return nil, errNoPeer
	}
	in, err := testbed.NewInstallation()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Clear()) }()
	program := filepath.Join(in.Root, "sampledaemon")
	if err := testbed.Build(ctx, "sampledaemon", program); err != nil {
		return nil, err
	}
	var dirs []string
	var peers []*testbed.Child
	defer func() {
		for _, p := range peers {
			err = errors.Join(err, p.Stop()) // it stops its daemon, too
		}
	}()
	for i := range services {
		dir := filepath.Join(in.Root, fmt.Sprintf("service-%02d", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		script := fmt.Sprintf("#!/bin/sh\necho $$ > %[1]s/pid\nPLUGIN_DIR=%[1]s exec %[2]s daemon\n", dir, program)
		if err := os.WriteFile(filepath.Join(dir, "run"), []byte(script), 0o755); err != nil {
			return nil, err
		}
		p, err := testbed.Spawn("runsv", filepath.Join(in.Root, "runsv.log"), dir)
		if err != nil {
			return nil, err
		}
		peers, dirs = append(peers, p), append(dirs, dir)
	}
	var all spans
	for i := range deaths {
		if i%services == 0 {
			for _, dir := range dirs {
				if _, err := waitStarted(ctx, dir, 0, aloneWithin); err != nil {
					return nil, err
				}
			}
			if err := peers[0].Pass(ctx, 1500*time.Millisecond); err != nil {
				return nil, err
			}
		}
		dir := dirs[i%services]
		died, err := killDaemon(dir)
		if err != nil {
			return nil, err
		}
		back, err := waitStarted(ctx, dir, died, aloneWithin)
		if err != nil {
			return nil, err
		}
		all = append(all, back-died)
		if err := peers[0].Pass(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return all, nil
}
