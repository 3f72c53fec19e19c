"""Bus: a byte pipe over TCP, as a serial port: printers on port 9100.

A connection lasts one job (``begin`` to ``end``): such a printer serves one
connection at a time, and drops idle ones. A connection that breaks within a
job is never replaced in it: what the printer has done is unknown.
"""

from firmware import aio
from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError
from firmware.errors import Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.raw_net import RawConnection, RawNet

#: Milliseconds until a printer that does not answer counts as not there.
CONNECT_MS = 8000
#: Bytes handed over at a time, and how long a write waits for the printer to take them.
PART = 1024
TAKE_MS = 50
#: The last part may stand so long before the printer takes it: it may be cooling its head.
SENT_MS = 25000


class NetPort(SerialPort):
    """``host``: name or address of the printer."""

    #: What a 10 Mbit/s network carries at least; the printer is the slower end.
    baud = 921600

    def __init__(self, net: "RawNet", host: str, port: int = 9100) -> None:
        self._net = net
        self._host = host
        self._port = port
        self._connection: "RawConnection | None" = None
        self._sending: "aio.Task | None" = None
        self._got = b""

    async def begin(self) -> None:
        """Connect. BusError: refused, unknown, no route, no answer in time."""
        await self.end()
        try:
            self._connection = await aio.deadline(
                CONNECT_MS, self._net.connect(self._host, self._port), "connecting"
            )
        except Timeout as error:
            raise BusError(self._where() + str(error)) from None

    async def end(self) -> None:
        """Close the connection once what was handed over has been taken."""
        if self._connection is None:
            return
        if self._sending is not None and not self._sending.done.is_set():
            await aio.first(("sent", self._sending.done.wait()), timeout_ms=CONNECT_MS)
            self._sending.cancel()
            await self._sending.done.wait()
        self._sending = None
        self._connection.close()
        self._connection = None
        self._got = b""

    def _where(self) -> str:
        return "printer " + self._host + " port " + str(self._port) + ": "

    def _open(self) -> "RawConnection":
        if self._connection is None:
            raise BusError(self._where() + "not connected")
        return self._connection

    async def write(self, data: bytes) -> int:
        """Hand over bytes; 0 while the printer takes none. BusError."""
        connection = self._open()
        if not await self._taken(TAKE_MS):
            return 0
        part = data[:PART]
        self._sending = aio.spawn("printer", connection.write(part))
        return len(part)

    async def sent(self) -> None:
        """Wait until the network has all of it. BusError when it takes too long."""
        self._open()
        if not await self._taken(SENT_MS):
            raise BusError(self._where() + "the printer takes nothing")

    async def _taken(self, timeout_ms: int) -> bool:
        """Whether the part before has been taken; waits for it. BusError."""
        if self._sending is None:
            return True
        if not self._sending.done.is_set():
            await aio.first(("sent", self._sending.done.wait()), timeout_ms=timeout_ms)
            if not self._sending.done.is_set():
                return False
        error, self._sending = self._sending.error, None
        if error is not None:
            raise BusError(self._where() + str(error))
        return True

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        """Wait for 1 to ``most`` bytes; b"" when none came in time. BusError."""
        connection = self._open()
        if not self._got:
            if timeout_ms is None:
                await self._receive(connection)
            else:
                await aio.first(("data", self._receive(connection)), timeout_ms=timeout_ms)
        data, self._got = self._got[:most], self._got[most:]
        return data

    async def _receive(self, connection: "RawConnection") -> None:
        # Nothing is awaited after the read: a cancelled one loses nothing.
        self._got = await connection.read(PART)
        if not self._got:
            raise BusError(self._where() + "the printer closed the connection")

    def drop_input(self) -> None:
        """Forget what was received and not read."""
        self._got = b""

    async def close(self) -> None:
        """Close at once."""
        if self._sending is not None:
            self._sending.cancel()
        if self._connection is not None:
            self._connection.close()
        self._connection = None
