"""The Host Compute Service: containers and the processes in them.

::

    with hcs.ComputeSystem.create("box", {"Container": {}}) as system:
        system.start()
        result = system.run(["uname", "-a"])
        print(result.exit_code, result.stdout.decode())

Documents are dictionaries (or JSON text) as the schema of HCS has them. What fails raises :class:`HcsError`, which says
what was wrong, where in which document, and by which name the service knows the call. :mod:`hcs.aio` is the same for
asyncio.
"""

from . import aio
from ._handles import CompletedProcess, Event
from ._sync import ComputeSystem, Process, enumerate_systems, modify_service, service_properties
from .errors import Cause, HcsError, HcsTimeoutError

__all__ = [
    "Cause",
    "CompletedProcess",
    "ComputeSystem",
    "Event",
    "HcsError",
    "HcsTimeoutError",
    "Process",
    "aio",
    "enumerate_systems",
    "modify_service",
    "service_properties",
]
