"""Keep one server alive exactly as long as the process that wants it: a script that `labkit.broker` runs.

    python _guardian.py PARENT FOLDER SERVER [OPTION ...]

The guardian makes the private FOLDER, runs the SERVER and waits. As soon as anything arrives or ends on its standard
input, its parent is another process than PARENT, the server ends or SIGTERM comes, it kills the server and removes the
folder. SIGKILL is no harm to a server that keeps nothing on disk. Standard library only: it runs without site-packages.
"""

import fcntl
import os
import select
import signal
import sys

CHECK_PARENT_EVERY = 0.5  # seconds


def keep(parent: int, folder: str, command: list[str]) -> None:
    """Run the command until it ends or nobody wants it any more, and leave nothing behind."""
    os.mkdir(folder, 0o700)  # noqa: PTH102 - importing pathlib takes longer than all the rest of the start
    try:
        serve(parent, command)
    finally:
        import shutil  # here, for it takes as long to import as all the rest takes to run

        shutil.rmtree(folder, ignore_errors=True)


def serve(parent: int, command: list[str]) -> None:
    """Run the command and kill it when its parent goes, or with this process."""
    leash, held = os.pipe()  # the server has one end as its input: when this process ends, however, that is closed
    alive, closing = os.pipe()  # the server has the writing end: when it ends, this is closed
    os.set_inheritable(closing, True)
    server = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, leash, 0)])
    try:
        if sys.platform == "linux":  # elsewhere the server outlives a guardian killed by SIGKILL until Broker.stop()
            fcntl.fcntl(leash, fcntl.F_SETOWN, server)
            fcntl.fcntl(leash, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(leash, fcntl.F_SETFL, os.O_ASYNC)
        os.close(leash)
        os.close(closing)
        # A forked child of the parent may hold standard input open, so a parent that is gone is looked for as well.
        while os.getppid() == parent:
            if select.select([0, alive], [], [], CHECK_PARENT_EVERY)[0]:
                break
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        os.close(held)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    os.set_blocking(1, False)  # a pipe that is soon read by nobody
    try:
        keep(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    except OSError as error:
        sys.exit(str(error))
