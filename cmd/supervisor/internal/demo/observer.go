package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"pluginsupervisor/internal/admin"
	"pluginsupervisor/plugin"
)

// observer reads the state from the supervisor, the control plane and the kernel.
type observer struct {
	env   *env
	admin *admin.Client
	http  *http.Client
}

func newObserver(s *env) *observer {
	return &observer{env: s, admin: admin.Dial(s.socketPath()), http: &http.Client{Timeout: 5 * time.Second}}
}

// observation holds the state at one moment.
type observation struct {
	plugin.Snapshot            // of the supervisor
	reported        []reported // at the control plane; nil if it does not answer
	daemons         []daemon   // of the kernel
}

// reported is one plugin at the control plane.
type reported struct {
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Status   plugin.Status `json:"status"`
	Reported time.Time     `json:"reported"`
}

// observe reads the state once. It is an error if the supervisor has exited; while it
// does not answer yet, its part is empty.
func (o *observer) observe(ctx context.Context) (observation, error) {
	if err := o.env.supervisor.exitError(); err != nil {
		return observation{}, err
	}
	var s observation
	s.Snapshot, _ = o.admin.Status(ctx)
	s.reported, _ = o.listReported(ctx)
	var err error
	if s.daemons, err = listDaemons(o.env.root); err != nil {
		return observation{}, fmt.Errorf("list processes: %w", err)
	}
	return s, nil
}

// findView returns the state of a plugin at the supervisor.
func (s observation) findView(name string) plugin.View {
	for _, v := range s.Plugins {
		if v.Name == name && !v.Duplicate {
			return v
		}
	}
	return plugin.View{}
}

// findReported returns the state of a plugin at the control plane.
func (s observation) findReported(name string) reported {
	for _, r := range s.reported {
		if r.Name == name {
			return r
		}
	}
	return reported{}
}

// findPID returns the pid of the only daemon of a version, else 0.
func (s observation) findPID(name, version string) int { return findOnlyPID(s.daemons, name, version) }

// listReported returns the plugins of the only host at the control plane.
func (o *observer) listReported(ctx context.Context) ([]reported, error) {
	var answer struct {
		Hosts []struct {
			Plugins []reported `json:"plugins"`
		} `json:"hosts"`
	}
	if err := o.callControlPlane(ctx, http.MethodGet, "api/hosts", nil, &answer); err != nil {
		return nil, err
	}
	if len(answer.Hosts) == 0 {
		return nil, nil
	}
	return answer.Hosts[0].Plugins, nil
}

// assignVersion makes the control plane assign a version to its hosts.
func (o *observer) assignVersion(ctx context.Context, name, version string) error {
	body := map[string]any{"name": name, "version": version, "timeout": 30}
	return o.callControlPlane(ctx, http.MethodPost, "api/offers", body, nil)
}

// callControlPlane sends a request and decodes the answer into into, unless that is
// nil.
func (o *observer) callControlPlane(ctx context.Context, method, path string, body, into any) error {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return fmt.Errorf("request to the control plane: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, o.env.pageURL()+path, &b)
	if err != nil {
		return fmt.Errorf("request to the control plane: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := o.http.Do(req)
	if err != nil {
		return fmt.Errorf("request to the control plane: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("request to the control plane: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the control plane answered %s: %s", resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("parse the answer of the control plane: %w", err)
	}
	return nil
}
