"""The binding against the real service. ``python3 -m unittest discover -s tests`` with the library and hcsd in reach."""

import asyncio
import errno
import gc
import itertools
import os
import pickle
import resource
import threading
import time
import unittest

import hcs

BOX = {"Owner": "python", "ShouldTerminateOnLastHandleClosed": True, "Container": {}}
_numbers = itertools.count(1)


def fresh_id() -> str:
    return f"python-{os.getpid()}-{next(_numbers)}"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Running(unittest.TestCase):
    def setUp(self) -> None:
        self.system = hcs.ComputeSystem.create(fresh_id(), BOX)
        self.system.start()

    def tearDown(self) -> None:
        if not self.system.closed:
            self.system.__exit__(None, None, None)

    def test_a_command_runs_to_its_end(self) -> None:
        before = open_files()
        result = self.system.run(["sh", "-c", "cat; echo err >&2; exit 7"], input="grüße 😀\n".encode())
        self.assertEqual((result.exit_code, result.stderr), (7, b"err\n"))
        self.assertEqual(result.stdout.decode(), "grüße 😀\n")
        self.assertEqual(open_files(), before)

    def test_a_line_is_split_and_surroundings_are_given(self) -> None:
        result = self.system.run("sh -c 'pwd; echo $WORD'", cwd="/", env={"WORD": "a b", "PATH": "/bin:/usr/bin"})
        self.assertEqual(result.stdout, b"/\na b\n")

    def test_large_output_and_input_pass(self) -> None:
        data = bytes(range(256)) * 4096
        self.assertEqual(self.system.run(["cat"], input=data).stdout, data)

    def test_text_is_no_input(self) -> None:
        with self.assertRaises(TypeError):
            self.system.run(["cat"], input="text")
        with self.assertRaises(TypeError):
            self.system.run(["cat"], input="")

    def test_a_stream_that_fails_is_told(self) -> None:
        parameters = {"CommandLine": "cat", "CreateStdInPipe": True, "CreateStdOutPipe": True}
        with self.system.create_process(parameters) as process:
            process.stdin.close()
            # A file that was opened for something else.
            process.stdin = open("/dev/null", "rb", buffering=0)
            with self.assertRaises(OSError):
                process.communicate(b"x")

    def test_streams_are_files(self) -> None:
        parameters = {"CommandLine": "cat", "CreateStdInPipe": True, "CreateStdOutPipe": True}
        with self.system.create_process(parameters) as process:
            assert process.stdin is not None and process.stdout is not None
            self.assertIsNone(process.stderr)
            process.stdin.write(b"one\n")
            self.assertEqual(process.stdout.read(4), b"one\n")
            self.assertFalse(process.status()["Exited"])
            process.stdin.close()
            self.assertEqual(process.wait(), 0)

    def test_signals_end_processes(self) -> None:
        with self.system.create_process({"CommandLine": "sleep 1000"}) as process:
            with self.assertRaises(hcs.HcsTimeoutError):
                process.wait(0)
            process.signal(15)
            self.assertEqual(process.wait(), 128 + 15)
            with self.assertRaises(hcs.HcsError) as gone:
                process.kill()
            self.assertEqual(gone.exception.name, "HCS_E_PROCESS_ALREADY_STOPPED")

    def test_a_command_that_is_late_is_killed(self) -> None:
        with self.assertRaises(TimeoutError):
            self.system.run(["sleep", "1000"], timeout=0.3)
        # With what it started, which has said here that it is there.
        script = "sleep 1000 & echo x; wait"
        parameters = {"CommandArgs": ["sh", "-c", script], "CreateStdOutPipe": True}
        with self.system.create_process(parameters) as process:
            self.assertEqual(process.stdout.read(2), b"x\n")
            with self.assertRaises(TimeoutError):
                process.communicate(timeout=0.1)
        # A process that was killed is listed until it has died.
        limit = time.monotonic() + 30
        names = ["sleep"]
        while "sleep" in names and time.monotonic() < limit:
            listed = self.system.properties("ProcessList").get("ProcessList", [])
            names = [process.get("ImageName") for process in listed]
        self.assertNotIn("sleep", names)

    def test_signals_reach_a_group(self) -> None:
        for end, code in ((lambda process: process.signal(15, group=True), 15), (lambda p: p.kill(group=True), 9)):
            parameters = {"CommandArgs": ["sh", "-c", "sleep 1000 & echo x; wait"], "CreateStdOutPipe": True}
            with self.system.create_process(parameters) as process:
                self.assertEqual(process.stdout.read(2), b"x\n")
                end(process)
                self.assertEqual(process.wait(), 128 + code)
                # The end of the output: what it started had it, too.
                self.assertEqual(process.stdout.read(1), b"")

    def test_what_an_exception_leaves_is_killed(self) -> None:
        with self.assertRaises(KeyError):
            with self.system.create_process({"CommandLine": "sleep 1000"}) as process:
                other = self.system.open_process(process.pid)
                raise KeyError
        self.assertEqual(other.wait(), 128 + 9)
        other.close()

    def test_a_program_without_free_descriptors_keeps_what_it_has(self) -> None:
        self.system.run(["true"])
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + 8, limit[1]))
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as full:
            self.assertEqual(full.errno, errno.EMFILE)
        try:
            with self.assertRaises(hcs.HcsError) as caught:
                self.system.create_process({"CommandLine": "cat", "CreateStdInPipe": True, "CreateStdOutPipe": True})
            self.assertEqual(caught.exception.name, "ERROR_TOO_MANY_OPEN_FILES")
            self.assertIn("ulimit -n", str(caught.exception))
            # What takes no descriptor is done.
            self.assertEqual(self.system.properties()["State"], "Running")
        finally:
            for descriptor in held:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        self.assertEqual(self.system.run(["echo", "x"]).stdout, b"x\n")
        listed = self.system.properties("ProcessList").get("ProcessList", [])
        self.assertNotIn("cat", [process.get("ImageName") for process in listed])

    def test_what_is_not_utf_8_is_refused_and_not_changed(self) -> None:
        odd = os.fsdecode(b"a\xffb")
        for call in (
            lambda: self.system.run(["echo", odd]),
            lambda: self.system.run(["env"], env={odd: "x"}),
            lambda: hcs.ComputeSystem.create(fresh_id(), {"Owner": odd, "Container": {}}),
        ):
            with self.assertRaises((hcs.HcsError, ValueError)) as caught:
                call()
            self.assertRegex(str(caught.exception), "UTF|surrogate|Unicode")
        self.assertEqual(self.system.run(["echo", "\ufffd"]).stdout.decode(), "\ufffd\n")

    def test_events_are_told(self) -> None:
        told, arrived = [], threading.Event()

        def on_event(event: hcs.Event) -> None:
            told.append(event)
            arrived.set()

        self.system.on_event(on_event)
        self.system.terminate()
        arrived.wait()
        self.assertEqual([event.name for event in told], ["SystemExited"])
        self.assertEqual(told[0].data["ExitType"], "ForcedExit")
        self.assertEqual(self.system.wait()["ExitType"], "ForcedExit")

    def test_a_system_is_listed_and_opened(self) -> None:
        listed = {system["Id"]: system for system in hcs.enumerate_systems()}
        self.assertEqual(listed[self.system.id]["Owner"], "python")
        with hcs.ComputeSystem.open(self.system.id) as other:
            self.assertEqual(other.properties()["State"], "Running")
            other.pause()
            self.assertEqual(self.system.properties()["State"], "Paused")
            other.resume()
            other.modify({"ResourcePath": "Container/Memory/SizeInMB", "RequestType": "Update", "Settings": 512})
        self.assertEqual(self.system.run(["true"]).exit_code, 0)


