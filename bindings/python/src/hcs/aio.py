"""The same for asyncio: every call is awaited, and a task that is cancelled cancels its call.

::

    async with await hcs.aio.ComputeSystem.create("box", {"Container": {}}) as system:
        await system.start()
        result = await system.run(["uname", "-a"])
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from ctypes import c_void_p
from types import TracebackType
from typing import Any

from . import _handles, _native
from ._handles import Call, CompletedProcess, Document, Event, EventHandler, Handle
from ._operation import Answer, run_async
from .errors import HcsError, check

__all__ = ["ComputeSystem", "Process", "enumerate_systems"]


async def _make(call: Call, timeout: float | None) -> Answer:
    return await run_async(call.name, call.begin, timeout=timeout, has_process=call.has_process)


async def enumerate_systems(query: Document | None = None, *, timeout: float | None = None) -> list[dict[str, Any]]:
    """What systems there are; ``query`` is an optional SystemQuery document."""
    return (await _make(_handles.enumeration(query), timeout)).json() or []


class _Exit:
    """The exit of a handle, awaited any number of times: it is told once, to the handler that this sets."""

    def __init__(self, handle: Handle, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._name = name
        self.handler: EventHandler | None = None
        Handle.on_event(handle, self._receive)

    def _receive(self, event: Event) -> None:
        if event.name == self._name:
            try:
                self._loop.call_soon_threadsafe(self._tell, event.data or {})
            except RuntimeError:
                pass  # The loop is closed: there is nothing that waits.
        handler = self.handler
        if handler is not None:
            handler(event)

    def _tell(self, status: dict[str, Any]) -> None:
        if not self._status.done():
            self._status.set_result(status)

    async def wait(self, function: str, timeout: float | None) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(asyncio.shield(self._status), timeout)
        except asyncio.TimeoutError:
            check(function, 0x800705B4 - (1 << 32))
            raise


class ComputeSystem(Handle):
    """A container; see :class:`hcs.ComputeSystem`."""

    _kind = "ComputeSystem"

    def __init__(self, id: str, value: c_void_p, *, created: bool) -> None:
        super().__init__(value)
        self.id = id
        self._created = created
        self._exit = _Exit(self, "SystemExited")

    def on_event(self, handler: EventHandler | None) -> None:
        """Sets what is called for each event from now on, on a thread of the library. None removes it."""
        self._exit.handler = handler

    @classmethod
    async def create(cls, id: str, document: Document, *, timeout: float | None = None) -> ComputeSystem:
        """Makes a system from a ComputeSystem document. It is not started."""
        call, place = _handles.create_system(id, document)
        try:
            await _make(call, timeout)
        except BaseException:
            _handles.drop(cls._kind, place)
            raise
        return cls(id, place, created=True)

    @classmethod
    async def open(cls, id: str) -> ComputeSystem:
        """Opens a system that exists."""
        loop = asyncio.get_running_loop()
        return cls(id, await loop.run_in_executor(None, _handles.open_system, id), created=False)

    async def __aenter__(self) -> ComputeSystem:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._created and not self.closed:
                await self.terminate()
        except HcsError as failure:
            if failure.name not in ("HCS_E_SYSTEM_ALREADY_STOPPED", "HCS_E_SYSTEM_NOT_FOUND") and error is None:
                raise
        finally:
            self.close()

    async def start(self, options: Document | None = None, *, timeout: float | None = None) -> None:
        """Starts it."""
        await _make(self._call("HcsStartComputeSystem", options), timeout)

    async def shut_down(self, options: Document | None = None, *, timeout: float | None = None) -> None:
        """Asks it to end: its processes get a polite signal and some time."""
        await _make(self._call("HcsShutDownComputeSystem", options), timeout)

    async def terminate(self, *, timeout: float | None = None) -> None:
        """Ends it at once."""
        await _make(self._call("HcsTerminateComputeSystem"), timeout)

    async def pause(self, options: Document | None = None, *, timeout: float | None = None) -> None:
        """Freezes all its processes."""
        await _make(self._call("HcsPauseComputeSystem", options), timeout)

    async def resume(self, *, timeout: float | None = None) -> None:
        """Lets its processes run again."""
        await _make(self._call("HcsResumeComputeSystem"), timeout)

    async def properties(self, *types: str, timeout: float | None = None) -> dict[str, Any]:
        """Its Properties document, with "Statistics", "ProcessList", ... on request."""
        call = self._call("HcsGetComputeSystemProperties", _handles.query(*types))
        return (await _make(call, timeout)).json() or {}

    async def modify(self, request: Document, *, timeout: float | None = None) -> None:
        """Changes it: a ModifySettingRequest document."""
        await _make(_handles.modify_system(self, request), timeout)

    async def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Waits until it has exited; its SystemExitStatus document. HcsTimeoutError when it has not by then."""
        return await self._exit.wait("HcsWaitForComputeSystemExit", timeout)

    async def create_process(self, parameters: Document, *, timeout: float | None = None) -> Process:
        """Starts a process from a ProcessParameters document."""
        call, place = _handles.create_process(self, parameters)
        try:
            answer = await _make(call, timeout)
        except BaseException:
            _handles.drop(Process._kind, place)
            raise
        return await Process._of(place, answer.process)

    async def run(
        self,
        args: str | Sequence[str],
        *,
        input: bytes | None = None,
        user: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CompletedProcess:
        """Runs a command to its end, with all that it writes. Cancelled (by asyncio.wait_for, say), it is killed, with
        what it started."""
        parameters = _handles.command(
            args, user=user, cwd=cwd, env=env, stdin=input is not None, stdout=True, stderr=True
        )
        async with await self.create_process(parameters) as process:
            stdout, stderr = await process.communicate(input)
            return CompletedProcess(args, await process.wait(), stdout, stderr)


class Process(Handle):
    """A process; ``stdin`` is an asyncio.StreamWriter, ``stdout`` and ``stderr`` are asyncio.StreamReaders, or None."""

    _kind = "Process"

    def __init__(self, value: c_void_p, pid: int) -> None:
        super().__init__(value)
        #: Pid inside the compute system.
        self.pid = pid
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._exit = _Exit(self, "ProcessExited")

    def on_event(self, handler: EventHandler | None) -> None:
        """Sets what is called for each event from now on, on a thread of the library. None removes it."""
        self._exit.handler = handler

    @classmethod
    async def _of(cls, value: c_void_p, information: _native.ProcessInformation | None) -> Process:
        information = information or _native.ProcessInformation()
        process = cls(value, information.process_id)
        loop = asyncio.get_running_loop()
        if information.stdout:
            process.stdout = await process._reader(loop, information.stdout)
        if information.stderr:
            process.stderr = await process._reader(loop, information.stderr)
        if information.stdin:
            pipe = os.fdopen(information.stdin, "wb", buffering=0)
            transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, pipe)
            process._transports.append(transport)
            process.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        return process

    async def _reader(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> asyncio.StreamReader:
        reader = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        self._transports.append(transport)
        return reader

    async def __aenter__(self) -> Process:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the streams and the handle. What an exception leaves behind is killed: the process and its session."""
        try:
            if error is not None and not self.closed:
                await asyncio.shield(self.kill(group=True))
        except HcsError:
            pass  # It has ended, or its system has.
        finally:
            self.close()

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        super().close()

    async def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; the exit code, 128 + N when signal N ended it. HcsTimeoutError when it lives on."""
        return _handles.exit_code(await self._exit.wait("HcsWaitForProcessExit", timeout))

    async def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Its ProcessStatus document."""
        return (await _make(self._call("HcsGetProcessProperties"), timeout)).json() or {}

    async def kill(self, *, group: bool = False, timeout: float | None = None) -> None:
        """Kills it; with ``group`` also all that it started and that is still in its session."""
        await _make(self._call(*_handles.killing(group)), timeout)

    async def signal(self, signal: int | str, *, group: bool = False, timeout: float | None = None) -> None:
        """Sends it a signal: a Linux number, or a name of the schema; with ``group`` to its process group."""
        await _make(self._call("HcsSignalProcess", _handles.signalling(signal, group)), timeout)

    async def communicate(self, input: bytes | None = None) -> tuple[bytes, bytes]:
        """Sends ``input``, ends its standard input, and reads what it writes until it closes its output."""
        return_ = await asyncio.gather(self._send(input), _all(self.stdout), _all(self.stderr))
        return return_[1], return_[2]

    async def _send(self, data: bytes | None) -> None:
        if self.stdin is None:
            return
        try:
            self.stdin.write(data or b"")
            await self.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # The process does not read all of it.
        finally:
            self.stdin.close()


async def _all(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream is not None else b""
