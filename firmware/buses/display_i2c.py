"""Bus: a display controller on an I2C bus that it may share with other chips.

Each transfer begins with a control byte: 00 before commands, 40 before display
memory (SSD1306 rev. 1.1, 8.1.5.2; SH1106 V2.3, "I2C-bus write data").
"""

from firmware.buses.display_bus import DisplayBus
from firmware.buses.wire import BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.buses.i2c import I2c

_COMMANDS, _MEMORY = b"\x00", b"\x40"
#: Most display bytes in one transfer: 3 ms at 400 kHz.
PART = 128


class I2cDisplay(DisplayBus):
    """``address``: 7 bits, 3Ch or 3Dh on the usual modules."""

    def __init__(self, i2c: "I2c", address: int = 0x3C) -> None:
        self._i2c = i2c
        self._address = address

    def command(self, *commands: int) -> None:
        """Send command bytes. BusError."""
        self._send(_COMMANDS, bytes(commands))

    def data(self, data: "bytes | bytearray | list[int]") -> None:
        """Send display memory bytes. BusError."""
        data = bytes(data)
        for at in range(0, len(data), PART):
            self._send(_MEMORY, data[at : at + PART])

    def _send(self, kind: bytes, data: bytes) -> None:
        try:
            self._i2c.transfer(self._address, kind + data, 0)
        except BusError as error:
            raise BusError("display: " + str(error)) from None
