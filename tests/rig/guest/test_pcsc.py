"""The PC/SC tests again, with Debian's pcscd and its virtual reader as packaged."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tools.emulator.chips.card import Card
from host_tools.emulator.vpcd import PORT, VpcdCard
from tests.rig.guest.waiting import until
from tests.system.test_pcsc import (  # noqa: F401 - collected here
    test_a_daemon_that_dies_and_comes_back,
    test_read_through,
)

SOCKET = Path("/run/pcscd/pcscd.comm")


class Daemon:
    """What tests/support/pcscd.py makes in namespaces; the guest is all ours."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp())
        driver = next(Path("/usr/lib").rglob("libifdvpcd.so"))
        self._config = folder / "reader.conf"
        self._config.write_text(
            'FRIENDLYNAME "OpenTill Virtual"\n'
            f"DEVICENAME /dev/null:{PORT:#06x}\nLIBPATH {driver}\nCHANNELID {PORT:#06x}\n"
        )
        self._log = folder / "log"
        self._cards: list[VpcdCard] = []
        self.start()

    def start(self) -> None:
        """Start it, again after ``stop``; the reader listens when this returns."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/usr/sbin/pcscd", "--foreground", "--config", str(self._config)],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: SOCKET.exists() and self._listens(), "pcscd's start")

    def _listens(self) -> bool:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(
            line.split()[1].endswith(f":{PORT:04X}") and line.split()[3] == "0A" for line in lines
        )

    def insert(self, card: Card) -> VpcdCard:
        """Put a virtual card into the reader."""
        self._cards.append(VpcdCard.insert(card))
        return self._cards[-1]

    def stop(self) -> None:
        """Take the cards out and stop the daemon."""
        for card in self._cards:
            card.remove()
        self._cards = []
        self._process.terminate()
        self._process.wait(timeout=20)
        SOCKET.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    SOCKET.parent.mkdir(exist_ok=True)
    daemon = Daemon()
    yield daemon
    daemon.stop()
