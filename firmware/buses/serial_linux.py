"""Bus: serial port by pyserial, a thread each way (Linux, CPython only)."""

from firmware import aio
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A blocking read in the thread ends after so many seconds, so that closing is not held up.
READ_S = 0.02


class LinuxSerial(SerialPort):
    """``path``: /dev/ttyS0, /dev/ttyACM0, a pseudo-terminal, or a by-id link."""

    def __init__(self, path: str, baud: int, flow: bool = False) -> None:
        """``flow``: RTS/CTS. BusError when the port cannot be opened."""
        import serial

        self.baud = baud
        self._path = path
        self._got = bytearray()
        self._error: "type[Exception]" = serial.SerialException
        try:
            self._port: "Any" = serial.Serial(
                path, baud, timeout=READ_S, write_timeout=1.0, rtscts=flow, exclusive=True
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise BusError("serial port " + path + ": " + str(error)) from None
        # pyserial's POSIX port may be read and written from two threads at once.
        self._reader = aio.Worker("serial-in")
        self._writer = aio.Worker("serial-out")
        self._closed = False

    async def _call(self, worker: aio.Worker, function: "Any", *args: "Any") -> "Any":
        if self._closed:
            raise BusError("serial port " + self._path + " is closed")
        try:
            return await worker.call(function, *args)
        except (self._error, OSError, TypeError) as error:
            # pyserial raises TypeError when the port is closed under a waiting read.
            raise BusError("serial port " + self._path + ": " + str(error)) from None

    def _write(self, data: bytes) -> int:
        import serial

        try:
            return int(self._port.write(data) or 0)
        except serial.SerialTimeoutException:
            return 0

    def _read(self, most: int) -> None:
        """Into our own buffer, so that a cancelled read loses nothing."""
        part = self._port.read(1)
        if part:
            part += self._port.read(min(self._port.in_waiting, most))
        self._got += part

    async def write(self, data: bytes) -> int:
        """Send; returns how many bytes were accepted. BusError."""
        taken: int = await self._call(self._writer, self._write, data[:4096])
        return taken

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when none came in time. BusError.

        Cancelling it loses nothing.
        """
        began = aio.ticks_ms()
        while not self._got:
            if timeout_ms is not None and aio.elapsed_ms(began) >= timeout_ms:
                return b""
            await self._call(self._reader, self._read, 4096)
        data = bytes(self._got[:most])
        del self._got[:most]
        return data

    def drop_input(self) -> None:
        """Forget what was received and not read. BusError."""
        self._got.clear()
        try:
            self._port.reset_input_buffer()
        except (self._error, OSError) as error:
            raise BusError("serial port " + self._path + ": " + str(error)) from None

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._writer.call(self._port.cancel_write)
            await self._reader.call(self._port.close)
        except (self._error, OSError):  # gone already
            pass
        self._reader.close()
        self._writer.close()