class Failing(unittest.TestCase):
    def test_a_fault_of_a_document_has_its_pointer_and_operation(self) -> None:
        with self.assertRaises(hcs.HcsError) as caught:
            hcs.ComputeSystem.create(fresh_id(), {"Container": {"Memory": {"SizeInMB": "much"}}})
        error = caught.exception
        self.assertEqual((error.function, error.name), ("HcsCreateComputeSystem", "HCS_E_INVALID_JSON"))
        self.assertEqual(error.pointer, "/Container/Memory/SizeInMB")
        self.assertIn(str(os.getpid()), error.operation or "")
        self.assertIn("SizeInMB", str(error))
        self.assertEqual(str(error).count(error.causes[0].message), 1)
        self.assertIn(error.operation or "?", str(error))
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((str(again), again.document), (str(error), error.document))

    def test_a_program_that_is_not_there_is_named(self) -> None:
        with hcs.ComputeSystem.create(fresh_id(), BOX) as system:
            system.start()
            with self.assertRaises(hcs.HcsError) as caught:
                system.run(["nosuch-program"])
            self.assertIn("nosuch-program", str(caught.exception))

    def test_functions_without_a_document_say_what_was_wrong(self) -> None:
        with self.assertRaises(hcs.HcsError) as caught:
            hcs.ComputeSystem.open("no-such-system")
        self.assertEqual(caught.exception.name, "HCS_E_SYSTEM_NOT_FOUND")
        self.assertIn("no compute system has this id", str(caught.exception))
        with self.assertRaises(hcs.HcsError) as caught:
            hcs.service_properties({"PropertyTypes": ["Nonsense"]})
        self.assertEqual(caught.exception.pointer, "/PropertyTypes/0")
        with self.assertRaises(ValueError):
            hcs.ComputeSystem.open("a\0b")
        with self.assertRaises(hcs.HcsError) as caught:
            hcs.ComputeSystem.open("\ud800")
        self.assertEqual(caught.exception.name, "E_INVALIDARG")

    def test_a_closed_handle_is_refused(self) -> None:
        system = hcs.ComputeSystem.create(fresh_id(), BOX)
        system.close()
        system.close()
        self.assertTrue(system.closed)
        with self.assertRaises(hcs.HcsError) as caught:
            system.start()
        self.assertEqual(caught.exception.name, "E_HANDLE")

    def test_a_forgotten_system_ends(self) -> None:
        id = fresh_id()
        hcs.ComputeSystem.create(id, BOX)
        gc.collect()
        # To its last client it is gone, so its id can be used at once.
        hcs.ComputeSystem.create(id, BOX).__exit__(None, None, None)


