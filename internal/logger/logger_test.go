package logger

import (
	"bytes"
	"io"
	"testing"

	"github.com/sirupsen/logrus"
)

func TestOrSilent(t *testing.T) {
	var out bytes.Buffer
	mine := logrus.New()
	mine.SetOutput(&out)
	OrSilent(mine).Error("written")
	if out.Len() == 0 {
		t.Error("the given logger was replaced")
	}
	silent, ok := OrSilent(nil).(*logrus.Logger)
	if !ok || silent.Out != io.Discard {
		t.Errorf("without a logger: %T, want one that discards", silent)
	}
}
