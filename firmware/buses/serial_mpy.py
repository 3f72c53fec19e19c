"""Bus: serial port by MicroPython's ``machine.UART``.

A UART without flow control cannot be unplugged and always drains, so what it
still holds is known from the time. That is needed: ports wait in ``write``
for room (rp2 as long as bytes leave, esp32 until all are in), which would
hold the event loop. Bytes that arrive while the receive buffer is full, and
those with framing errors, are dropped by the ports without a word.
"""

from firmware import aio
from firmware.buses.serial_port import POLL_MOST_MS, PolledSerial
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Bytes of the port's buffers. A panel on I2C holds the loop for up to 30 ms, in
#: which 345 bytes arrive at 115200 baud.
RECEIVE, SEND = 2048, 1024


class MpySerial(PolledSerial):
    """Peripheral ``port`` of the chip; 8 bits, no parity, one stop bit unless told otherwise."""

    def __init__(self, port: int, baud: int, tx: int, rx: int) -> None:
        """BusError when the chip has no such port or not on these pins."""
        import machine

        self.baud = baud
        self._name = "uart " + str(port)
        self._free_at = 0  # ticks when all that was handed over has left
        self._pace()
        try:
            #: For PPP, which speaks to the peripheral itself.
            self.uart: "Any" = machine.UART(
                port, baudrate=baud, bits=8, parity=None, stop=1,
                tx=machine.Pin(tx), rx=machine.Pin(rx),
                timeout=0, timeout_char=0, rxbuf=RECEIVE, txbuf=SEND,
            )  # fmt: skip
        except (ValueError, TypeError, OSError) as error:
            raise BusError(self._name + ": " + str(error)) from None
        self._closed = False

    def _pace(self) -> None:
        #: A quarter of the receive buffer arrives in this time at least.
        self._pause_most = max(1, min(POLL_MOST_MS, RECEIVE * 2500 // self.baud))

    def set_mode(self, baud: int, parity: str, stop: int) -> None:
        """See ``SerialPort.set_mode``; whether a character with a wrong parity comes
        through is the port's. BusError."""
        self._check()
        numbers = {"none": None, "even": 0, "odd": 1}
        if parity not in numbers:
            raise BusError(self._name + " has no parity " + parity)
        try:
            # rp2 makes both buffers anew, of 256 bytes unless told otherwise.
            self.uart.init(
                baudrate=baud, bits=8, parity=numbers[parity], stop=stop,
                timeout=0, timeout_char=0, rxbuf=RECEIVE, txbuf=SEND,
            )  # fmt: skip
        except (ValueError, TypeError, OSError) as error:
            raise BusError(self._name + ": " + str(error)) from None
        self.baud = baud
        self._pace()

    def _wrong(self, error: OSError) -> BusError:
        return BusError(self._name + ": " + str(error))

    def _check(self) -> None:
        if self._closed:
            raise BusError(self._name + " is closed")

    def _queued_ms(self) -> int:
        """Milliseconds until the send buffer is empty."""
        ahead = self._free_at - aio.ticks_ms()
        # More than the buffer holds: the ticks began anew.
        return ahead if 0 < ahead <= SEND * 10000 // self.baud + 2 else 0

    async def write(self, data: bytes) -> int:
        """Hand over what the buffer has room for; returns how many bytes. BusError."""
        self._check()
        queued = self._queued_ms()
        part = data[: max(SEND - (queued * self.baud + 9999) // 10000, 0)]
        if not part:
            return 0
        try:
            taken = int(self.uart.write(part) or 0)
        except OSError as error:
            raise self._wrong(error) from None
        self._free_at = aio.ticks_ms() + queued + (taken * 10000 + self.baud - 1) // self.baud
        return taken

    def _take(self, most: int) -> bytes:
        self._check()
        try:
            waiting = self.uart.any()
            return self.uart.read(min(waiting, most)) or b"" if waiting else b""
        except OSError as error:
            raise self._wrong(error) from None

    def drop_input(self) -> None:
        """Forget what was received and not read. BusError."""
        self._check()
        for _ in range(2 * RECEIVE):  # a far end that babbles does not hold us
            if not self._take(RECEIVE):
                return

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self.uart.deinit()
        except OSError:  # gone already, which is what was asked for
            pass
