// Package cliapp is the frame that both programs, certgen and enroll, stand in.
//
// A program is a tree of urfave/cli commands built afresh for each run by a
// function that takes an [Env]: the streams, the clock and the environment,
// injected so that a test can replace each. [Program.Run] hardens that tree
// against the surprises of urfave/cli v2, runs it, prints the one error line
// and the hints, and turns the error into an exit code. [Program.Main] is the
// same with the real streams and signals.
//
// Results go to standard output, once, through [Env.Print]; progress, logs and
// errors go to standard error. A command returns an error and never prints it.
//
// The exit codes are a contract with scripts: see [ExitOK] and its neighbours.
package cliapp
