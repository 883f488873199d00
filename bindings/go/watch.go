package hcs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// EventType is an HCS_EVENT_TYPE.
type EventType uint32

// What may happen.
const (
	SystemExited                EventType = 0x00000001
	SystemGuestConnectionClosed EventType = 0x00000006
	ProcessExited               EventType = 0x00010000
	ServiceDisconnect           EventType = 0x02000000
)

// Event is something that happened to a system or process.
type Event struct {
	Type EventType
	// Data is the document that goes with the type, or nil.
	Data json.RawMessage
}

// watch takes the events of one handle: the exit, which is kept, and all of them for a handler.
type watch struct {
	exitType EventType
	exited   chan struct{}

	mutex   sync.Mutex
	exit    json.RawMessage
	handler func(Event)
}

func newWatch(exitType EventType) *watch {
	return &watch{exitType: exitType, exited: make(chan struct{})}
}

// tell is called on a thread of the library, one event at a time.
func (w *watch) tell(event Event) {
	w.mutex.Lock()
	handler := w.handler
	if event.Type == w.exitType && w.exit == nil {
		w.exit = event.Data
		close(w.exited)
	}
	w.mutex.Unlock()
	if handler != nil {
		handler(event)
	}
}

func (w *watch) handle(handler func(Event)) {
	w.mutex.Lock()
	w.handler = handler
	w.mutex.Unlock()
}

// wait reads the exit's document into status.
func (w *watch) wait(ctx context.Context, closed <-chan struct{}, function string, status any) error {
	select {
	case <-w.exited:
	default:
		select {
		case <-w.exited:
		case <-closed:
			return &Error{Function: function, Result: ErrClosed, Message: ErrClosed.Error()}
		case <-ctx.Done():
			return fmt.Errorf("hcs: %s: %w", function, ctx.Err())
		}
	}
	w.mutex.Lock()
	exit := w.exit
	w.mutex.Unlock()
	if err := json.Unmarshal(exit, status); err != nil {
		return fmt.Errorf("hcs: %s: the status cannot be read: %w", function, err)
	}
	return nil
}
