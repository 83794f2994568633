package record

import (
	"encoding/json"
	"strconv"

	"pluginsupervisor/plugin"
)

// decodeType returns a pluginType by SPEC 1 (ST-12).
func decodeType(raw json.RawMessage) plugin.Type {
	if n, err := strconv.ParseFloat(string(raw), 64); err == nil {
		switch n {
		case 0:
			return plugin.Once
		case 1:
			return plugin.Persist
		case 2:
			return plugin.Commander
		}
		return plugin.Unknown
	}
	switch string(raw) {
	case "", "null", `""`, `"Once"`:
		return plugin.Once
	case `"Persist"`:
		return plugin.Persist
	case `"Commander"`:
		return plugin.Commander
	default:
		return plugin.Unknown
	}
}

// encodeType returns a pluginType as JSON; raw is the original text of an Unknown one.
func encodeType(t plugin.Type, raw json.RawMessage) json.RawMessage {
	switch {
	case t != plugin.Unknown:
		return json.RawMessage(strconv.Itoa(int(t)))
	case decodeType(raw) == plugin.Unknown:
		return raw
	default:
		return json.RawMessage(`"Unknown"`)
	}
}
