"""Random number chip on the wire's bus "trng" (firmware/buses/wire.py)."""

from firmware.buses.wire import BusError
from firmware.drivers import entropy_test
from firmware.hal.entropy import Entropy, EntropyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.wire import Wire

_READ = 1
#: Bytes in one transfer: the chip's count is one byte.
_CHUNK = 128


class WireTrng(Entropy):
    """Genuine only while every answer of the chip has said so."""

    def __init__(self, wire: "Wire", bus: str = "trng") -> None:
        self._wire = wire
        self._bus = bus
        self._doubted = False
        self.genuine = False  # until the chip has spoken

    def random(self, count: int) -> bytes:
        if not 1 <= count <= 256:
            raise ValueError("1 to 256 random bytes, not " + str(count))
        out = b""
        while len(out) < count:
            out += self._read(min(_CHUNK, count - len(out)))
        return out

    def _read(self, count: int) -> bytes:
        try:
            answer, _ = self._wire.transfer(self._bus, _READ, bytes([count]))
        except BusError as error:
            raise EntropyError("random chip: " + str(error)) from None
        if len(answer) != count + 1 or answer[0] > 1:
            raise EntropyError("random chip: malformed answer")
        if answer[0] != 1:
            self._doubted = True
        self.genuine = not self._doubted
        return answer[1:]

    async def self_test(self) -> None:
        entropy_test.check(b"".join([self.random(256) for _ in range(4)]))
