package record

import (
	"encoding/json"
	"fmt"
	"strings"
)

// MaxCommanderSize is the size of the largest axt-commander.json that is read, in bytes.
const MaxCommanderSize = 64 << 10

// WithCommander returns the configuration of a package of type Commander with the
// content of its axt-commander.json, decoded leniently as config.json is. Only the
// existing agent uses it, to start the plugin. Unknown members are kept. The error
// wraps ErrMalformed.
func (c PackageConfig) WithCommander(text []byte) (PackageConfig, error) {
	fields, err := decodeObject(text)
	if err != nil {
		return c, fmt.Errorf("decode axt-commander.json: %w", err)
	}
	var known struct {
		PidFile      string `json:"pidFile"`
		EndpointType string `json:"endpointType"`
		EndpointFile string `json:"endpointFile"`
		APIVersion   string `json:"apiVersion"`
	}
	var unknown []field
	var l lenient
	for _, f := range fields {
		switch strings.ToLower(f.key) {
		case "pidfile":
			known.PidFile = l.readText(f)
		case "endpointtype":
			known.EndpointType = l.readText(f)
		case "endpointfile":
			known.EndpointFile = l.readText(f)
		case "apiversion":
			known.APIVersion = l.readText(f)
		default:
			unknown = append(unknown, f)
		}
	}
	if l.err != nil {
		return c, fmt.Errorf("decode axt-commander.json: %w", l.err)
	}
	b, err := json.Marshal(known)
	if err == nil {
		c.commanderInfo, err = appendFields(b, unknown)
	}
	if err != nil {
		return c, fmt.Errorf("decode axt-commander.json: %w", err)
	}
	return c, nil
}
