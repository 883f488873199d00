// Package hcs is the Host Compute Service: containers, the processes in them, their streams and exit codes.
//
//	system, err := hcs.Create(ctx, "box", hcs.Map{"Container": hcs.Map{}})
//	...
//	defer system.Close()
//	err = system.Start(ctx)
//	...
//	output, err := system.Output(ctx, "uname", "-a")
//
// Documents are what encoding/json marshals, or JSON as a string, []byte or json.RawMessage. Every call takes a
// context: when that is done, the call is cancelled, what it had begun is undone, and the error is the context's too
// (errors.Is). A failure is an *Error. All types may be used from several goroutines. The package is libcomputecore by
// cgo.
package hcs

/*
#cgo pkg-config: computecore
#include <ComputeCore.h>

extern void hcsGoCompleted(HCS_OPERATION operation, void *context);
// Contexts are numbers, which Go must not take for pointers.
static HCS_OPERATION operation_of(uintptr_t context)
{
    return HcsCreateOperation((void *)context, hcsGoCompleted);
}
static int descriptor_of(HANDLE handle) { return (int)(intptr_t)handle; }
*/
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/cgo"
	"strings"
	"syscall"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// Map is a JSON object.
type Map = map[string]any

// text is a string as the library reads it: UTF-16 with its end; nil for none.
type text []uint16

func wide(s string) (text, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errors.New("hcs: a string for the Host Compute Service has no NUL in it")
	}
	if err := isUTF8(s); err != nil {
		return nil, err
	}
	return append(utf16.Encode([]rune(s)), 0), nil
}

// isUTF8 is an error for a string that the conversions of Go would change, such as the name of a file.
func isUTF8(s string) error {
	if utf8.ValidString(s) {
		return nil
	}
	return fmt.Errorf("hcs: %+q is not UTF-8, so no document can hold it", s)
}

