package packagestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pluginsupervisor/internal/powerfail"
)

// A kept file survives a power failure, the folder survives with its first file,
// and a file with a digest as its name is complete.
func TestPowerFailure(t *testing.T) {
	contents := []string{strings.Repeat("one", 1000), strings.Repeat("two", 1000)}
	var digests []string
	recording := powerfail.Record(t, func(f powerfail.Folder) {
		f.Settle()
		d, err := Open(t.Context(), filepath.Join(f.Path, "packages"))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, content := range contents {
			in, err := d.Receive(strings.NewReader(content), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(in.Keep(), in.Close()); err != nil {
				t.Fatal(err)
			}
			digests = append(digests, in.SHA256)
			f.Acknowledge()
		}
	})
	flushes := powerfail.Flushes{}
	recording.Check(t, flushes, func(i powerfail.Image) error {
		d, err := Open(context.Background(), filepath.Join(i.Path, "packages"))
		if err != nil {
			return err
		}
		defer d.Close()
		for n, digest := range digests {
			file, err := d.OpenFile(digest)
			if errors.Is(err, os.ErrNotExist) && n >= i.Acknowledged {
				continue
			}
			if err != nil {
				return err
			}
			content, err := io.ReadAll(file)
			if err = errors.Join(err, file.Close()); err != nil || string(content) != contents[n] {
				return fmt.Errorf("file %d holds %d bytes, %v", n, len(content), err)
			}
		}
		return nil
	})
	flushes.CheckNeeded(t, nil)
}
