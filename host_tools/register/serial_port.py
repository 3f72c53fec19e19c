"""A Concert register on a serial port."""

import asyncio
import contextlib
import threading

import serial

from host_tools.errors import UserError
from host_tools.register import concert
from host_tools.register.concert import Concert, ConcertRequest, ConcertRules
from host_tools.register.gate import Gate
from host_tools.texts import said

#: Frames of characters, by the names that registers' menus have for them.
FRAMES = {
    "8N1": (serial.EIGHTBITS, serial.PARITY_NONE),
    "7E1": (serial.SEVENBITS, serial.PARITY_EVEN),
}
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
#: How long the reading thread waits for a byte before it looks whether it should end.
_READ_S = 0.2


class ConcertPort:
    """Serves a register while it is open."""

    def __init__(
        self,
        gate: Gate,
        path: str,
        baud: int = 9600,
        frame: str = "8N1",
        rules: ConcertRules | None = None,
    ) -> None:
        if frame not in FRAMES or baud not in BAUDS:
            raise UserError(
                said(
                    "[concert] frame is one of {frames}, baud one of {bauds}",
                    frames=", ".join(FRAMES),
                    bauds=", ".join(map(str, BAUDS)),
                )
            )
        self._gate = gate
        self._path = path
        self._baud = baud
        self._frame = frame
        self._rules = rules or ConcertRules()
        self._machine = Concert()
        self._port: serial.Serial | None = None
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ending = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the port. UserError."""
        bits, parity = FRAMES[self._frame]
        try:
            self._port = serial.Serial(
                self._path, self._baud, bits, parity, timeout=_READ_S, write_timeout=5
            )
        except (serial.SerialException, ValueError) as error:
            raise UserError(
                said("[concert] {path} cannot be opened: {error}", path=self._path, error=error)
            ) from None

    async def serve(self) -> None:
        """Until ``close``. UserError: the port is gone."""
        assert self._port is not None
        loop = asyncio.get_running_loop()
        reader = threading.Thread(target=self._read, args=(self._port, loop), daemon=True)
        reader.start()
        machine = self._machine
        while True:
            due = machine.due
            wait = None if due is None else max(0, due - _now(loop)) / 1000
            data: bytes | None = b""
            with contextlib.suppress(TimeoutError):
                data = await asyncio.wait_for(self._arrived.get(), wait)
            if data is None:
                break
            machine.feed(data, _now(loop))
            for request in machine.requests:
                self._begin(request)
            machine.requests.clear()
            await self._write()
        if not self._ending.is_set():
            raise UserError(said("[concert] {path} is gone: plug it in again", path=self._path))

    async def close(self) -> None:
        """End; a payment that is under way goes on at the terminal."""
        self._ending.set()
        self._arrived.put_nowait(None)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._port is not None:
            self._port.close()

    def _begin(self, request: ConcertRequest) -> None:
        task = asyncio.create_task(self._pay(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pay(self, request: ConcertRequest) -> None:
        loop = asyncio.get_running_loop()
        at_once = request.at_once and self._rules.at_once
        if at_once:
            self._machine.answer(request.answer(concert.NOT_VERIFIED, request.amount), _now(loop))
            self._arrived.put_nowait(b"")
        answer = await concert.paid(self._gate, request)
        if not at_once:
            self._machine.answer(concert.answered(request, answer, self._rules), _now(loop))
            self._arrived.put_nowait(b"")

    async def _write(self) -> None:
        data = bytes(self._machine.out)
        self._machine.out.clear()
        if data and self._port is not None:
            try:
                await asyncio.to_thread(self._port.write, data)
            except serial.SerialException:
                self._arrived.put_nowait(None)

    def _read(self, port: serial.Serial, loop: asyncio.AbstractEventLoop) -> None:
        """The reading thread: pyserial waits in no loop, and on Windows only so."""
        while not self._ending.is_set():
            try:
                data = port.read(max(1, port.in_waiting))
            except (serial.SerialException, OSError, TypeError):  # TypeError: closed under it
                data = None
            if data != b"":
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(self._arrived.put_nowait, data)
            if data is None:
                return


def _now(loop: asyncio.AbstractEventLoop) -> int:
    return int(loop.time() * 1000)
