"""Chip: the bus side of display controllers: the same controller on I2C or on SPI."""

from typing import Protocol

from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.pins import PinBank

#: Control bytes of the I2C interface (SSD1306 rev. 1.1, 8.1.5.2): bit 7 says that one
#: byte and another control byte follow, bit 6 that what follows is display memory.
CONTINUES, MEMORY = 0x80, 0x40


class Controller(Protocol):
    """A display chip: operation 1 takes commands, operation 2 display memory."""

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """ChipError when it does not answer."""


class I2cPanel:
    """A controller at an address of an I2C bus; it is written to only."""

    def __init__(self, controller: Controller, address: int = 0x3C) -> None:
        self.address = address
        self._controller = controller

    def exchange(self, write: bytes, read: int) -> bytes:
        """One transaction; ChipError for no acknowledge."""
        if not write:
            self._controller.transfer(1, b"")  # addressed alone, as a scan does
        at = 0
        while at < len(write):
            control = write[at]
            if control & ~(CONTINUES | MEMORY):
                raise ChipError(f"panel: no control byte {control:#04x}")
            end = at + 2 if control & CONTINUES else len(write)
            self._controller.transfer(2 if control & MEMORY else 1, write[at + 1 : end])
            at = end
        return bytes(read)  # the status register, of which nobody here knows more


class SpiPanel:
    """A controller on 4-wire SPI. Wire kind "spi"; its D/C line, and the chip select where
    a pin drives it, are pins of the bank."""

    def __init__(
        self, controller: Controller, pins: PinBank, dc_pin: int, select_pin: int | None = None
    ) -> None:
        self._controller = controller
        self._pins = pins
        self._dc = dc_pin
        self._select = select_pin

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire; an open data line reads as ones."""
        if op != 1:
            raise ChipError(f"spi: no operation {op}")
        answer = b"\xff" * len(payload)
        if self._select is not None and self._pins.level(self._select):
            return answer, 0  # somebody else's
        try:
            busy = self._controller.transfer(1 + self._pins.level(self._dc), payload)[1]
        except ChipError:
            busy = 0  # it does not listen, which nobody on this bus notices
        return answer, busy
