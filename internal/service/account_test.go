package service

import (
	"os"
	"strings"
	"testing"
)

// AP-12: the error for an unknown user or group has its file and line.
func TestAccount(t *testing.T) {
	for text, want := range map[string]string{
		"user: no-such-user":               `service.yaml:2: user: there is no user "no-such-user" on this host; allowed: a name or number`,
		"user: root\ngroup: no-such-group": `service.yaml:3: group: there is no group "no-such-group" on this host`,
	} {
		s, err := Parse("service.yaml", []byte("command: [a]\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.Account(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for _, s := range []Service{{}, {User: "root", Group: "root"}, {User: "0"}} {
		a, err := s.Account()
		if err != nil {
			t.Errorf("%+v: %v", s, err)
			continue
		}
		if got, want := a.IsCaller(), a == nil || os.Geteuid() == 0 && os.Getegid() == 0; got != want {
			t.Errorf("%+v is the caller: %t", s, got)
		}
	}
	other := &Account{UID: os.Geteuid() + 1}
	if err := other.CheckCaller(); (err == nil) != (os.Geteuid() == 0) {
		t.Error(err)
	}
}
