package testenv

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// recorder records the outcome of a test.
type recorder struct {
	testing.TB
	outcome string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.stop("skip: "+format, args...) }

func (r *recorder) Fatalf(format string, args ...any) { r.stop("fail: "+format, args...) }

func (r *recorder) stop(format string, args ...any) {
	r.outcome = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestSkipWithout(t *testing.T) {
	for name, c := range map[string]struct {
		require string
		need    Need
		want    string
	}{
		"nothing required":             {"", Cgroup2, "skip: needs cgroup2: no such hierarchy"},
		"all required":                 {"all", Cgroup2, "fail: needs cgroup2, and SUPERVISOR_TEST_REQUIRE=all allows no skip: no such hierarchy"},
		"all required, optional":       {"all", PlainUser, "skip: needs plain-user, which is optional (root is needed by other tests): no such hierarchy"},
		"a value that does not exist":  {"most", Cgroup2, `fail: SUPERVISOR_TEST_REQUIRE is "most"; it must be empty or all`},
		"the same, for optional needs": {"1", PlainUser, `fail: SUPERVISOR_TEST_REQUIRE is "1"; it must be empty or all`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(Require, c.require)
			r, done := &recorder{}, make(chan struct{})
			go func() {
				defer close(done)
				SkipWithout(r, c.need, errors.New("no such hierarchy"))
			}()
			<-done
			if r.outcome != c.want {
				t.Errorf("got %q, want %q", r.outcome, c.want)
			}
		})
	}
}

// An optional need has a reason, and not everything is optional.
func TestOptional(t *testing.T) {
	for need, reason := range optional {
		if strings.TrimSpace(reason) == "" {
			t.Errorf("%s is optional without a reason", need)
		}
	}
	for _, need := range []Need{Cgroup2, Limits, Mount} {
		if optional[need] != "" {
			t.Errorf("%s is optional", need)
		}
	}
}