// allUTF8 is [isUTF8] for all strings that json.Marshal takes from a value, and which it would change. What types with
// a MarshalJSON of other packages say is their own matter.
func allUTF8(value reflect.Value) error {
	if value.IsValid() && value.Kind() != reflect.Interface && saysItself(value.Type()) {
		return nil
	}
	switch value.Kind() {
	case reflect.String:
		return isUTF8(value.String())
	case reflect.Interface, reflect.Pointer:
		if !value.IsNil() {
			return allUTF8(value.Elem())
		}
	case reflect.Map:
		for pairs := value.MapRange(); pairs.Next(); {
			for _, part := range []reflect.Value{pairs.Key(), pairs.Value()} {
				if err := allUTF8(part); err != nil {
					return err
				}
			}
		}
	case reflect.Slice, reflect.Array:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := 0; i < value.Len(); i++ {
			if err := allUTF8(value.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for i := 0; i < value.NumField(); i++ {
			field := value.Type().Field(i)
			if !field.IsExported() && !field.Anonymous || field.Tag.Get("json") == "-" {
				continue
			}
			if err := allUTF8(value.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// saysItself is whether a type of another package has a MarshalJSON.
func saysItself(t reflect.Type) bool {
	own := reflect.TypeOf(ProcessParameters{})
	if t == own || t == reflect.PointerTo(own) {
		return false
	}
	return t.Implements(reflect.TypeOf((*json.Marshaler)(nil)).Elem())
}

// pointer is for the arguments of one call only.
func (t text) pointer() C.PCWSTR {
	if len(t) == 0 {
		return nil
	}
	return C.PCWSTR(unsafe.Pointer(&t[0]))
}

// document makes JSON of what a caller gave; nil is no document.
func document(value any) (text, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case string:
		return wide(value)
	case []byte:
		return wide(string(value))
	case json.RawMessage:
		return wide(string(value))
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("hcs: the document cannot be written as JSON: %w", err)
	}
	// Of what json.Marshal takes nothing contains itself, or there would be no JSON: so this ends.
	if err := allUTF8(reflect.ValueOf(value)); err != nil {
		return nil, err
	}
	return wide(string(data))
}

// copied is a string of the library, which keeps it.
func copied(s C.PCWSTR) string {
	if s == nil {
		return ""
	}
	first, length := unsafe.Pointer(s), 0
	for *(*uint16)(unsafe.Add(first, 2*length)) != 0 {
		length++
	}
	return string(utf16.Decode(unsafe.Slice((*uint16)(first), length)))
}

// taken copies a string that the library gave, and releases it.
func taken(s C.PWSTR) string {
	defer C.CoTaskMemFree(unsafe.Pointer(s))
	return copied(C.PCWSTR(s))
}

// streams are a process's pid and pipes.
type streams struct {
	pid                   int
	stdin, stdout, stderr *os.File
}

func file(handle C.HANDLE, name string) *os.File {
	if handle == nil {
		return nil
	}
	fd := int(C.descriptor_of(handle))
	// So that Go waits for it with its poller, and a Close ends reads and writes of other goroutines. Without it all works
	// but that, so the error does not matter.
	_ = syscall.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), name)
}

// call makes one call that is tracked by an operation, and waits for it.
func call(ctx context.Context, function string, process *streams, begin func(C.HCS_OPERATION) C.HRESULT) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("hcs: %s: %w", function, err)
	}
	done := make(chan struct{})
	handle := cgo.NewHandle(done)
	defer handle.Delete()
	operation := C.operation_of(C.uintptr_t(handle))
	if operation == nil {
		return "", fail("HcsCreateOperation", resultOutOfMemory, "", nil)
	}
	// Waits for the callback, so that the handle outlives it.
	defer C.HcsCloseOperation(operation)
	if hr := begin(operation); hr < 0 {
		return "", fail(function, hr, "", nil)
	}
	var reason error
	select {
	case <-done:
	case <-ctx.Done():
		reason = ctx.Err()
		C.HcsCancelOperation(operation)
		<-done
	}
	var result C.PWSTR
	var hr C.HRESULT
	if process == nil {
		hr = C.HcsGetOperationResult(operation, &result)
	} else {
		var information C.HCS_PROCESS_INFORMATION
		hr = C.HcsGetOperationResultAndProcessInfo(operation, &information, &result)
		if hr >= 0 {
			process.pid = int(information.ProcessId)
			process.stdin = file(information.StdInput, "stdin")
			process.stdout = file(information.StdOutput, "stdout")
			process.stderr = file(information.StdError, "stderr")
		}
	}
	answer := taken(result)
	if hr < 0 {
		return "", fail(function, hr, answer, reason)
	}
	return answer, nil
}

// SystemInfo is what an enumeration says of a system.
type SystemInfo struct {
	ID            string `json:"Id"`
	SystemType    string
	RuntimeOsType string
	Owner         string
	RuntimeID     string `json:"RuntimeId"`
	// State is empty until the system has run.
	State string
}

// Enumerate lists the systems; query is a SystemQuery document or nil.
func Enumerate(ctx context.Context, query any) ([]SystemInfo, error) {
	document, err := document(query)
	if err != nil {
		return nil, err
	}
	answer, err := call(ctx, "HcsEnumerateComputeSystems", nil, func(operation C.HCS_OPERATION) C.HRESULT {
		return C.HcsEnumerateComputeSystems(document.pointer(), operation)
	})
	if err != nil {
		return nil, err
	}
	var systems []SystemInfo
	if err := json.Unmarshal([]byte(answer), &systems); err != nil {
		return nil, fmt.Errorf("hcs: the list of systems cannot be read: %w", err)
	}
	return systems, nil
}

// ServiceProperties asks the service about itself; query is a Service_PropertyQuery document or nil.
func ServiceProperties(query any) (json.RawMessage, error) {
	document, err := document(query)
	if err != nil {
		return nil, err
	}
	var result C.PWSTR
	hr := C.HcsGetServiceProperties(document.pointer(), &result)
	return answered("HcsGetServiceProperties", hr, result)
}

// ModifyService changes settings of the service: a ModificationRequest document.
func ModifyService(settings any) (json.RawMessage, error) {
	document, err := document(settings)
	if err != nil {
		return nil, err
	}
	var result C.PWSTR
	hr := C.HcsModifyServiceSettings(document.pointer(), &result)
	return answered("HcsModifyServiceSettings", hr, result)
}

func answered(function string, hr C.HRESULT, result C.PWSTR) (json.RawMessage, error) {
	answer := taken(result)
	if hr < 0 {
		return nil, fail(function, hr, answer, nil)
	}
	return json.RawMessage(answer), nil
}
