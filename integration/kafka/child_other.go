//go:build !linux

package kafka

import "syscall"

// childAttributes: a test that is killed leaves its nodes running.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
