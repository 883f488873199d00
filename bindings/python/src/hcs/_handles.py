"""What compute systems and processes have in common: a handle that is closed once, its events, and what their calls are."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_void_p, cast
from dataclasses import dataclass
from typing import Any, Union

from . import _native
from ._operation import Begin, dumps
from .errors import check

#: A JSON document: as text, or as what json.dumps takes.
Document = Union[str, Mapping[str, Any]]

GENERIC_ALL = 0x10000000

_EVENTS = {
    0x00000001: "SystemExited",
    0x00000002: "SystemCrashInitiated",
    0x00000003: "SystemCrashReport",
    0x00000006: "SystemGuestConnectionClosed",
    0x00010000: "ProcessExited",
    0x02000000: "ServiceDisconnect",
}


@dataclass(frozen=True)
class Event:
    """Something that happened to a system or process."""

    #: "SystemExited", "ProcessExited", "ServiceDisconnect", ...
    name: str
    #: HCS_EVENT_TYPE.
    type: int
    #: The document that goes with it, read.
    data: Any


EventHandler = Callable[[Event], None]


@dataclass(frozen=True)
class Call:
    """A call that is about to be made."""

    name: str
    begin: Begin
    has_process: bool = False


class Handle:
    """A handle of the library. Closing it does not end what it stands for, unless a system's document says so."""

    #: "ComputeSystem" or "Process", as the C functions are called.
    _kind = ""

    def __init__(self, value: c_void_p) -> None:
        self._value = value
        self._callback: Any = None
        # Also at the end of the program: a callback must not come when there is no Python left to run it.
        self._close = weakref.finalize(self, _native.function(f"HcsClose{self._kind}"), value)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._close.alive

    def close(self) -> None:
        """Closes the handle. Again is fine. No event comes afterwards."""
        self._close()

    def on_event(self, handler: EventHandler | None) -> None:
        """Sets what is called for each event, on a thread of the library, one event at a time.

        An exit that has been is told to a late handler too. None removes the handler. What the handler raises goes to
        sys.unraisablehook.
        """

        def receive(event: Any, _context: int) -> None:
            text = _native.from_c(event.contents.data)
            kind = event.contents.type
            if handler is not None:
                name = _EVENTS.get(kind, f"0x{kind & 0xFFFFFFFF:08X}")
                handler(Event(name, kind, json.loads(text) if text else None))

        callback = _native.EventCallback(receive) if handler is not None else None
        pointer = cast(callback, c_void_p) if callback is not None else None
        name = f"HcsSet{self._kind}Callback"
        check(name, _native.function(name)(self._value, 0, None, pointer))
        # The former is not called any more, so it may go only now.
        self._callback = callback

    def _call(self, name: str, document: Document | None = None) -> Call:
        """A call on this handle with an optional document."""
        text = dumps(document)
        return Call(name, lambda operation: _native.call(name, self._value, operation, text))


def create_system(id: str, document: Document) -> tuple[Call, c_void_p]:
    """The call that makes a system, and where it puts the handle."""
    place = c_void_p()
    name, text, configuration = "HcsCreateComputeSystem", _native.to_c(id), dumps(document)

    def begin(operation: c_void_p) -> int:
        return _native.call(name, text, configuration, operation, None, byref(place))

    return Call(name, begin), place


def create_process(system: Handle, parameters: Document) -> tuple[Call, c_void_p]:
    """The call that makes a process, and where it puts the handle."""
    place = c_void_p()
    name, text = "HcsCreateProcess", dumps(parameters)

    def begin(operation: c_void_p) -> int:
        return _native.call(name, system._value, text, operation, None, byref(place))

    return Call(name, begin, has_process=True), place


def drop(kind: str, place: c_void_p) -> None:
    """Closes a handle that was made for a call that failed."""
    if place.value:
        _native.function(f"HcsClose{kind}")(place)


def open_system(id: str) -> c_void_p:
    """Opens a system; waits for the answer."""
    place, name = c_void_p(), "HcsOpenComputeSystem"
    check(name, _native.function(name)(_native.to_c(id), GENERIC_ALL, byref(place)))
    return place


def open_process(system: Handle, pid: int) -> c_void_p:
    """Opens a process; waits for the answer."""
    place, name = c_void_p(), "HcsOpenProcess"
    check(name, _native.function(name)(system._value, pid, GENERIC_ALL, byref(place)))
    return place


def signalling(signal: int | str, group: bool) -> Document:
    """The document of a signal; without ``group`` for the process alone."""
    return {"Signal": signal, "Group": True} if group else {"Signal": signal}


def killing(group: bool) -> tuple[str, Document | None]:
    """The call that kills a process, or its session, and its document."""
    return ("HcsSignalProcess", signalling(9, group)) if group else ("HcsTerminateProcess", None)


def modify_system(system: Handle, request: Document) -> Call:
    """The call that changes a system."""
    name, text = "HcsModifyComputeSystem", dumps(request)
    return Call(name, lambda operation: _native.call(name, system._value, operation, text, None))


def process_info(process: Handle) -> Call:
    """The call that asks for pid and streams."""
    name = "HcsGetProcessInfo"
    return Call(name, lambda operation: _native.call(name, process._value, operation), has_process=True)


def enumeration(query: Document | None) -> Call:
    """The call that lists systems."""
    name, text = "HcsEnumerateComputeSystems", dumps(query)
    return Call(name, lambda operation: _native.call(name, text, operation))


def query(*types: str) -> Document | None:
    """The query for properties of a system."""
    return {"PropertyTypes": list(types)} if types else None


def command(
    args: str | Sequence[str],
    *,
    user: str | None,
    cwd: str | None,
    env: Mapping[str, str] | None,
    stdin: bool,
    stdout: bool,
    stderr: bool,
) -> dict[str, Any]:
    """ProcessParameters for a command: a string is split as a shell does, a list is taken as it is."""
    parameters: dict[str, Any] = {
        "CreateStdInPipe": stdin,
        "CreateStdOutPipe": stdout,
        "CreateStdErrPipe": stderr,
    }
    if isinstance(args, str):
        parameters["CommandLine"] = args
    else:
        parameters["CommandArgs"] = list(args)
    if user is not None:
        parameters["User"] = user
    if cwd is not None:
        parameters["WorkingDirectory"] = cwd
    if env is not None:
        parameters["Environment"] = dict(env)
    return parameters


@dataclass(frozen=True)
class CompletedProcess:
    """A process that has ended."""

    args: str | Sequence[str]
    #: 128 + N when signal N ended it.
    exit_code: int
    stdout: bytes
    stderr: bytes


def exit_code(status: Any) -> int:
    """The exit code that a ProcessStatus says; raises where the wait itself failed."""
    check("HcsWaitForProcessExit", int(status.get("LastWaitResult") or 0))
    return int(status["ExitCode"])
