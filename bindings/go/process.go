package hcs

/*
#include <ComputeCore.h>

extern void hcsGoEvent(HCS_EVENT *event, void *context);

static HRESULT watch_process(HCS_PROCESS process, uintptr_t context)
{
    return HcsSetProcessCallback(process, HcsEventOptionNone, (void *)context, hcsGoEvent);
}
*/
import "C"

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/cgo"
	"sync"
	"syscall"
)

// ProcessParameters is what a process is made from. Exactly one of CommandLine and CommandArgs is given.
type ProcessParameters struct {
	// CommandLine is split as a shell does it.
	CommandLine string `json:",omitempty"`
	// CommandArgs are taken as they are.
	CommandArgs      []string          `json:",omitempty"`
	User             string            `json:",omitempty"`
	WorkingDirectory string            `json:",omitempty"`
	Environment      map[string]string `json:",omitempty"`
	// EmulateConsole gives it a terminal; ConsoleSize is height and width in characters.
	EmulateConsole   bool      `json:",omitempty"`
	ConsoleSize      [2]uint16 `json:"-"`
	CreateStdInPipe  bool      `json:",omitempty"`
	CreateStdOutPipe bool      `json:",omitempty"`
	CreateStdErrPipe bool      `json:",omitempty"`
}

// MarshalJSON leaves the size out where there is none.
func (p ProcessParameters) MarshalJSON() ([]byte, error) {
	type plain ProcessParameters
	size := p.ConsoleSize[:]
	if p.ConsoleSize == [2]uint16{} {
		size = nil
	}
	return json.Marshal(struct {
		plain
		ConsoleSize []uint16 `json:",omitempty"`
	}{plain(p), size})
}

// Process is a handle to a process in a compute system.
type Process struct {
	// Stdin, Stdout and Stderr are the ends of its pipes, or nil. They are closed with the process.
	Stdin, Stdout, Stderr *os.File

	pid    int
	handle C.HCS_PROCESS
	watch  *watch
	number cgo.Handle
	close  sync.Once
	closed chan struct{}
}

func newProcess(handle C.HCS_PROCESS, s streams) (*Process, error) {
	watch := newWatch(ProcessExited)
	process := &Process{
		Stdin: s.stdin, Stdout: s.stdout, Stderr: s.stderr, pid: s.pid,
		handle: handle, watch: watch, number: cgo.NewHandle(watch), closed: make(chan struct{}),
	}
	runtime.SetFinalizer(process, (*Process).Close)
	if hr := C.watch_process(handle, C.uintptr_t(process.number)); hr < 0 {
		process.Close()
		return nil, fail("HcsSetProcessCallback", hr, "", nil)
	}
	return process, nil
}

// CreateProcess starts a process: ProcessParameters, or any other document.
func (s *System) CreateProcess(ctx context.Context, parameters any) (*Process, error) {
	document, err := document(parameters)
	if err != nil {
		return nil, err
	}
	var handle C.HCS_PROCESS
	var got streams
	_, err = call(ctx, "HcsCreateProcess", &got, func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsCreateProcess(s.handle, document.pointer(), operation, nil, &handle)
	})
	runtime.KeepAlive(s)
	if err != nil {
		if handle != nil {
			C.HcsCloseProcess(handle)
		}
		return nil, err
	}
	return newProcess(handle, got)
}

// OpenProcess opens a process by its pid in the system. It waits for the service's answer. The streams stay with who
// has them.
func (s *System) OpenProcess(pid int) (*Process, error) {
	var handle C.HCS_PROCESS
	hr := C.HcsOpenProcess(s.handle, C.DWORD(pid), C.GENERIC_ALL, &handle)
	runtime.KeepAlive(s)
	if hr < 0 {
		return nil, fail("HcsOpenProcess", hr, "", nil)
	}
	return newProcess(handle, streams{pid: pid})
}

// Close closes the handle and the streams. The process goes on. Again is fine.
func (p *Process) Close() {
	p.close.Do(func() {
		close(p.closed)
		for _, stream := range []*os.File{p.Stdin, p.Stdout, p.Stderr} {
			if stream != nil {
				stream.Close()
			}
		}
		C.HcsCloseProcess(p.handle)
		p.number.Delete()
		runtime.SetFinalizer(p, nil)
	})
}

// Pid is its pid inside the compute system.
func (p *Process) Pid() int { return p.pid }

// OnEvent sets what is called for each event from now on, on a thread of the library, one at a time; nil removes it.
func (p *Process) OnEvent(handler func(Event)) { p.watch.handle(handler) }

// Wait waits until it has exited; the exit code, 128 + N when signal N ended it.
func (p *Process) Wait(ctx context.Context) (int, error) {
	var status struct {
		ExitCode       uint32
		LastWaitResult int32
	}
	err := p.watch.wait(ctx, p.closed, "HcsWaitForProcessExit", &status)
	runtime.KeepAlive(p)
	if err == nil && status.LastWaitResult < 0 {
		err = fail("HcsWaitForProcessExit", C.HRESULT(status.LastWaitResult), "", nil)
	}
	return int(status.ExitCode), err
}

