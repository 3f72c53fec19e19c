"""A pcscd of our own for tests, in its own namespaces, with vsmartcard's virtual reader."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

from host_tools.emulator.vpcd import PORT, Contacts, VpcdCard

SCRIPT = Path(__file__).with_name("pcscd.sh")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opentill" / "pcscd"
READER = "OpenTill Virtual 00 00"
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


@cache
def why_not() -> str:
    """Why a pcscd cannot run here, "" if it can. Fetches it into the cache at first."""
    if not sys.platform.startswith("linux"):
        return "pcscd tests run on Linux only"
    if os.geteuid() != 0:
        return "pcscd in namespaces of its own needs root"
    for tool in ("unshare", "flock", "apt-get", "dpkg"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    ready = (CACHE / "root/usr/sbin/pcscd").exists()
    try:
        done = subprocess.run(
            [str(SCRIPT), "prepare", sys.executable], capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired:
        return "pcscd or pyscard could not be fetched within five minutes"
    if done.returncode:
        what = "pyscard does not build" if ready else "pcscd cannot be fetched"
        return f"{what}: {done.stderr.strip()[-300:]}"
    return ""


def use_pyscard() -> None:
    """Make ``smartcard`` importable, from the environment or from the cache."""
    libraries = sorted((CACHE / "root").glob("usr/lib/*/libpcsclite.so.1"))
    # pyscard opens the library by name; one that is loaded already is taken.
    ctypes.CDLL(str(libraries[0]), mode=ctypes.RTLD_GLOBAL)
    try:
        import smartcard  # noqa: F401  (only asked whether it is there)
    except ImportError:
        sys.path.append(str(CACHE / "python"))


class PcscDaemon:
    """pcscd and its virtual reader, from construction to ``close``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="opentill-pcscd-"))
        self._log = (self.folder / "log").open("wb")
        self._cards: list[VpcdCard] = []
        self._process = self.start()
        os.environ["PCSCLITE_CSOCK_NAME"] = str(self.address)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon (again, after ``stop``) at the same address."""
        self._process = subprocess.Popen(
            [str(SCRIPT), "run", str(self.folder)], stdout=self._log, stderr=self._log
        )
        try:
            self._wait(lambda: self.address.exists())
            # The reader polls from now on; its port listens a moment later.
            self._wait(self._listens)
        except BaseException:
            self.close()
            raise
        return self._process

    def stop(self) -> None:
        """Take the cards out and stop the daemon."""
        for card in self._cards:
            card.remove()
        self._cards = []
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.address.unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """The daemon's process (the script becomes it)."""
        return self._process.pid

    @property
    def address(self) -> Path:
        """Where PC/SC clients find the daemon."""
        return self.folder / "pcscd.comm"

    def _wait(self, ready: object, seconds: float = 20.0) -> None:
        assert callable(ready)
        end = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("pcscd did not start: " + self.log())
            threading.Event().wait(0.02)

    def log(self) -> str:
        """What the daemon said, its last part."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def _listens(self) -> bool:
        # LISTEN (0A) on the reader's port, as the daemon's own namespace sees it.
        table = Path(f"/proc/{self._process.pid}/net/tcp")
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        return any(
            line.split()[1].endswith(f":{PORT:04X}") and line.split()[3] == "0A" for line in lines
        )

    def _connect(self) -> socket.socket:
        """A connection to the reader's port, made inside the daemon's network namespace.

        A namespace belongs to a thread, and a socket keeps that of its birth.
        """
        found: list[socket.socket | OSError] = []

        def inside() -> None:
            try:
                with open(f"/proc/{self._process.pid}/ns/net") as namespace:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                    ask = struct.pack("16sH14x", b"lo", 0)
                    flags = struct.unpack("16xH14x", fcntl.ioctl(control, SIOCGIFFLAGS, ask))[0]
                    up = struct.pack("16sH14x", b"lo", flags | IFF_UP)
                    fcntl.ioctl(control, SIOCSIFFLAGS, up)
                found.append(socket.create_connection(("127.0.0.1", PORT), timeout=5))
            except OSError as error:
                found.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]

    def insert(self, card: Contacts) -> VpcdCard:
        """Put a virtual card into the reader."""
        inserted = VpcdCard(self._connect(), card)
        self._cards.append(inserted)
        return inserted

    def close(self) -> None:
        """Stop the daemon for good."""
        self.stop()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def shared() -> PcscDaemon:
    """The one daemon of this process: libpcsclite remembers the first socket it used."""
    use_pyscard()
    daemon = PcscDaemon()
    atexit.register(daemon.close)
    return daemon
