"""Runs a command in a new container and prints what it wrote: ``python3 examples/run.py uname -a``."""

import os
import sys

import hcs


def main() -> int:
    document = {"Owner": "run.py", "ShouldTerminateOnLastHandleClosed": True, "Container": {}}
    try:
        with hcs.ComputeSystem.create(f"run-py-{os.getpid()}", document) as system:
            system.start()
            result = system.run(sys.argv[1:] or ["uname", "-a"], timeout=60)
    except hcs.HcsError as error:
        print(error, file=sys.stderr)
        return 125
    sys.stdout.buffer.write(result.stdout)
    sys.stderr.buffer.write(result.stderr)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
