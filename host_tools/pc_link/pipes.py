"""The PC's byte pipes to a terminal: a serial port (also USB and pseudo-terminals) and TCP.

Each keeps ``hal.pc_pipe``'s contract, and opens itself anew after the cable was pulled. The
serial port is read and written by threads of its own, so that it is the same on Linux, macOS
and Windows.
"""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable
from typing import Any

from firmware import aio
from firmware.hal.pc_pipe import PcPipe, PipeClosed, PipeError

#: A USB port takes any; a UART's has to be the terminal's.
BAUD = 115200
#: Bytes that wait to be read before the port is left alone.
_MOST_WAITING = 1 << 18
_LOOK_S, _WRITE_S, _CONNECT_S = 0.2, 5.0, 5.0


class PortAbsent(PipeError):
    """There is no such port, or nobody listens there."""


class PortForbidden(PipeError):
    """The port may not be opened by this user."""


class PortHeld(PipeError):
    """Another program has the port."""


class Line(PcPipe):
    """A pipe that this end opens. ``place``: where it was opened last. ``reliable``: loses no
    bytes (docs/link.md, Loss)."""

    reliable = False
    place = ""

    async def reopen(self) -> None:
        """Open, or open anew. PipeError, one of the above where the cause is known."""
        raise NotImplementedError


class _Inbox:
    """What the thread of one opened port hands over. ``stop``: it is to end."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.broken = ""
        self.news = asyncio.Event()
        self.room = threading.Event()
        self.stop = False

    def add(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= _MOST_WAITING:
            self.room.clear()
        self.news.set()

    def take(self, most: int) -> bytes:
        got = bytes(self.data[:most])
        del self.data[:most]
        if len(self.data) < _MOST_WAITING:
            self.room.set()
        return got

    def end(self, why: str) -> None:
        self.broken = why
        self.news.set()


class SerialPipe(Line):
    """``find`` gives the port's path each time that it is opened (PipeError when it is not
    there), for a terminal that is plugged in again may get another name."""

    def __init__(self, find: Callable[[], str], baud: int = BAUD) -> None:
        self._find = find
        self._baud = baud
        self._port: Any = None
        self._inbox: _Inbox | None = None
        self._thread: threading.Thread | None = None
        self._worker = aio.Worker("till serial port")
        self._sending = asyncio.Lock()

    async def reopen(self) -> None:
        self._hurry()
        await self._worker.call(self._shut)
        self._port, self.place = await self._worker.call(self._opened)
        inbox = self._inbox = _Inbox()
        inbox.room.set()
        self._thread = threading.Thread(
            target=_pull,
            args=(self._port, inbox, asyncio.get_running_loop()),
            name="till serial read",
            daemon=True,
        )
        self._thread.start()

    async def read(self, most: int) -> bytes:
        inbox = self._inbox
        if inbox is None:
            raise PipeClosed("the port is not open")
        while not inbox.data:
            if inbox.broken:
                raise PipeClosed(inbox.broken)
            inbox.news.clear()
            await inbox.news.wait()
        return inbox.take(most)

    async def write(self, data: bytes) -> None:
        import serial

        async with self._sending:
            if self._port is None:
                raise PipeClosed("the port is not open")
            try:
                await self._worker.call(self._port.write, data)
            except (serial.SerialException, OSError) as error:
                raise PipeClosed(str(error)) from None

    async def close(self) -> None:
        self._hurry()
        if self._port is not None:
            with contextlib.suppress(RuntimeError):  # closed before
                await self._worker.call(self._shut)
        self._worker.abandon()

    def _hurry(self) -> None:
        """A write that nobody takes does not hold up what comes after it."""
        if self._port is not None:
            with contextlib.suppress(OSError, AttributeError):
                self._port.cancel_write()

    # In the worker's thread.

    def _opened(self) -> tuple[Any, str]:
        import serial

        path = self._find()
        try:
            port = serial.Serial(
                path,
                self._baud,
                timeout=_LOOK_S,
                write_timeout=_WRITE_S,
                exclusive=True if os.name == "posix" else None,
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise _problem(path, error) from None
        return port, path

    def _shut(self) -> None:
        if self._inbox is not None:
            self._inbox.stop = True
            self._inbox.room.set()
            self._inbox.end("the port was closed here")
            self._inbox = None
        port, self._port = self._port, None
        if port is None:
            return
        with contextlib.suppress(OSError, AttributeError):
            port.cancel_read()
        if self._thread is not None:
            self._thread.join(10 * _LOOK_S)
        with contextlib.suppress(OSError):
            port.close()


def _pull(port: Any, inbox: _Inbox, loop: asyncio.AbstractEventLoop) -> None:
    """Hand over what arrives, until the port breaks or is to be closed."""
    import serial

    why = ""
    try:
        while not inbox.stop:
            inbox.room.wait()
            data = port.read(max(1, min(port.in_waiting, 4096)))
            if data and not inbox.stop:
                loop.call_soon_threadsafe(inbox.add, data)
    except (serial.SerialException, OSError, TypeError) as error:
        why = str(error) or "the port broke"  # TypeError: pyserial's, of a port closed meanwhile
    except RuntimeError:
        return  # the loop is closed
    if why and not inbox.stop:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(inbox.end, why)


def _problem(path: str, error: Exception) -> PipeError:
    """Why a port does not open, by the system's number or, on Windows, pyserial's words."""
    number = getattr(error, "errno", None)
    said = f"{path}: {error}"
    if number in (errno.EBUSY, errno.EAGAIN) or (os.name == "nt" and "PermissionError" in said):
        return PortHeld(said)
    if number in (errno.EACCES, errno.EPERM):
        return PortForbidden(said)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or "FileNotFoundError" in said:
        return PortAbsent(said)
    return PipeError(said)


class TcpPipe(Line):
    """A terminal on the network, or an emulated one."""

    reliable = True

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._number = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.place = f"tcp://{f'[{host}]' if ':' in host else host}:{port}"

    async def reopen(self) -> None:
        await self.close()
        try:
            async with asyncio.timeout(_CONNECT_S):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._number)
        except TimeoutError:
            raise PortAbsent(f"{self.place}: no answer") from None
        except OSError as error:
            raise PortAbsent(f"{self.place}: {error.strerror or error}") from None

    async def read(self, most: int) -> bytes:
        if self._reader is None:
            raise PipeClosed("the connection is not open")
        try:
            data = await self._reader.read(most)
        except OSError as error:
            raise PipeClosed(str(error)) from None
        if not data:
            raise PipeClosed("the terminal closed the connection")
        return data

    async def write(self, data: bytes) -> None:
        if self._writer is None:
            raise PipeClosed("the connection is not open")
        try:
            self._writer.write(data)
            async with asyncio.timeout(_WRITE_S):
                await self._writer.drain()
        except TimeoutError:
            raise PipeClosed("the terminal takes nothing") from None
        except (OSError, RuntimeError) as error:
            raise PipeClosed(str(error)) from None

    async def close(self) -> None:
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()
