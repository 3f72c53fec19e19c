"""Bus: the kernel's USB printer class (usblp, /dev/usb/lp0) as a serial port. Linux only.

The node is opened for one job (``begin`` to ``end``), so that a printer that
was unplugged and plugged in again is found. A printer that takes no more
bytes makes ``write`` return 0; one without a back channel never answers.
"""

import os
import stat

from firmware import aio
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError

#: How long a write waits for the printer to take bytes.
TAKE_MS = 50
#: The last bytes may stand so long before the printer takes them: it may be cooling its head.
SENT_MS = 25000
#: Some printers say that they have an answer and have none: asked again after so many ms.
QUIET_MS = 20
#: Reads of what is to be forgotten: a printer that never stops must not hold its caller.
MOST_DROPS = 64


class UsbPrinter(SerialPort):
    """``path``: /dev/usb/lp0, or a link to it."""

    #: Full-speed USB carries about this; the printer is the slower end.
    baud = 921600

    def __init__(self, path: str) -> None:
        self._path = path
        self._node: "_Node | None" = None

    async def begin(self) -> None:
        """Open the node. BusError when it is not there or another program has it."""
        await self.end()
        try:
            # A file of that name is what a redirection left while the printer was off.
            if not stat.S_ISCHR(os.stat(self._path).st_mode):
                raise BusError(f"printer {self._path}: it is no device")
            flags = os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            self._node = _Node(os.open(self._path, flags))
        except OSError as error:
            raise self._named(error) from None

    async def end(self) -> None:
        """Close the node; the kernel sends what it holds."""
        if self._node is not None:
            node, self._node = self._node, None
            node.close()

    def _named(self, error: OSError) -> BusError:
        return BusError(f"printer {self._path}: {error.strerror}")

    def _open(self) -> "_Node":
        if self._node is None:
            raise BusError(f"printer {self._path}: not open")
        return self._node

    async def write(self, data: bytes) -> int:
        """Hand over bytes; 0 while the printer takes none. BusError."""
        node = self._open()
        try:
            try:
                return os.write(node.number, data[:4096])
            except BlockingIOError:
                await aio.first(("room", aio.writable(node)), timeout_ms=TAKE_MS)
                return 0
        except OSError as error:
            raise self._named(error) from None

    async def sent(self) -> None:
        """Wait until the kernel has room for more. BusError: it has none for too long,
        or the node went, which is how a pulled plug shows."""
        node = self._open()
        try:
            name, _ = await aio.first(("room", aio.writable(node)), timeout_ms=SENT_MS)
            os.stat(self._path)
        except OSError as error:
            raise self._named(error) from None
        if name == "timeout":
            raise BusError(f"printer {self._path}: it takes nothing")

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when none came in time. BusError."""
        node = self._open()
        since = aio.ticks_ms()
        try:
            while True:
                data = self._take(node, most)
                left = None if timeout_ms is None else timeout_ms - aio.elapsed_ms(since)
                if data or (left is not None and left <= 0):
                    return data
                await aio.first(("data", aio.readable(node)), timeout_ms=left)
                await aio.sleep_ms(QUIET_MS if left is None else min(QUIET_MS, max(left, 0)))
        except OSError as error:  # of the read, or of a wait that the device does not know
            raise self._named(error) from None

    @staticmethod
    def _take(node: "_Node", most: int) -> bytes:
        try:
            return os.read(node.number, most)
        except BlockingIOError:
            return b""

    def drop_input(self) -> None:
        """Forget what was received and not read."""
        try:
            for _ in range(MOST_DROPS):
                if self._node is None or not os.read(self._node.number, 4096):
                    return
        except OSError:
            pass  # nothing more; a printer that is gone is named by the next call

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        await self.end()


class _Node:
    """An open descriptor, in the form that ``aio.readable`` takes."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        os.close(self.number)
