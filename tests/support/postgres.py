"""A PostgreSQL of our own for tests: Debian's, on a unix socket in a temporary folder."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

SCRIPT = Path(__file__).with_name("postgres.sh")


@cache
def why_not() -> str:
    """Why no server can be had here, "" if one can. Fetches it into the cache at first."""
    if not sys.platform.startswith("linux"):
        return "PostgreSQL is unpacked from Debian's packages"
    for tool in ("flock", "apt-get", "dpkg", "unshare"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    try:
        done = subprocess.run([str(SCRIPT), "prepare"], capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "PostgreSQL could not be fetched within five minutes"
    if done.returncode:
        return f"PostgreSQL cannot be had: {done.stderr.strip()[-300:]}"
    return ""


class Postgres:
    """A server with databases of its own."""

    def __init__(self) -> None:
        # A socket's path has at most 107 bytes: pytest's folders are too deep.
        self.folder = Path(tempfile.mkdtemp(prefix="opentill-pg-"))
        self._names = (f"db{number}" for number in itertools.count(1))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Serve; returns when it answers."""
        import psycopg

        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SCRIPT), "run", str(self.folder)], stdout=log, stderr=log
            )
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(host=str(self.folder), user="till", dbname="postgres").close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    text = (self.folder / "log").read_text()[-1000:]
                    raise RuntimeError("no PostgreSQL: " + text) from None
                threading.Event().wait(0.05)

    def kill(self) -> None:
        """As when its machine loses power: nobody is asked."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop it; its folder goes."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = next(self._names)
        with psycopg.connect(
            host=str(self.folder), user="till", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://till@/{name}?host={self.folder}"


@cache
def server() -> Postgres:
    """The one of this process, which goes when the process does."""
    made = Postgres()
    pid = os.getpid()
    atexit.register(lambda: made.close() if os.getpid() == pid else None)
    return made
