"""One call that is tracked by an operation: begun, waited for or awaited, cancelled, cleaned up."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from ctypes import byref, c_void_p, cast
from typing import Any

from . import _native
from .errors import check

#: What begins a call: given the operation's handle, it answers an HRESULT.
Begin = Callable[[c_void_p], int]

#: A thread that waits in C hears no signal; so it waits in slices and lets Python handle what came meanwhile.
_SLICE = 100

_HCS_E_OPERATION_TIMEOUT = 0x80370118 - (1 << 32)


class Answer:
    """What a call ended with: its document, and the process where it made or described one."""

    def __init__(self, document: str | None, process: _native.ProcessInformation | None) -> None:
        self.document = document
        self.process = process

    def json(self) -> Any:
        """The document, read."""
        return json.loads(self.document) if self.document else None


def dumps(document: Any) -> bytes | None:
    """A document for the library; a string is taken as it is."""
    if document is None or isinstance(document, str):
        return _native.to_c(document)
    return _native.to_c(json.dumps(document))


def milliseconds(seconds: float) -> int:
    """A limit as the library takes it, never the number that means none."""
    return min(max(int(seconds * 1000), 0), _native.INFINITE - 1)


def _limit(operation: c_void_p, timeout: float | None) -> None:
    if timeout is not None:
        limited = _native.function("HcsSetOperationDeadline")(operation, milliseconds(timeout))
        check("HcsSetOperationDeadline", limited)


def _create(callback: Any = None, context: int | None = None) -> c_void_p:
    operation = _native.function("HcsCreateOperation")(context, callback)
    if not operation:
        raise MemoryError("HcsCreateOperation: no operation could be made")
    return c_void_p(operation)


def _read(operation: c_void_p, name: str, has_process: bool, wait: int | None) -> tuple[int, Answer]:
    """The result; ``wait`` in milliseconds, None not to wait."""
    document, information = c_void_p(), _native.ProcessInformation()
    verb = "HcsGetOperationResult" if wait is None else "HcsWaitForOperationResult"
    limit = [] if wait is None else [wait]
    if has_process:
        function = _native.function(f"{verb}AndProcessInfo")
        hresult = function(operation, *limit, byref(information), byref(document))
    else:
        hresult = _native.function(verb)(operation, *limit, byref(document))
    answer = Answer(_native.take(document), information if has_process and hresult >= 0 else None)
    return hresult, answer


def run(name: str, begin: Begin, *, timeout: float | None = None, has_process: bool = False) -> Answer:
    """Makes a call and waits for it.

    With a timeout in seconds a call that is late ends with HcsTimeoutError, and what it had begun is undone. So it is
    when an exception (KeyboardInterrupt, say) breaks the wait off.
    """
    operation = _create()
    try:
        _limit(operation, timeout)
        check(name, begin(operation))
        try:
            while True:
                hresult, answer = _read(operation, name, has_process, _SLICE)
                # A call that is late has a document, a wait that is has none.
                if hresult != _HCS_E_OPERATION_TIMEOUT or answer.document:
                    break
        except BaseException:
            _native.function("HcsCancelOperation")(operation)
            raise
        check(name, hresult, answer.document)
        return answer
    finally:
        _native.function("HcsCloseOperation")(operation)


_numbers = itertools.count(1)
_waiting: dict[int, Callable[[], None]] = {}


def _tell(_operation: int, context: int) -> None:
    tell = _waiting.pop(context or 0, None)
    if tell is not None:
        tell()


_completed = _native.CompletionCallback(_tell)


async def run_async(name: str, begin: Begin, *, timeout: float | None = None, has_process: bool = False) -> Answer:
    """Makes a call and awaits it. A task that is cancelled cancels the call, and ends when that is undone."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    number = next(_numbers)

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def tell() -> None:
        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:
            pass  # The loop is closed: there is nothing that waits.

    _waiting[number] = tell
    operation = _create(cast(_completed, c_void_p), number)
    try:
        _limit(operation, timeout)
        check(name, begin(operation))
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            _native.function("HcsCancelOperation")(operation)
            await done
            raise
        hresult, answer = _read(operation, name, has_process, None)
        check(name, hresult, answer.document)
        return answer
    finally:
        _waiting.pop(number, None)
        _native.function("HcsCloseOperation")(operation)


def wait_for_exit(function: str, handle: c_void_p, timeout: float | None) -> Any:
    """Waits for the end of a system or process; its status."""
    end = None if timeout is None else time.monotonic() + timeout
    timed_out = 0x800705B4
    while True:
        left = _SLICE if end is None else min(_SLICE, milliseconds(max(end - time.monotonic(), 0)))
        document = c_void_p()
        hresult = _native.function(function)(handle, left, byref(document))
        text = _native.take(document)
        late = end is not None and time.monotonic() >= end
        if hresult & 0xFFFFFFFF != timed_out or late:
            check(function, hresult, text)
            return json.loads(text) if text else {}
