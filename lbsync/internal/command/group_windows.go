package command

import "os/exec"

// ownGroup leaves it at ending the program itself, which is what exec does.
func ownGroup(*exec.Cmd) {}
