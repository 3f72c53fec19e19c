"""Bus: a USB serial port of the chip's own, towards a PC, by micropython-lib's ``usb-device-cdc``.

A port beside the console's, which stays. There is no pace to keep: the PC takes what it
has room for. Not connected counts as gone.
"""

from firmware import aio
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Bytes of the port's buffers, and how long a read waits between two looks.
BUFFER = 1024
LOOK_MS = 5


class MpyUsbSerial(SerialPort):
    """The one port; the PC sees the chip leave and come back once, when it is made."""

    #: Of full-speed USB; there are no bits on a line.
    baud = 921600

    def __init__(self) -> None:
        """BusError when the image has no ``usb-device-cdc``, or the chip no USB device."""
        try:
            import usb.device
            from usb.device.cdc import CDCInterface
        except ImportError as error:
            raise BusError("usb: " + str(error)) from None
        try:
            self._port: "Any" = CDCInterface(timeout=0, txbuf=BUFFER, rxbuf=BUFFER)
            usb.device.get().init(self._port, builtin_driver=True)
        except (ValueError, OSError) as error:
            raise BusError("usb: " + str(error)) from None
        self._closed = False

    def _check(self) -> None:
        if self._closed:
            raise BusError("usb: the port is closed")
        if not self._port.is_open():
            raise BusError("usb: no PC is connected")

    async def write(self, data: bytes) -> int:
        """Hand over what there is room for; returns how many bytes. BusError."""
        self._check()
        return int(self._port.write(data[:BUFFER]) or 0)

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when none came in time. BusError when a PC
        that was there has gone; without one it is waited for."""
        began = aio.ticks_ms()
        seen = self._port.is_open()
        while True:
            if seen or self._closed:
                self._check()
            seen = seen or self._port.is_open()
            data = self._port.read(min(most, BUFFER)) if seen else None
            if data:
                return bytes(data)
            if timeout_ms is not None and aio.elapsed_ms(began) >= timeout_ms:
                return b""
            await aio.pause_ms(LOOK_MS)

    def drop_input(self) -> None:
        """Forget what was received and not read."""
        for _ in range(BUFFER):  # a PC that goes on sending does not hold us
            if not self._port.read(BUFFER):
                return

    async def close(self) -> None:
        """Nothing is used any more; the PC goes on seeing the port."""
        self._closed = True
