package hcs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hcs"
)

var numbers atomic.Int64

func freshID() string { return fmt.Sprintf("go-%d-%d", os.Getpid(), numbers.Add(1)) }

func box() hcs.Map {
	return hcs.Map{"Owner": "go", "ShouldTerminateOnLastHandleClosed": true, "Container": hcs.Map{}}
}

// must fails the test on an error, with all that it says.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func running(t *testing.T) *hcs.System {
	t.Helper()
	system, err := hcs.Create(context.Background(), freshID(), box())
	must(t, err)
	t.Cleanup(system.Close)
	must(t, system.Start(context.Background()))
	return system
}

func TestACommandRunsToItsEnd(t *testing.T) {
	system := running(t)
	ctx := context.Background()
	output, err := system.Output(ctx, "echo", "grüße 😀")
	must(t, err)
	if string(output) != "grüße 😀\n" {
		t.Errorf("%q", output)
	}
	var stdout, stderr bytes.Buffer
	command := hcs.ProcessParameters{
		CommandLine:      "sh -c 'pwd; echo $WORD; cat; echo err >&2; exit 7'",
		WorkingDirectory: "/",
		Environment:      map[string]string{"WORD": "a b", "PATH": "/bin:/usr/bin"},
	}
	code, err := system.Run(ctx, command, strings.NewReader("in\n"), &stdout, &stderr)
	must(t, err)
	if code != 7 || stdout.String() != "/\na b\nin\n" || stderr.String() != "err\n" {
		t.Errorf("%d %q %q", code, stdout.String(), stderr.String())
	}
	_, err = system.Output(ctx, "sh", "-c", "echo why >&2; exit 3")
	var exit *hcs.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || string(exit.Stderr) != "why\n" {
		t.Error(err)
	}
}

func TestStreamsAreFiles(t *testing.T) {
	system := running(t)
	ctx := context.Background()
	process, err := system.CreateProcess(ctx, hcs.Map{
		"CommandLine": "cat", "CreateStdInPipe": true, "CreateStdOutPipe": true})
	must(t, err)
	defer process.Close()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		_, _ = process.Stdin.Write(data)
		process.Stdin.Close()
	}()
	got, err := io.ReadAll(process.Stdout)
	must(t, err)
	if !bytes.Equal(got, data) || process.Stderr != nil {
		t.Errorf("%d bytes", len(got))
	}
	code, err := process.Wait(ctx)
	must(t, err)
	if code != 0 || process.Pid() == 0 {
		t.Error(code)
	}
}

func TestSignalsEndProcesses(t *testing.T) {
	system := running(t)
	ctx := context.Background()
	process, err := system.CreateProcess(ctx, hcs.ProcessParameters{CommandLine: "sleep 1000"})
	must(t, err)
	defer process.Close()
	other, err := system.OpenProcess(process.Pid())
	must(t, err)
	defer other.Close()
	must(t, process.Signal(ctx, syscall.SIGTERM))
	for _, handle := range []*hcs.Process{process, other} {
		code, err := handle.Wait(ctx)
		must(t, err)
		if code != 128+15 {
			t.Error(code)
		}
	}
	if err := process.Kill(ctx); !errors.Is(err, hcs.ErrProcessStopped) {
		t.Error(err)
	}
}

func TestAContextEndsACommandAndItsWait(t *testing.T) {
	system := running(t)
	process, err := system.CreateProcess(context.Background(), hcs.ProcessParameters{CommandLine: "sleep 1000"})
	must(t, err)
	defer process.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := process.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	must(t, process.Kill(context.Background()))

	ctx, stop := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	go func() {
		// The command has said that it runs.
		_, _ = reader.Read(make([]byte, 1))
		stop()
	}()
	_, err = system.Run(ctx, hcs.ProcessParameters{CommandLine: "sh -c 'sleep 1000 & echo x; wait'"}, nil, writer, nil)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// A process that was killed is listed until it has died.
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var list struct{ ProcessList []hcs.Map }
		properties, err := system.Properties(context.Background(), "ProcessList")
		must(t, err)
		must(t, json.Unmarshal(properties, &list))
		if !strings.Contains(string(properties), `"sleep"`) {
			break
		}
		if time.Now().After(limit) {
			t.Fatal(string(properties))
		}
	}
}

