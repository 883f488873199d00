package hcs

/*
#include <ComputeCore.h>

extern void hcsGoEvent(HCS_EVENT *event, void *context);

static HRESULT watch_system(HCS_SYSTEM system, uintptr_t context)
{
    return HcsSetComputeSystemCallback(system, HcsEventOptionNone, (void *)context, hcsGoEvent);
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"runtime/cgo"
	"sync"
)

// System is a handle to a compute system. Closing it does not end the system, unless its document says so.
type System struct {
	id     string
	handle C.HCS_SYSTEM
	watch  *watch
	number cgo.Handle
	close  sync.Once
	closed chan struct{}
}

// SystemExit says how a system ended.
type SystemExit struct {
	// Status is an HRESULT.
	Status int32
	// ExitType is "GracefulExit", "ForcedExit", "UnexpectedExit", ...
	ExitType string
}

func newSystem(id string, handle C.HCS_SYSTEM) (*System, error) {
	watch := newWatch(SystemExited)
	system := &System{id: id, handle: handle, watch: watch, number: cgo.NewHandle(watch), closed: make(chan struct{})}
	runtime.SetFinalizer(system, (*System).Close)
	if hr := C.watch_system(handle, C.uintptr_t(system.number)); hr < 0 {
		system.Close()
		return nil, fail("HcsSetComputeSystemCallback", hr, "", nil)
	}
	return system, nil
}

// Create makes a system from a ComputeSystem document. It is not started.
func Create(ctx context.Context, id string, configuration any) (*System, error) {
	name, err := wide(id)
	if err != nil {
		return nil, err
	}
	document, err := document(configuration)
	if err != nil {
		return nil, err
	}
	var handle C.HCS_SYSTEM
	_, err = call(ctx, "HcsCreateComputeSystem", nil, func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsCreateComputeSystem(name.pointer(), document.pointer(), operation, nil, &handle)
	})
	if err != nil {
		if handle != nil {
			C.HcsCloseComputeSystem(handle)
		}
		return nil, err
	}
	return newSystem(id, handle)
}

// Open opens a system that exists. It waits for the service's answer.
func Open(id string) (*System, error) {
	name, err := wide(id)
	if err != nil {
		return nil, err
	}
	var handle C.HCS_SYSTEM
	if hr := C.HcsOpenComputeSystem(name.pointer(), C.GENERIC_ALL, &handle); hr < 0 {
		return nil, fail("HcsOpenComputeSystem", hr, "", nil)
	}
	return newSystem(id, handle)
}

// Close closes the handle. Again is fine. No event comes afterwards.
func (s *System) Close() {
	s.close.Do(func() {
		close(s.closed)
		C.HcsCloseComputeSystem(s.handle)
		s.number.Delete()
		runtime.SetFinalizer(s, nil)
	})
}

// ID is the id it was made or opened with.
func (s *System) ID() string { return s.id }

// OnEvent sets what is called for each event from now on, on a thread of the library, one at a time; nil removes it.
func (s *System) OnEvent(handler func(Event)) { s.watch.handle(handler) }

// Start starts it.
func (s *System) Start(ctx context.Context) error {
	return s.plain(ctx, "HcsStartComputeSystem", func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsStartComputeSystem(s.handle, operation, nil)
	})
}

// ShutDown asks it to end: its processes get a polite signal and some time.
func (s *System) ShutDown(ctx context.Context) error {
	return s.plain(ctx, "HcsShutDownComputeSystem", func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsShutDownComputeSystem(s.handle, operation, nil)
	})
}

// Terminate ends it at once.
func (s *System) Terminate(ctx context.Context) error {
	return s.plain(ctx, "HcsTerminateComputeSystem", func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsTerminateComputeSystem(s.handle, operation, nil)
	})
}

// Pause freezes all its processes.
func (s *System) Pause(ctx context.Context) error {
	return s.plain(ctx, "HcsPauseComputeSystem", func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsPauseComputeSystem(s.handle, operation, nil)
	})
}

// Resume lets its processes run again.
func (s *System) Resume(ctx context.Context) error {
	return s.plain(ctx, "HcsResumeComputeSystem", func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsResumeComputeSystem(s.handle, operation, nil)
	})
}

func (s *System) plain(ctx context.Context, function string, begin func(C.HCS_OPERATION) C.HRESULT) error {
	_, err := call(ctx, function, nil, begin)
	runtime.KeepAlive(s)
	return err
}

// Properties is its Properties document, with "Statistics", "ProcessList", ... on request.
func (s *System) Properties(ctx context.Context, types ...string) (json.RawMessage, error) {
	var query any
	if len(types) > 0 {
		query = Map{"PropertyTypes": types}
	}
	document, err := document(query)
	if err != nil {
		return nil, err
	}
	answer, err := call(ctx, "HcsGetComputeSystemProperties", nil, func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsGetComputeSystemProperties(s.handle, operation, document.pointer())
	})
	runtime.KeepAlive(s)
	return json.RawMessage(answer), err
}

// Modify changes it: a ModifySettingRequest document.
func (s *System) Modify(ctx context.Context, request any) error {
	document, err := document(request)
	if err != nil {
		return err
	}
	return s.plain(ctx, "HcsModifyComputeSystem", func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsModifyComputeSystem(s.handle, operation, document.pointer(), nil)
	})
}

// Wait waits until it has exited.
func (s *System) Wait(ctx context.Context) (SystemExit, error) {
	var status SystemExit
	err := s.watch.wait(ctx, s.closed, "HcsWaitForComputeSystemExit", &status)
	runtime.KeepAlive(s)
	return status, err
}
