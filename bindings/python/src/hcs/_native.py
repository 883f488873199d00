"""The C library by ctypes: how it is found, its functions, and strings across the border.

``$HCS_LIBRARY`` names the library; without it the dynamic linker looks for ``libcomputecore.so``.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, Structure, c_int32, c_uint32, c_uint64, c_void_p
from typing import Any

INFINITE = 0xFFFFFFFF


class ProcessInformation(Structure):
    """``HCS_PROCESS_INFORMATION``."""

    _fields_ = [
        ("process_id", c_uint32),
        ("reserved", c_uint32),
        ("stdin", c_void_p),
        ("stdout", c_void_p),
        ("stderr", c_void_p),
    ]


class Event(Structure):
    """``HCS_EVENT``."""

    _fields_ = [("type", c_int32), ("data", c_void_p), ("operation", c_void_p)]


CompletionCallback = CFUNCTYPE(None, c_void_p, c_void_p)
EventCallback = CFUNCTYPE(None, POINTER(Event), c_void_p)

_TEXT = ctypes.c_char_p
_PLACE = POINTER(c_void_p)

# Arguments of each function; the result is an HRESULT where RESULTS does not say otherwise.
_ARGUMENTS: dict[str, list[Any]] = {
    "CoTaskMemFree": [c_void_p],
    "HcsCancelOperation": [c_void_p],
    "HcsCloseComputeSystem": [c_void_p],
    "HcsCloseOperation": [c_void_p],
    "HcsCloseProcess": [c_void_p],
    "HcsCrashComputeSystem": [c_void_p, c_void_p, _TEXT],
    "HcsCreateComputeSystem": [_TEXT, _TEXT, c_void_p, c_void_p, _PLACE],
    "HcsCreateOperation": [c_void_p, c_void_p],
    "HcsCreateProcess": [c_void_p, _TEXT, c_void_p, c_void_p, _PLACE],
    "HcsEnumerateComputeSystems": [_TEXT, c_void_p],
    "HcsGetComputeSystemProperties": [c_void_p, c_void_p, _TEXT],
    "HcsGetOperationId": [c_void_p],
    "HcsGetOperationResult": [c_void_p, _PLACE],
    "HcsGetOperationResultAndProcessInfo": [c_void_p, POINTER(ProcessInformation), _PLACE],
    "HcsGetProcessInfo": [c_void_p, c_void_p],
    "HcsGetProcessProperties": [c_void_p, c_void_p, _TEXT],
    "HcsGetServiceProperties": [_TEXT, _PLACE],
    "HcsModifyComputeSystem": [c_void_p, c_void_p, _TEXT, c_void_p],
    "HcsModifyProcess": [c_void_p, c_void_p, _TEXT],
    "HcsModifyServiceSettings": [_TEXT, _PLACE],
    "HcsOpenComputeSystem": [_TEXT, c_uint32, _PLACE],
    "HcsOpenProcess": [c_void_p, c_uint32, c_uint32, _PLACE],
    "HcsPauseComputeSystem": [c_void_p, c_void_p, _TEXT],
    "HcsResumeComputeSystem": [c_void_p, c_void_p, _TEXT],
    "HcsSaveComputeSystem": [c_void_p, c_void_p, _TEXT],
    "HcsSetComputeSystemCallback": [c_void_p, c_int32, c_void_p, c_void_p],
    "HcsSetOperationDeadline": [c_void_p, c_uint32],
    "HcsSetProcessCallback": [c_void_p, c_int32, c_void_p, c_void_p],
    "HcsShutDownComputeSystem": [c_void_p, c_void_p, _TEXT],
    "HcsSignalProcess": [c_void_p, c_void_p, _TEXT],
    "HcsStartComputeSystem": [c_void_p, c_void_p, _TEXT],
    "HcsTerminateComputeSystem": [c_void_p, c_void_p, _TEXT],
    "HcsTerminateProcess": [c_void_p, c_void_p, _TEXT],
    "HcsWaitForComputeSystemExit": [c_void_p, c_uint32, _PLACE],
    "HcsWaitForOperationResult": [c_void_p, c_uint32, _PLACE],
    "HcsWaitForOperationResultAndProcessInfo": [c_void_p, c_uint32, POINTER(ProcessInformation), _PLACE],
    "HcsWaitForProcessExit": [c_void_p, c_uint32, _PLACE],
}

_RESULTS: dict[str, Any] = {
    "CoTaskMemFree": None,
    "HcsCloseComputeSystem": None,
    "HcsCloseOperation": None,
    "HcsCloseProcess": None,
    "HcsCreateOperation": c_void_p,
    "HcsGetOperationId": c_uint64,
}

_loaded: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    """The library, loaded by the first call.

    Raises OSError, with the way out, where it is not found.
    """
    global _loaded
    if _loaded is None:
        path = os.environ.get("HCS_LIBRARY") or "libcomputecore.so"
        try:
            loaded = ctypes.CDLL(path)
        except OSError as error:
            raise OSError(
                f"{path} cannot be loaded ({error}): install it by `cargo xtask install`, run ldconfig, or name it by "
                "$HCS_LIBRARY"
            ) from error
        for name, arguments in _ARGUMENTS.items():
            function = getattr(loaded, name)
            function.argtypes = arguments
            function.restype = _RESULTS.get(name, c_int32)
        _loaded = loaded
    return _loaded


def function(name: str) -> Any:
    """A function of the library."""
    return getattr(library(), name)


def call(name: str, *arguments: Any) -> int:
    """Calls a function that answers an HRESULT."""
    return int(function(name)(*arguments))


def to_c(text: str | None) -> bytes | None:
    """A string as the library reads it: UTF-16 with its end. Broken surrogates go through, for the library to refuse."""
    if text is None:
        return None
    if "\0" in text:
        raise ValueError("a string for the Host Compute Service has no NUL in it")
    return text.encode("utf-16-le", "surrogatepass") + b"\0\0"


def from_c(address: int | None) -> str | None:
    """Copies a string of the library."""
    if not address:
        return None
    units = ctypes.cast(address, POINTER(ctypes.c_uint16))
    length = 0
    while units[length]:
        length += 1
    return ctypes.string_at(address, 2 * length).decode("utf-16-le", "surrogatepass")


def take(place: c_void_p) -> str | None:
    """Copies a string that the library gave, and releases it."""
    text = from_c(place.value)
    if place.value:
        function("CoTaskMemFree")(place)
        place.value = None
    return text
