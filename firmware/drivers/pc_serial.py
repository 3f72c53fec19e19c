"""PC pipe: a serial port (UART, USB CDC-ACM, or a pseudo-terminal on Linux)."""

from firmware import aio
from firmware.buses.wire import BusError
from firmware.hal.pc_pipe import PcPipe, PipeClosed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.serial_port import SerialPort

#: A port that takes nothing is asked again after so many milliseconds.
RETRY_MS = 5


class PcSerial(PcPipe):
    """Bytes as they come; the link above frames, repeats and encrypts."""

    def __init__(self, port: "SerialPort") -> None:
        self._port = port
        self._closed = False
        self._sending = aio.Lock()

    async def read(self, most: int) -> bytes:
        """Wait for 1 to ``most`` bytes. PipeClosed; a later read may find the PC back."""
        if self._closed:
            raise PipeClosed("the pipe was closed here")
        try:
            return await self._port.read(most)
        except BusError as error:
            raise PipeClosed(str(error)) from None

    async def write(self, data: bytes) -> None:
        """Send all of ``data``, however slowly the PC takes it. PipeClosed."""
        async with self._sending:
            at = 0
            while at < len(data):
                if self._closed:
                    raise PipeClosed("the pipe was closed here")
                try:
                    taken = await self._port.write(data[at:])
                except BusError as error:
                    raise PipeClosed(str(error)) from None
                at += taken
                if not taken:
                    await aio.sleep_ms(RETRY_MS)

    async def close(self) -> None:
        """Close. Never raises, may be called twice."""
        self._closed = True
        await self._port.close()
