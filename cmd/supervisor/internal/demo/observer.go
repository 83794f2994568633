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

// observer see what is, from three sides.
type observer struct {
	env   *env
	admin *admin.Client
	http  *http.Client
}

func newObserver(s *env) *observer {
	return &observer{env: s, admin: admin.Dial(s.socketPath()), http: &http.Client{Timeout: 5 * time.Second}}
}

// observation is what was seen at one moment.
type observation struct {
	plugin.Snapshot            // what the supervisor says
	reported        []reported // what the control plane says; nil when it is away
	daemons         []daemon   // what the kernel says
}

// reported is one plugin as the control plane shows it.
type reported struct {
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Status   plugin.Status `json:"status"`
	Reported time.Time     `json:"reported"`
}

// observe looks once. Only a supervisor that ended is an error: one that does not
// answer yet is seen as knowing nothing.
func (e *observer) observe(ctx context.Context) (observation, error) {
	if err := e.env.supervisor.exitError(); err != nil {
		return observation{}, err
	}
	var s observation
	s.Snapshot, _ = e.admin.Status(ctx)
	s.reported, _ = e.listReported(ctx)
	var err error
	if s.daemons, err = listDaemons(e.env.root); err != nil {
		return observation{}, fmt.Errorf("list processes: %w", err)
	}
	return s, nil
}

// findView is a plugin in the supervisor's words.
func (s observation) findView(name string) plugin.View {
	for _, v := range s.Plugins {
		if v.Name == name && !v.Duplicate {
			return v
		}
	}
	return plugin.View{}
}

// findReported is a plugin in the control plane's words.
func (s observation) findReported(name string) reported {
	for _, r := range s.reported {
		if r.Name == name {
			return r
		}
	}
	return reported{}
}

// findPID is the one daemon of a plugin's version, else 0.
func (s observation) findPID(name, version string) int { return findOnlyPID(s.daemons, name, version) }

// listReported asks the control plane what it was told: by the one host there is.
func (e *observer) listReported(ctx context.Context) ([]reported, error) {
	var answer struct {
		Hosts []struct {
			Plugins []reported `json:"plugins"`
		} `json:"hosts"`
	}
	if err := e.callControlPlane(ctx, http.MethodGet, "api/hosts", nil, &answer); err != nil {
		return nil, err
	}
	if len(answer.Hosts) == 0 {
		return nil, nil
	}
	return answer.Hosts[0].Plugins, nil
}

// assignVersion has the control plane offer a version.
func (e *observer) assignVersion(ctx context.Context, name, version string) error {
	body := map[string]any{"name": name, "version": version, "timeout": 30}
	return e.callControlPlane(ctx, http.MethodPost, "api/offers", body, nil)
}

func (e *observer) callControlPlane(ctx context.Context, method, path string, body, into any) error {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return fmt.Errorf("ask the control plane: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, e.env.pageURL()+path, &b)
	if err != nil {
		return fmt.Errorf("ask the control plane: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the control plane: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("ask the control plane: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the control plane answered %s: %s", resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the control plane's answer: %w", err)
	}
	return nil
}
