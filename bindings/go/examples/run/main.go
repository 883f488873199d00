// Run runs a command in a new container and prints what it wrote: go run ./examples/run uname -a
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"hcs"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	os.Exit(code)
}

func run(command []string) (int, error) {
	if len(command) == 0 {
		command = []string{"uname", "-a"}
	}
	// Ctrl-C cancels whatever call is pending, and kills the command.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	system, err := hcs.Create(ctx, fmt.Sprintf("run-go-%d", os.Getpid()), hcs.Map{
		"Owner": "run.go", "ShouldTerminateOnLastHandleClosed": true, "Container": hcs.Map{}})
	if err != nil {
		return 0, err
	}
	defer system.Close()
	if err := system.Start(ctx); err != nil {
		return 0, err
	}
	return system.Run(ctx, hcs.ProcessParameters{CommandArgs: command}, nil, os.Stdout, os.Stderr)
}
