"""Compute systems and processes, with calls that wait."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_void_p
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, cast

from . import _handles, _native
from ._handles import Call, CompletedProcess, Document, Handle
from ._operation import Answer, dumps, run, wait_for_exit
from .errors import HcsError, check


def _make(call: Call, timeout: float | None) -> Answer:
    return run(call.name, call.begin, timeout=timeout, has_process=call.has_process)


def enumerate_systems(query: Document | None = None, *, timeout: float | None = None) -> list[dict[str, Any]]:
    """What systems there are; ``query`` is an optional SystemQuery document."""
    return _make(_handles.enumeration(query), timeout).json() or []


def service_properties(query: Document | None = None) -> dict[str, Any]:
    """Properties of the service; ``query`` is an optional Service_PropertyQuery document."""
    return _service("HcsGetServiceProperties", query)


def modify_service(settings: Document) -> dict[str, Any]:
    """Changes settings of the service: a ModificationRequest document."""
    return _service("HcsModifyServiceSettings", settings)


def _service(name: str, document: Document | None) -> dict[str, Any]:
    place = c_void_p()
    hresult = _native.function(name)(dumps(document), byref(place))
    text = _native.take(place)
    check(name, hresult, text)
    return Answer(text, None).json() or {}


class ComputeSystem(Handle):
    """A container. Every call takes ``timeout`` in seconds; one that is late raises HcsTimeoutError and is undone.

    As a context manager it is closed at the end; one that was made by ``create`` is terminated first.
    """

    _kind = "ComputeSystem"

    def __init__(self, id: str, value: c_void_p, *, created: bool) -> None:
        super().__init__(value)
        self.id = id
        self._created = created

    @classmethod
    def create(cls, id: str, document: Document, *, timeout: float | None = None) -> ComputeSystem:
        """Makes a system from a ComputeSystem document. It is not started."""
        call, place = _handles.create_system(id, document)
        try:
            _make(call, timeout)
        except BaseException:
            _handles.drop(cls._kind, place)
            raise
        return cls(id, place, created=True)

    @classmethod
    def open(cls, id: str) -> ComputeSystem:
        """Opens a system that exists."""
        return cls(id, _handles.open_system(id), created=False)

    def __enter__(self) -> ComputeSystem:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._created and not self.closed:
                self.terminate()
        except HcsError as failure:
            if failure.name not in ("HCS_E_SYSTEM_ALREADY_STOPPED", "HCS_E_SYSTEM_NOT_FOUND") and error is None:
                raise
        finally:
            self.close()

    def start(self, options: Document | None = None, *, timeout: float | None = None) -> None:
        """Starts it."""
        _make(self._call("HcsStartComputeSystem", options), timeout)

    def shut_down(self, options: Document | None = None, *, timeout: float | None = None) -> None:
        """Asks it to end: its processes get a polite signal and some time."""
        _make(self._call("HcsShutDownComputeSystem", options), timeout)

    def terminate(self, *, timeout: float | None = None) -> None:
        """Ends it at once."""
        _make(self._call("HcsTerminateComputeSystem"), timeout)

    def pause(self, options: Document | None = None, *, timeout: float | None = None) -> None:
        """Freezes all its processes."""
        _make(self._call("HcsPauseComputeSystem", options), timeout)

    def resume(self, *, timeout: float | None = None) -> None:
        """Lets its processes run again."""
        _make(self._call("HcsResumeComputeSystem"), timeout)

    def properties(self, *types: str, timeout: float | None = None) -> dict[str, Any]:
        """Its Properties document, with "Statistics", "ProcessList", ... on request."""
        return _make(self._call("HcsGetComputeSystemProperties", _handles.query(*types)), timeout).json() or {}

    def modify(self, request: Document, *, timeout: float | None = None) -> None:
        """Changes it: a ModifySettingRequest document."""
        _make(_handles.modify_system(self, request), timeout)

    def wait(self, timeout: float | None = None) -> dict[str, Any]:
        """Waits until it has exited; its SystemExitStatus document. HcsTimeoutError when it has not by then."""
        return cast("dict[str, Any]", wait_for_exit("HcsWaitForComputeSystemExit", self._value, timeout))

    def create_process(self, parameters: Document, *, timeout: float | None = None) -> Process:
        """Starts a process from a ProcessParameters document."""
        call, place = _handles.create_process(self, parameters)
        try:
            answer = _make(call, timeout)
        except BaseException:
            _handles.drop(Process._kind, place)
            raise
        return Process(place, answer.process)

    def open_process(self, pid: int) -> Process:
        """Opens a process by its pid in the system. Its streams stay with who has them."""
        information = _native.ProcessInformation()
        information.process_id = pid
        return Process(_handles.open_process(self, pid), information)

    def run(
        self,
        args: str | Sequence[str],
        *,
        input: bytes | None = None,
        user: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CompletedProcess:
        """Runs a command to its end, with all that it writes.

        ``timeout`` holds for the life of the command too: it is then killed, and HcsTimeoutError is raised.
        """
        parameters = _handles.command(
            args, user=user, cwd=cwd, env=env, stdin=input is not None, stdout=True, stderr=True
        )
        with self.create_process(parameters, timeout=timeout) as process:
            stdout, stderr = process.communicate(input, timeout=timeout)
            return CompletedProcess(args, process.wait(), stdout, stderr)


class Process(Handle):
    """A process in a compute system. ``stdin``, ``stdout`` and ``stderr`` are unbuffered binary files, or None."""

    _kind = "Process"

    def __init__(self, value: c_void_p, information: _native.ProcessInformation | None) -> None:
        super().__init__(value)
        information = information or _native.ProcessInformation()
        #: Pid inside the compute system.
        self.pid: int = information.process_id
        self.stdin = _file(information.stdin, "wb")
        self.stdout = _file(information.stdout, "rb")
        self.stderr = _file(information.stderr, "rb")

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the streams and the handle. What an exception leaves behind is killed: the process and its session."""
        try:
            if error is not None and not self.closed:
                self.kill(group=True)
        except HcsError:
            pass  # It has ended, or its system has.
        finally:
            self.close()

    def close(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        super().close()

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; the exit code, 128 + N when signal N ended it. HcsTimeoutError when it lives on."""
        return _handles.exit_code(wait_for_exit("HcsWaitForProcessExit", self._value, timeout))

    def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Its ProcessStatus document."""
        return _make(self._call("HcsGetProcessProperties"), timeout).json() or {}

    def kill(self, *, group: bool = False, timeout: float | None = None) -> None:
        """Kills it; with ``group`` also all that it started and that is still in its session."""
        _make(self._call(*_handles.killing(group)), timeout)

    def signal(self, signal: int | str, *, group: bool = False, timeout: float | None = None) -> None:
        """Sends it a signal: a Linux number, or a name of the schema; with ``group`` to its process group."""
        _make(self._call("HcsSignalProcess", _handles.signalling(signal, group)), timeout)

    def modify(self, request: Document, *, timeout: float | None = None) -> None:
        """Changes it: a ProcessModifyRequest document."""
        _make(self._call("HcsModifyProcess", request), timeout)

    def resize(self, height: int, width: int, *, timeout: float | None = None) -> None:
        """Sets the size of its emulated console, in characters."""
        size = {"Height": height, "Width": width}
        self.modify({"Operation": "ConsoleSize", "ConsoleSize": size}, timeout=timeout)

    def communicate(self, input: bytes | None = None, *, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Sends ``input``, ends its standard input, and reads what it writes until it closes its output.

        After ``timeout`` seconds the process is killed, with what it started, and HcsTimeoutError raised.
        """
        # What is no bytes is refused before anything of it is sent.
        data = memoryview(b"" if input is None else input)
        output: dict[str, bytes] = {}
        failures: list[Exception] = []

        def begin(work: Callable[[], None]) -> threading.Thread:
            def run() -> None:
                try:
                    work()
                except Exception as failure:  # It is raised where it is heard.
                    failures.append(failure)

            return threading.Thread(target=run, daemon=True)

        threads = [
            begin(partial(_read, stream, name, output))
            for name, stream in (("stdout", self.stdout), ("stderr", self.stderr))
            if stream is not None
        ]
        if self.stdin is not None:
            threads.append(begin(partial(_send, self.stdin, data)))
        end = None if timeout is None else time.monotonic() + timeout
        for thread in threads:
            thread.start()
        try:
            self.wait(timeout)
        except BaseException:
            try:
                self.kill(group=True)
            except HcsError:
                pass  # It has ended, or its system has.
            raise
        for thread in threads:
            # What it left behind may have its output still.
            thread.join(None if end is None else max(end - time.monotonic(), 0))
            if thread.is_alive():
                check("HcsWaitForProcessExit", 0x800705B4 - (1 << 32))
        if failures:
            raise failures[0]
        return output.get("stdout", b""), output.get("stderr", b"")


def _file(descriptor: int | None, mode: str) -> BinaryIO | None:
    return cast("BinaryIO", os.fdopen(descriptor, mode, buffering=0)) if descriptor else None


def _read(stream: BinaryIO, name: str, output: dict[str, bytes]) -> None:
    output[name] = stream.read()


def _send(stream: BinaryIO, rest: memoryview) -> None:
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except BrokenPipeError:
        pass  # The process does not read all of it.
    finally:
        stream.close()
