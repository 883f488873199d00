package hcs

/*
#include <ComputeCore.h>
*/
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

//export hcsGoCompleted
func hcsGoCompleted(_ C.HCS_OPERATION, context unsafe.Pointer) {
	close(cgo.Handle(context).Value().(chan struct{}))
}

//export hcsGoEvent
func hcsGoEvent(event *C.HCS_EVENT, context unsafe.Pointer) {
	watch := cgo.Handle(context).Value().(*watch)
	watch.tell(Event{Type: EventType(uint32(event.Type)), Data: []byte(copied(event.EventData))})
}
