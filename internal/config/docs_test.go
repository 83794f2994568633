package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const referenceFile = "../../docs/configuration.md"

// TestDocs checks docs/configuration.md, which is generated from the table of keys.
func TestDocs(t *testing.T) {
	want, err := writeReference()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/configuration.md is stale; go test ./internal/config -run TestDocs -update writes it (-want +got):\n%s", diff)
	}
}

const intro = "# Configuration\n" + `
<!-- Written by: go test ./internal/config -run TestDocs -update -->

Only the URL of the control plane has to be set. Every key can be set in the file, in the environment and on the command line. The
sources are read in this order, each overriding the one before:

1. the defaults below,
2. ` + "`ROOT/config/PluginCheckInterval`" + `, the file of the existing product: ` + "`key=seconds,…`" + ` with the keys
   ` + "`pluginHealthScanInterval`, `pluginHealthPullInterval`, `pluginUpdateCheckInterval`, `pluginListReportInterval`" + `; a malformed
   part is skipped with a warning,
3. the YAML file: ` + "`--config FILE`, by default `" + DefaultFile + "`" + `, which need not exist,
4. the environment: ` + "`" + envPrefix + "`" + ` and the key in capitals, with underscores for dots,
5. the flags: the key with dashes for dots and underscores.

Everything is checked before anything is started. Each mistake is one line that says where it is, which key, what is wrong and what
is allowed. All mistakes are reported at once; ` + "`supervisor run`" + ` then exits 2:

` + "```" + `
%s
` + "```" + `

` + "`supervisor config check`" + ` only checks, and reads the files that the configuration names (token,
certificates, keys). ` + "`supervisor config show`" + ` prints the effective configuration and where each value was set. A
variable that begins with ` + "`" + envPrefix + "`" + ` and is not a key is a warning. There is no reload: restart the supervisor; plugins keep running.

- Durations are numbers with a unit: ` + "`300ms`, `90s`, `15m`, `24h`, `1h30m`" + `. Intervals may be shorter than 10 s, the shortest that a
  control plane may set.
- Sizes are bytes, or whole numbers with ` + "`KiB`, `MiB`, `GiB`, `TiB`" + `.
- Paths are absolute; on the command line a relative path is resolved from the current folder. ` + "`--socket`" + ` is short for ` + "`--admin-socket`" + `.
- Lists are YAML lists in the file; in the environment and on the command line, commas separate their entries.

## The file

Every key with its default:

` + "```yaml\n%s```" + `

## The keys
`

// writeReference returns the document, generated from the table of keys.
func writeReference() (string, error) {
	c := Default()
	shown, err := c.YAML()
	if err != nil {
		return "", err
	}
	doc := parseFile(DefaultFile, []byte("\n\n\n\n\nintervals:\n  scan: 15 minutes\n  pul: 5m\n"))
	var example []string
	for _, m := range doc.Mistakes {
		example = append(example, m.Error())
	}
	var b strings.Builder
	fmt.Fprintf(&b, intro, strings.Join(example, "\n"), shown)
	for _, k := range keys {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", k.name, k.help)
		if k.isFileOnly() {
			writeLimits(&b)
			continue
		}
		value := k.formatValue(&c)
		if value == "" {
			value = `""`
		}
		if k.kind.Word() == "list" {
			value = "[]"
		}
		fmt.Fprintf(&b, "- default: `%s`\n- allowed: %s\n- flag: `--%s`, variable: `%s`\n", value, k.kind.Allowed(), k.flagName(), k.variableName())
	}
	return b.String(), nil
}

func writeLimits(b *strings.Builder) {
	b.WriteString("In the file only; by default there are no limits. Where a limit cannot be enforced, `supervisor status` says so.\n\n")
	b.WriteString("```yaml\nplugins:\n  NAME:\n    limits: {cpu: 0.5, memory: 256MiB, pids: 64}\n```\n\n")
	for _, l := range limits {
		fmt.Fprintf(b, "- `%s`: %s Allowed: %s.\n", l.name, l.help, l.kind.Allowed())
	}
}
