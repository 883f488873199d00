"""What the library refuses, with all that it says of why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

S_OK = 0

# Result codes that a program may want to tell apart, with their meaning.
_CODES: dict[int, tuple[str, str]] = {
    0x80004001: ("E_NOTIMPL", "this function is not implemented"),
    0x8000FFFF: ("E_UNEXPECTED", "an internal error occurred"),
    0x80070005: ("E_ACCESSDENIED", "access is denied"),
    0x80070006: ("E_HANDLE", "the handle is closed"),
    0x8007000E: ("E_OUTOFMEMORY", "there is not enough memory"),
    0x80070057: ("E_INVALIDARG", "an argument is not valid"),
    0x80070002: ("ERROR_FILE_NOT_FOUND", "there is no such file"),
    0x80070003: ("ERROR_PATH_NOT_FOUND", "there is no such directory"),
    0x80070004: ("ERROR_TOO_MANY_OPEN_FILES", "this program has as many files open as it may"),
    0x80070032: ("ERROR_NOT_SUPPORTED", "this host does not support that"),
    0x800700B7: ("ERROR_ALREADY_EXISTS", "it is there already"),
    0x800700C1: ("ERROR_BAD_EXE_FORMAT", "the file is no program for this machine"),
    0x8007010B: ("ERROR_DIRECTORY", "the directory cannot be entered"),
    0x80070490: ("ERROR_NOT_FOUND", "there is no such process"),
    0x800704C7: ("ERROR_CANCELLED", "the call was cancelled"),
    0x800705AA: ("ERROR_NO_SYSTEM_RESOURCES", "the host has no more of something"),
    0x800705B4: ("ERROR_TIMEOUT", "the time is over"),
    0x80370100: ("HCS_E_TERMINATED_DURING_START", "the compute system ended while it was starting"),
    0x80370105: ("HCS_E_INVALID_STATE", "the compute system is in a state that does not allow this call"),
    0x80370106: ("HCS_E_UNEXPECTED_EXIT", "the compute system ended unexpectedly"),
    0x80370109: ("HCS_E_CONNECTION_TIMEOUT", "the compute system did not answer in time"),
    0x8037010A: ("HCS_E_CONNECTION_CLOSED", "the connection to the compute system was closed"),
    0x8037010D: ("HCS_E_INVALID_JSON", "the JSON document is invalid"),
    0x8037010E: ("HCS_E_SYSTEM_NOT_FOUND", "no compute system has this id"),
    0x8037010F: ("HCS_E_SYSTEM_ALREADY_EXISTS", "a compute system with this id already exists"),
    0x80370110: ("HCS_E_SYSTEM_ALREADY_STOPPED", "the compute system has already stopped"),
    0x80370114: ("HCS_E_SERVICE_NOT_AVAILABLE", "the host compute service is not available"),
    0x80370115: ("HCS_E_OPERATION_NOT_STARTED", "the operation has not been started"),
    0x80370117: ("HCS_E_OPERATION_PENDING", "the operation has not completed yet"),
    0x80370118: ("HCS_E_OPERATION_TIMEOUT", "the operation did not complete within the time limit"),
    0x8037011B: ("HCS_E_ACCESS_DENIED", "the caller may not use the host compute service"),
    0x8037011D: ("HCS_E_PROCESS_INFO_NOT_AVAILABLE", "the process information is not available"),
    0x8037011E: ("HCS_E_SERVICE_DISCONNECT", "the host compute service went away"),
    0x8037011F: ("HCS_E_PROCESS_ALREADY_STOPPED", "the process has already exited"),
    0x80370121: ("HCS_E_OPERATION_ALREADY_CANCELLED", "the operation was cancelled before"),
}

_TIMEOUTS = (0x80370118, 0x800705B4)


@dataclass(frozen=True)
class Cause:
    """One cause of a failure."""

    message: str
    #: JSON pointer into the document at fault, where a document is at fault.
    pointer: str | None
    #: Further facts, in the order to be shown.
    data: tuple[str, ...]


class HcsError(Exception):
    """A call failed.

    ``function`` is the C function, ``hresult`` its result (unsigned), ``name`` that result's name; ``message`` says what
    was wrong, ``causes`` why, nearest first. ``operation`` names the call for ``hcs explain`` and the service's log.
    ``document`` is the whole ResultError, empty where the function gives none.
    """

    def __init__(self, function: str, hresult: int, document: dict[str, Any]) -> None:
        self.function = function
        self.hresult = hresult & 0xFFFFFFFF
        self.document = document
        name, meaning = _CODES.get(self.hresult, (f"0x{self.hresult:08X}", "the call failed"))
        self.name = name
        self.message: str = document.get("ErrorMessage") or meaning
        events: list[dict[str, Any]] = document.get("ErrorEvents") or []
        self.causes = tuple(_cause(event) for event in events[1:])
        self.operation = _operation(events)
        super().__init__(str(self))

    @property
    def pointer(self) -> str | None:
        """The first JSON pointer that a cause has."""
        return next((cause.pointer for cause in self.causes if cause.pointer is not None), None)

    def __str__(self) -> str:
        text = f"{self.function}: {self.message} ({self.name})"
        for cause in self.causes:
            if cause.message not in self.message:
                text += f"\n  {cause.message}"
        if self.operation is not None:
            text += f"\n  operation {self.operation}"
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function, self.hresult, self.document)


class HcsTimeoutError(HcsError, TimeoutError):
    """A limit of time was over."""


def _data(event: dict[str, Any]) -> list[str]:
    return [str(data["Value"]) for data in event.get("Data") or [] if "Value" in data]


def _cause(event: dict[str, Any]) -> Cause:
    pointer = event.get("Source")
    data = _data(event)
    if pointer is not None and data[:1] == [pointer]:
        data = data[1:]
    return Cause(event.get("Message") or "", pointer, tuple(data))


def _operation(events: list[dict[str, Any]]) -> str | None:
    mark = "operation "
    for text in _data(events[0]) if events else []:
        if text.startswith(mark):
            return text[len(mark) :]
    return None


def check(function: str, hresult: int, document: str | None = None) -> None:
    """Raises what a result says, unless it says success."""
    if hresult >= 0:
        return
    try:
        parsed = json.loads(document) if document else {}
    except ValueError:
        parsed = {}
    kind = HcsTimeoutError if hresult & 0xFFFFFFFF in _TIMEOUTS else HcsError
    raise kind(function, hresult, parsed if isinstance(parsed, dict) else {})
