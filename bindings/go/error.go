package hcs

// #include <ComputeCore.h>
import "C"

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Result is an HRESULT. As an error it can be looked for with errors.Is.
type Result uint32

// Results that a program may want to tell apart.
const (
	ErrNotImplemented      Result = 0x80004001
	ErrClosed              Result = 0x80070006
	ErrInvalidArgument     Result = 0x80070057
	ErrFileNotFound        Result = 0x80070002
	ErrNotSupported        Result = 0x80070032
	ErrProcessNotFound     Result = 0x80070490
	ErrCancelled           Result = 0x800704C7
	ErrInvalidState        Result = 0x80370105
	ErrUnexpectedExit      Result = 0x80370106
	ErrInvalidJSON         Result = 0x8037010D
	ErrSystemNotFound      Result = 0x8037010E
	ErrSystemExists        Result = 0x8037010F
	ErrSystemStopped       Result = 0x80370110
	ErrServiceNotAvailable Result = 0x80370114
	ErrAccessDenied        Result = 0x8037011B
	ErrServiceDisconnected Result = 0x8037011E
	ErrProcessStopped      Result = 0x8037011F
	resultOutOfMemory             = C.E_OUTOFMEMORY
)

var meanings = map[Result]string{
	0x8007000E:             "there is not enough memory",
	0x80070005:             "access is denied",
	0x8000FFFF:             "an internal error occurred",
	ErrNotImplemented:      "this function is not implemented",
	ErrClosed:              "the handle is closed",
	ErrInvalidArgument:     "an argument is not valid",
	ErrFileNotFound:        "there is no such file",
	ErrNotSupported:        "this host does not support that",
	ErrProcessNotFound:     "there is no such process",
	ErrCancelled:           "the call was cancelled",
	ErrInvalidState:        "the compute system is in a state that does not allow this call",
	ErrUnexpectedExit:      "the compute system ended unexpectedly",
	ErrInvalidJSON:         "the JSON document is invalid",
	ErrSystemNotFound:      "no compute system has this id",
	ErrSystemExists:        "a compute system with this id already exists",
	ErrSystemStopped:       "the compute system has already stopped",
	ErrServiceNotAvailable: "the host compute service is not available",
	ErrAccessDenied:        "the caller may not use the host compute service",
	ErrServiceDisconnected: "the host compute service went away",
	ErrProcessStopped:      "the process has already exited",
}

func (r Result) Error() string {
	if meaning, known := meanings[r]; known {
		return meaning
	}
	return fmt.Sprintf("the call failed with 0x%08X", uint32(r))
}

// Cause is one cause of a failure.
type Cause struct {
	Message string
	// Pointer is a JSON pointer into the document at fault; HasPointer tells "", the whole document, from none.
	Pointer    string
	HasPointer bool
	// Data are further facts, in the order to be shown.
	Data []string
}

// Error is a call that failed. errors.Is finds its Result, and the context's error where that ended the call.
type Error struct {
	// Function is the C function.
	Function string
	Result   Result
	Message  string
	// Causes say why, nearest first.
	Causes []Cause
	// Operation names the call for `hcs explain` and the service's log; empty where the function has none.
	Operation string
	// Document is the whole ResultError, nil where the function gives none.
	Document json.RawMessage

	context error
}

func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s (0x%08X)", e.Function, e.Message, uint32(e.Result))
	for _, cause := range e.Causes {
		if !strings.Contains(e.Message, cause.Message) {
			fmt.Fprintf(&text, "\n  %s", cause.Message)
		}
	}
	if e.Operation != "" {
		fmt.Fprintf(&text, "\n  operation %s", e.Operation)
	}
	return text.String()
}

// Is says whether target is this error's Result.
func (e *Error) Is(target error) bool {
	result, is := target.(Result)
	return is && result == e.Result
}

// Unwrap is the context's error where that ended the call.
func (e *Error) Unwrap() error { return e.context }

// Pointer is the first JSON pointer that a cause has.
func (e *Error) Pointer() (pointer string, found bool) {
	for _, cause := range e.Causes {
		if cause.HasPointer {
			return cause.Pointer, true
		}
	}
	return "", false
}

type resultError struct {
	ErrorMessage string
	ErrorEvents  []struct {
		Message string
		Source  *string
		Data    []struct{ Value any }
	}
}

func fail(function string, hr C.HRESULT, document string, context error) error {
	e := &Error{Function: function, Result: Result(uint32(hr)), context: context}
	var read resultError
	if document != "" {
		e.Document = json.RawMessage(document)
		// A document that is none is shown as it is; the result says the most important.
		_ = json.Unmarshal(e.Document, &read)
	}
	e.Message = read.ErrorMessage
	if e.Message == "" {
		e.Message = e.Result.Error()
	}
	for i, event := range read.ErrorEvents {
		data := make([]string, 0, len(event.Data))
		for _, fact := range event.Data {
			data = append(data, fmt.Sprint(fact.Value))
		}
		if i == 0 {
			for _, fact := range data {
				if name := strings.TrimPrefix(fact, "operation "); name != fact {
					e.Operation = name
				}
			}
			continue
		}
		cause := Cause{Message: event.Message, Data: data}
		if event.Source != nil {
			cause.Pointer, cause.HasPointer = *event.Source, true
			if len(data) > 0 && data[0] == cause.Pointer {
				cause.Data = data[1:]
			}
		}
		e.Causes = append(e.Causes, cause)
	}
	return e
}
