package vfork

// Numbers of system calls.
const (
	sysDup3        = 24
	sysIoctl       = 29
	sysChdir       = 49
	sysOpenat      = 56
	sysClose       = 57
	sysRead        = 63
	sysWrite       = 64
	sysExit        = 93
	sysSigaction   = 134
	sysSigprocmask = 135
	sysSetpriority = 140
	sysSetgid      = 144
	sysSetuid      = 146
	sysSetpgid     = 154
	sysSetsid      = 157
	sysSetgroups   = 159
	sysUmask       = 166
	sysClone       = 220
	sysExecve      = 221
	sysPrlimit     = 261
)
