package kafka

import "syscall"

// childAttributes let a child die with the thread that started it, so that no
// Java is left when the test is killed. [start] keeps that thread.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
