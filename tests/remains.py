"""What a process has left behind: processes, files and unix sockets, told by a token in the environment and a folder.

Start the process to be watched with `LABKIT_TOKEN=<token>` (any unique text) and `TMPDIR=<an empty folder>`.
"""

import os
import time
from collections.abc import Collection
from pathlib import Path

import pytest

PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not (PROC / "self/environ").exists(), reason="needs /proc to look for what remains")


def remains(token: str, tmpdir: Path, besides: Collection[int] = ()) -> list[str]:
    """Return one line for each process with the token, each file in the folder and each unix socket in it.

    Args:
        token: a text in the environment, or the command line, of the processes to be found.
        tmpdir: the folder that should be empty.
        besides: process ids that are not to be reported.
    """
    found = []
    for process in PROC.glob("[0-9]*"):
        try:
            environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
        except OSError:  # it has ended, or is somebody else's
            continue
        if int(process.name) not in besides and (token.encode() in environment or str(tmpdir).encode() in command):
            found.append(f"process {process.name}: {command.replace(bytes(1), b' ').decode(errors='replace')}")
    # not rglob, to which a folder that goes while it is read is an error
    found += [f"file {Path(at, name)}" for at, folders, files in os.walk(tmpdir) for name in folders + files]
    found += [f"socket {line}" for line in (PROC / "net/unix").read_text().splitlines() if f" {tmpdir}/" in line]
    return found


def wait_gone(token: str, tmpdir: Path, timeout: float = 5.0, besides: Collection[int] = ()) -> None:
    """Return as soon as nothing remains; fail, naming what does, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while left := remains(token, tmpdir, besides):
        assert time.monotonic() < deadline, f"after {timeout} s there remain:\n" + "\n".join(left)
        time.sleep(0.01)