class Asynchronous(unittest.IsolatedAsyncioTestCase):
    async def test_many_commands_at_once(self) -> None:
        async with await hcs.aio.ComputeSystem.create(fresh_id(), BOX) as system:
            await system.start()
            runs = [system.run(["sh", "-c", f"cat; exit {code}"], input=b"x" * code) for code in range(8)]
            results = await asyncio.gather(*runs)
            self.assertEqual([result.exit_code for result in results], list(range(8)))
            self.assertEqual([len(result.stdout) for result in results], list(range(8)))

    async def test_a_cancelled_command_is_killed(self) -> None:
        async with await hcs.aio.ComputeSystem.create(fresh_id(), BOX) as system:
            await system.start()
            process = await system.create_process({"CommandLine": "sleep 1000"})

            async def use() -> None:
                async with process:
                    await process.wait()

            task = asyncio.create_task(use())
            with self.assertRaises(hcs.HcsTimeoutError):
                await process.wait(0.05)
            other = hcs.ComputeSystem.open(system.id).open_process(process.pid)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual(other.wait(), 128 + 9)

    async def test_a_cancelled_call_is_undone(self) -> None:
        id = fresh_id()
        task = asyncio.create_task(hcs.aio.ComputeSystem.create(id, BOX))
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertNotIn(id, [system["Id"] for system in await hcs.aio.enumerate_systems()])

    async def test_failures_and_exits(self) -> None:
        with self.assertRaises(hcs.HcsError) as caught:
            await hcs.aio.ComputeSystem.create(fresh_id(), {"Container": {"Nonsense": 1}})
        self.assertEqual(caught.exception.pointer, "/Container/Nonsense")
        told: list[str] = []
        async with await hcs.aio.ComputeSystem.create(fresh_id(), BOX) as system:
            system.on_event(lambda event: told.append(event.name))
            await system.start()
            self.assertEqual((await system.properties())["State"], "Running")
            await system.shut_down()
            self.assertEqual((await system.wait())["ExitType"], "GracefulExit")
        self.assertEqual(told, ["SystemExited"])


if __name__ == "__main__":
    unittest.main()