// Kill kills it. What it started lives on; see KillSession.
func (p *Process) Kill(ctx context.Context) error {
	_, err := call(ctx, "HcsTerminateProcess", nil, func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsTerminateProcess(p.handle, operation, nil)
	})
	runtime.KeepAlive(p)
	return err
}

// KillSession kills it with all that it started and that is still in its session.
func (p *Process) KillSession(ctx context.Context) error {
	return p.signal(ctx, Map{"Signal": int(syscall.SIGKILL), "Group": true})
}

// SignalGroup sends a signal to it and its process group.
func (p *Process) SignalGroup(ctx context.Context, signal syscall.Signal) error {
	return p.signal(ctx, Map{"Signal": int(signal), "Group": true})
}

// Signal sends it a signal.
func (p *Process) Signal(ctx context.Context, signal syscall.Signal) error {
	return p.signal(ctx, Map{"Signal": int(signal)})
}

func (p *Process) signal(ctx context.Context, options Map) error {
	return p.with(ctx, "HcsSignalProcess", options,
		func(operation C.HCS_OPERATION, document text) C.HRESULT {
			return C.HcsSignalProcess(p.handle, operation, document.pointer())
		})
}

// Resize sets the size of its emulated console, in characters.
func (p *Process) Resize(ctx context.Context, height, width uint16) error {
	size := Map{"Height": height, "Width": width}
	return p.with(ctx, "HcsModifyProcess", Map{"Operation": "ConsoleSize", "ConsoleSize": size},
		func(operation C.HCS_OPERATION, document text) C.HRESULT {
			return C.HcsModifyProcess(p.handle, operation, document.pointer())
		})
}

func (p *Process) with(ctx context.Context, function string, value any,
	begin func(C.HCS_OPERATION, text) C.HRESULT) error {
	document, err := document(value)
	if err != nil {
		return err
	}
	_, err = call(ctx, function, nil, func(operation C.HCS_OPERATION) C.HRESULT { return begin(operation, document) })
	runtime.KeepAlive(p)
	return err
}

// ExitError is a command that ended with another exit code than 0.
type ExitError struct {
	Code   int
	Stderr []byte
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("exit code %d: %s", e.Code, bytes.TrimSpace(e.Stderr))
}

// Run runs a process to its end, with its streams connected as those of an exec.Cmd are: nil is none. When ctx is done,
// the process is killed, with what it started. The exit code is 128 + N when signal N ended it. An error of stdin,
// stdout or stderr is the error, too, with the exit code; a process that does not read all of its input is none.
func (s *System) Run(ctx context.Context, parameters ProcessParameters, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	parameters.CreateStdInPipe = stdin != nil
	parameters.CreateStdOutPipe = stdout != nil
	parameters.CreateStdErrPipe = stderr != nil
	process, err := s.CreateProcess(ctx, parameters)
	if err != nil {
		return 0, err
	}
	defer process.Close()
	copies := make(chan error, 2)
	running := 0
	pump := func(to io.Writer, from *os.File) {
		running++
		go func() {
			_, err := io.Copy(to, from)
			copies <- err
		}()
	}
	if process.Stdout != nil {
		pump(stdout, process.Stdout)
	}
	if process.Stderr != nil {
		pump(stderr, process.Stderr)
	}
	sent := make(chan error, 1)
	if process.Stdin != nil {
		go func() {
			_, err := io.Copy(process.Stdin, stdin)
			// A process need not read all that it is given.
			if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, os.ErrClosed) {
				sent <- fmt.Errorf("hcs: the input of the process could not be sent: %w", err)
			}
			process.Stdin.Close()
		}()
	}
	code, err := process.Wait(ctx)
	if err != nil {
		// The context is done; the process must go all the same. It may have gone by itself.
		if killed := process.KillSession(context.Background()); killed != nil && !errors.Is(killed, ErrProcessStopped) &&
			!errors.Is(killed, ErrSystemStopped) {
			return 0, fmt.Errorf("%w; and it could not be killed: %v", err, killed)
		}
		return 0, err
	}
	for ; running > 0; running-- {
		select {
		case failed := <-copies:
			if failed != nil && err == nil {
				err = failed
			}
		case <-ctx.Done():
			// What it left behind has its output still.
			return code, fmt.Errorf("hcs: the output of the process has not ended: %w", ctx.Err())
		}
	}
	select {
	case failed := <-sent:
		if err == nil {
			err = failed
		}
	default:
		// It was sent, or is not needed any more: nothing waits for a reader that waits.
	}
	return code, err
}

// Output runs a command to its end and gives what it wrote to its standard output. An exit code that is not 0 is an
// *ExitError, with what it wrote to its standard error.
func (s *System) Output(ctx context.Context, command ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	code, err := s.Run(ctx, ProcessParameters{CommandArgs: command}, nil, &stdout, &stderr)
	if err == nil && code != 0 {
		err = &ExitError{Code: code, Stderr: stderr.Bytes()}
	}
	return stdout.Bytes(), err
}
