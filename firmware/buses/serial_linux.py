"""Bus: serial port by pyserial, a thread each way (Linux, CPython only)."""

import os
import select

from firmware import aio
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: A blocking read in the thread ends after so many seconds, so that closing is not held up.
READ_S = 0.02
#: A write waits for so many seconds until the line takes anything.
ROOM_S = 1.0


def _port_class() -> "type[Any]":
    """pyserial's port, content with a USB device that knows no DTR and RTS.

    Such a device refuses the request (EPIPE); pyserial would not open it.
    """
    import errno

    import serial

    class Port(serial.Serial):
        def _update_dtr_state(self) -> None:
            self._unless_refused(super()._update_dtr_state)  # type: ignore[misc]

        def _update_rts_state(self) -> None:
            self._unless_refused(super()._update_rts_state)  # type: ignore[misc]

        def _unless_refused(self, update: "Callable[[], None]") -> None:
            try:
                update()
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise

    return Port


class LinuxSerial(SerialPort):
    """``path``: /dev/ttyS0, /dev/ttyACM0, a pseudo-terminal, or a by-id link.

    A port that went away (its plug was pulled, or as a gadget the PC hung up)
    is an error of whoever waits for it, or else of the next call; the call
    after that opens it anew.
    """

    def __init__(self, path: str, baud: int, flow: bool = False) -> None:
        """``flow``: RTS/CTS. BusError when the port cannot be opened."""
        import termios
        import threading

        import serial

        self.baud = baud
        self._path = path
        self._flow = flow
        self._parity, self._stop = "N", 1
        self._got = bytearray()
        self._takes, self._taking = 0, False
        # pyserial raises TypeError when the port is closed under a waiting read, and lets
        # what the terminal calls raise through.
        self._errors: "tuple[type[Exception], ...]" = (
            serial.SerialException, OSError, TypeError, ValueError, termios.error
        )  # fmt: skip
        self._opening = threading.Lock()
        self._port: "Any" = None
        self._class = _port_class()
        self._closed = False
        try:
            self._live()
        except self._errors as error:
            raise self._named(error) from None
        # pyserial's POSIX port may be read and written from two threads at once.
        self._reader = aio.Worker("serial-in")
        self._writer = aio.Worker("serial-out")

    def _named(self, error: Exception) -> BusError:
        return BusError("serial port " + self._path + ": " + str(error))

    async def _call(self, worker: aio.Worker, function: "Any", *args: "Any") -> "Any":
        if self._closed:
            raise BusError("serial port " + self._path + " is closed")
        try:
            return await worker.call(function, *args)
        except self._errors as error:
            raise self._named(error) from None

    # In the threads.

    def _live(self) -> "Any":
        """The open port; opened if it was lost."""
        with self._opening:
            if self._closed:
                raise OSError("closed meanwhile")
            if self._port is None:
                self._port = self._class(
                    self._path,
                    self.baud,
                    parity=self._parity,
                    stopbits=self._stop,
                    timeout=READ_S,
                    rtscts=self._flow,
                    exclusive=True,
                )
            return self._port

    def set_mode(self, baud: int, parity: str, stop: int) -> None:
        """See ``SerialPort.set_mode``. BusError."""
        self.baud, self._parity, self._stop = baud, parity[:1].upper(), stop
        port = self._port
        if port is None:  # lost: whoever opens it anew opens it so
            return
        try:
            port.baudrate, port.parity, port.stopbits = baud, self._parity, stop
        except self._errors as error:
            raise self._named(error) from None

    def _lose(self, port: "Any") -> None:
        """Let a broken port go at once, so that the kernel can give its name again."""
        with self._opening:
            if self._port is port:
                self._port = None
        port.close()

    def _write(self, data: bytes) -> int:
        """Not by pyserial, which does not say what was taken before its time was over."""
        port = self._live()
        try:
            _, room, _ = select.select([], [port.fileno()], [], ROOM_S)
            return os.write(port.fileno(), data) if room else 0
        except BlockingIOError:
            return 0
        except self._errors:
            self._lose(port)
            raise

    def _read(self, most: int) -> "Any":
        """Into our own buffer, so that a cancelled read loses nothing; the port read from."""
        port = self._live()
        takes = self._takes
        try:
            part = port.read(1)
            if part:
                part += port.read(min(port.in_waiting, most))
        except self._errors:
            if self._taking or takes != self._takes:  # take_input was quicker; a port that is
                return port  # lost says so again
            self._lose(port)
            raise
        self._got += part
        return port

    def _release(self) -> None:
        with self._opening:
            port = self._port
        if port is not None:
            port.close()

    async def write(self, data: bytes) -> int:
        """Send; returns how many bytes were accepted. BusError."""
        taken: int = await self._call(self._writer, self._write, data[:4096])
        return taken

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when none came in time. BusError.

        Cancelling it loses nothing.
        """
        began = aio.ticks_ms()
        first = self._port
        while not self._got:
            if timeout_ms is not None and aio.elapsed_ms(began) >= timeout_ms:
                return b""
            port = await self._call(self._reader, self._read, 4096)
            first = first or port
            if port is not first:  # a write noticed it, and a later one opened it anew
                raise BusError("serial port " + self._path + " went away meanwhile")
        data = bytes(self._got[:most])
        del self._got[: len(data)]  # the thread may have brought more meanwhile
        return data

    def drop_input(self) -> None:
        """Forget what was received and not read. BusError."""
        self._got.clear()
        port = self._port
        if port is None:  # lost: what it held went with it
            return
        try:
            port.reset_input_buffer()
        except self._errors as error:
            raise self._named(error) from None

    def take_input(self, most: int) -> bytes:
        """See ``SerialPort.take_input``."""
        port = self._port
        if not self._got and port is not None:
            try:
                # The thread may wait for the same bytes, and find none where some were: it sees
                # that this is at work, or was since it began to wait.
                self._taking = True
                self._got += os.read(port.fileno(), 4096)
            except BlockingIOError:
                pass
            except self._errors as error:
                raise self._named(error) from None
            finally:
                self._takes += 1
                self._taking = False
        data = bytes(self._got[:most])
        del self._got[: len(data)]
        return data

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        if self._closed:
            return
        self._closed = True
        await self._writer.call(int)  # nothing, behind a write that still waits
        try:
            await self._reader.call(self._release)
        except self._errors:  # gone already
            pass
        self._reader.close()
        self._writer.close()
