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

// eyes see what is, from three sides.
type eyes struct {
	stage *stage
	admin *admin.Client
	http  *http.Client
}

func newEyes(s *stage) *eyes {
	return &eyes{stage: s, admin: admin.Dial(s.socket()), http: &http.Client{Timeout: 5 * time.Second}}
}

// sight is what was seen at one moment.
type sight struct {
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

// see looks once. Only a supervisor that ended is an error: one that does not
// answer yet is seen as knowing nothing.
func (e *eyes) see(ctx context.Context) (sight, error) {
	if err := e.stage.supervisor.ended(); err != nil {
		return sight{}, err
	}
	var s sight
	s.Snapshot, _ = e.admin.Status(ctx)
	s.reported, _ = e.hosts(ctx)
	var err error
	if s.daemons, err = daemons(e.stage.root); err != nil {
		return sight{}, fmt.Errorf("list processes: %w", err)
	}
	return s, nil
}

// view is a plugin in the supervisor's words.
func (s sight) view(name string) plugin.View {
	for _, v := range s.Plugins {
		if v.Name == name && !v.Duplicate {
			return v
		}
	}
	return plugin.View{}
}

// told is a plugin in the control plane's words.
func (s sight) told(name string) reported {
	for _, r := range s.reported {
		if r.Name == name {
			return r
		}
	}
	return reported{}
}

// pid is the one daemon of a plugin's version, else 0.
func (s sight) pid(name, version string) int { return only(s.daemons, name, version) }

// hosts asks the control plane what it was told: by the one host there is.
func (e *eyes) hosts(ctx context.Context) ([]reported, error) {
	var answer struct {
		Hosts []struct {
			Plugins []reported `json:"plugins"`
		} `json:"hosts"`
	}
	if err := e.call(ctx, http.MethodGet, "api/hosts", nil, &answer); err != nil {
		return nil, err
	}
	if len(answer.Hosts) == 0 {
		return nil, nil
	}
	return answer.Hosts[0].Plugins, nil
}

// offer has the control plane offer a version.
func (e *eyes) offer(ctx context.Context, name, version string) error {
	body := map[string]any{"name": name, "version": version, "timeout": 30}
	return e.call(ctx, http.MethodPost, "api/offers", body, nil)
}

func (e *eyes) call(ctx context.Context, method, path string, body, into any) error {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return fmt.Errorf("ask the control plane: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, e.stage.page()+path, &b)
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
