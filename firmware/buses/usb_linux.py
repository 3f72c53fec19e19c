"""Restart of a USB device by taking it from the bus and giving it back (Linux, CPython only).

Linux, Documentation/usb/authorization.rst: 0 in the device's file ``authorized``
unbinds its drivers, 1 binds them anew. Its tty then has another open file: the
serial port must be named by its path on the bus, and be opened again.
"""

from firmware import aio
from firmware.buses.data_line import Restart
from firmware.buses.wire import BusError

DEVICES = "/sys/bus/usb/devices"
#: Between taking it away and giving it back.
REST_MS = 1000


class UsbPort(Restart):
    """``device``: its place on the bus, such as "1-1.2"."""

    def __init__(self, device: str, devices: str = DEVICES) -> None:
        self._path = devices + "/" + device + "/authorized"
        # Kept: a write that the kernel holds up must not hold up the loop as well.
        self._worker = aio.Worker("usb")

    async def cycle(self) -> None:
        try:
            await self._worker.call(self._write, "0")
            await aio.sleep_ms(REST_MS)
            await self._worker.call(self._write, "1")
        except OSError as error:
            raise BusError("usb device " + self._path + ": " + str(error)) from None

    def _write(self, text: str) -> None:
        with open(self._path, "w") as file:
            file.write(text)