func TestACancelledCallIsUndone(t *testing.T) {
	id := freshID()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := hcs.Create(ctx, id, box()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for round := 0; round < 10; round++ {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		system, err := hcs.Create(ctx, id, box())
		if err == nil {
			system.Close()
		} else if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	// Whatever came first, the id is free again.
	system, err := hcs.Create(context.Background(), id, box())
	must(t, err)
	system.Close()
}

func TestEventsAndExits(t *testing.T) {
	system := running(t)
	events := make(chan hcs.Event, 8)
	system.OnEvent(func(event hcs.Event) { events <- event })
	must(t, system.Terminate(context.Background()))
	status, err := system.Wait(context.Background())
	must(t, err)
	if event := <-events; event.Type != hcs.SystemExited || status.ExitType != "ForcedExit" {
		t.Error(event, status)
	}
	if err := system.Start(context.Background()); !errors.Is(err, hcs.ErrSystemStopped) {
		t.Error(err)
	}
}

func TestASystemIsListedOpenedAndChanged(t *testing.T) {
	system := running(t)
	ctx := context.Background()
	systems, err := hcs.Enumerate(ctx, hcs.Map{"Ids": []string{system.ID()}})
	must(t, err)
	if len(systems) != 1 || systems[0].ID != system.ID() || systems[0].Owner != "go" || systems[0].State != "Running" {
		t.Error(systems)
	}
	other, err := hcs.Open(system.ID())
	must(t, err)
	defer other.Close()
	must(t, other.Pause(ctx))
	must(t, other.Resume(ctx))
	must(t, other.Modify(ctx, `{"ResourcePath":"Container/Memory/SizeInMB","RequestType":"Update","Settings":512}`))
	_, err = system.Output(ctx, "true")
	must(t, err)
}

func TestFailuresSayWhatWhereAndWhich(t *testing.T) {
	ctx := context.Background()
	_, err := hcs.Create(ctx, freshID(), `{"Container":{"Memory":{"SizeInMB":"much"}}}`)
	var failure *hcs.Error
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	pointer, _ := failure.Pointer()
	if failure.Function != "HcsCreateComputeSystem" || !errors.Is(err, hcs.ErrInvalidJSON) ||
		pointer != "/Container/Memory/SizeInMB" || !strings.HasPrefix(failure.Operation, fmt.Sprint(os.Getpid(), "-")) ||
		!strings.Contains(err.Error(), pointer) || !strings.Contains(err.Error(), failure.Operation) {
		t.Errorf("%v %q", err, failure.Document)
	}
	_, err = running(t).Output(ctx, "nosuch-program")
	if err == nil || !strings.Contains(err.Error(), "nosuch-program") {
		t.Error(err)
	}
	if _, err = hcs.Open("no-such-system"); !errors.Is(err, hcs.ErrSystemNotFound) {
		t.Error(err)
	}
	if _, err = hcs.Open("a\x00b"); err == nil {
		t.Error("NUL was let through")
	}
	if _, err = hcs.ServiceProperties(hcs.Map{"PropertyTypes": []string{"Nonsense"}}); !errors.As(err, &failure) {
		t.Fatal(err)
	}
	if pointer, _ := failure.Pointer(); pointer != "/PropertyTypes/0" {
		t.Error(failure)
	}
	if _, err = hcs.ServiceProperties(nil); err != nil {
		t.Error(err)
	}
}

func TestAClosedHandleIsRefused(t *testing.T) {
	system, err := hcs.Create(context.Background(), freshID(), box())
	must(t, err)
	system.Close()
	system.Close()
	if err := system.Start(context.Background()); !errors.Is(err, hcs.ErrClosed) {
		t.Error(err)
	}
	if _, err := system.Wait(context.Background()); !errors.Is(err, hcs.ErrClosed) {
		t.Error(err)
	}
}

func TestManyCommandsAtOnce(t *testing.T) {
	system := running(t)
	var all sync.WaitGroup
	for code := 0; code < 16; code++ {
		code := code
		all.Add(1)
		go func() {
			defer all.Done()
			got, err := system.Run(context.Background(),
				hcs.ProcessParameters{CommandLine: fmt.Sprintf("sh -c 'exit %d'", code)}, nil, nil, nil)
			if err != nil || got != code {
				t.Error(code, got, err)
			}
		}()
	}
	all.Wait()
}

func TestWhatIsNotUTF8IsRefusedAndNotChanged(t *testing.T) {
	ctx := context.Background()
	odd := "a\xffb"
	system := running(t)
	wrong := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), `"a\xffb" is not UTF-8`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := system.Output(ctx, "echo", odd)
	wrong("an argument", err)
	_, err = system.CreateProcess(ctx, hcs.ProcessParameters{
		CommandLine: "true", Environment: map[string]string{odd: "x"}})
	wrong("a variable", err)
	_, err = hcs.Open(odd)
	wrong("an id", err)
	for what, document := range map[string]any{
		"a map":    hcs.Map{"Container": hcs.Map{"MappedDirectories": []any{hcs.Map{"HostPath": odd}}}},
		"text":     `{"Owner": "` + odd + `"}`,
		"bytes":    []byte(`{"Owner": "` + odd + `"}`),
		"a struct": &struct{ Owner *string }{&odd},
	} {
		_, err := hcs.Create(ctx, freshID(), document)
		if err == nil || !strings.Contains(err.Error(), "not UTF-8") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What json.Marshal leaves out is not looked at.
	type own struct {
		Owner                             string
		ShouldTerminateOnLastHandleClosed bool
		Container                         hcs.Map
		Self                              *own   `json:"-"`
		Note                              string `json:"-"`
	}
	document := &own{"go", true, hcs.Map{}, nil, odd}
	document.Self = document
	made, err := hcs.Create(ctx, freshID(), document)
	must(t, err)
	made.Close()
	// The character that stands for others is one like any other.
	output, err := system.Output(ctx, "echo", "\uFFFD")
	must(t, err)
	if string(output) != "\uFFFD\n" {
		t.Errorf("%q", output)
	}
}

type failing struct{ text io.Reader }

func (f failing) Read(bytes []byte) (int, error) {
	if count, err := f.text.Read(bytes); err == nil {
		return count, nil
	}
	return 0, errors.New("the reader fails")
}

func TestAnInputThatFailsIsTold(t *testing.T) {
	system := running(t)
	ctx := context.Background()
	var stdout bytes.Buffer
	command := hcs.ProcessParameters{CommandLine: "cat"}
	code, err := system.Run(ctx, command, failing{strings.NewReader("begun")}, &stdout, nil)
	if code != 0 || err == nil || !strings.Contains(err.Error(), "the reader fails") || stdout.String() != "begun" {
		t.Errorf("%d %v %q", code, err, stdout.String())
	}
	// A process may leave its input.
	code, err = system.Run(ctx, hcs.ProcessParameters{CommandLine: "true"}, bytes.NewReader(make([]byte, 1<<20)), nil, nil)
	if code != 0 || err != nil {
		t.Errorf("%d %v", code, err)
	}
}
