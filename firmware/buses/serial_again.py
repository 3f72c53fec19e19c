"""Bus: a serial port that may go and come back, as a USB modem's does at each restart."""

from firmware.buses.serial_port import SerialPort
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class ReopenedSerial(SerialPort):
    """``open_port`` opens the port anew (by a path that names its place on the bus)
    or raises BusError. A port that failed is closed; the next use opens it."""

    def __init__(self, open_port: "Callable[[], SerialPort]", baud: int = 115200) -> None:
        self.baud = baud
        self._open_port = open_port
        self._port: "SerialPort | None" = None
        self._mode: "tuple[int, str, int] | None" = None

    def _now(self) -> SerialPort:
        if self._port is None:
            self._port = self._open_port()
            if self._mode is not None:
                self._port.set_mode(*self._mode)
        return self._port

    def set_mode(self, baud: int, parity: str, stop: int) -> None:
        self._now().set_mode(baud, parity, stop)
        self._mode = (baud, parity, stop)
        self.baud = baud

    async def write(self, data: bytes) -> int:
        port = self._now()
        try:
            return await port.write(data)
        except BusError:
            await self.close()
            raise

    async def read(self, most: int, timeout_ms: "int | None" = None) -> bytes:
        port = self._now()
        try:
            return await port.read(most, timeout_ms)
        except BusError:
            await self.close()
            raise

    def drop_input(self) -> None:
        """Forget what was received and not read. BusError."""
        self._now().drop_input()

    def take_input(self, most: int) -> bytes:
        """See ``SerialPort.take_input``."""
        return self._now().take_input(most)

    async def close(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await port.close()
