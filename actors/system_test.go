package actors

import "testing"

func TestExampleStart(t *testing.T) { testRestart(t) }
