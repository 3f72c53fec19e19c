"""/dev/spidevP.D with a virtual chip behind it, as linux/spi/spidev.h describes the file."""

from __future__ import annotations

import errno
import struct
from typing import Protocol

from host_tools.emulator.chips.display_parts import DisplayChip
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.pn532 import Pn532Spi
from tests.rig.guest.cuse import Answer, Device, Unplugged, Want
from tests.rig.guest.gpio_sim import Header

#: struct spi_ioc_transfer: where to read and write, length, clock, pause, word, deselect after.
_TRANSFER = struct.Struct("<QQIIHBB4x")
#: Settings by their number: size in bytes. Bit 31 of a command reads one, bit 30 writes one.
MODE, LSB_FIRST, BITS, CLOCK, MODE32 = 1, 2, 3, 4, 5
_SIZES = {MODE: 1, LSB_FIRST: 1, BITS: 1, CLOCK: 4, MODE32: 4}
#: What one call carries at most (spidev's parameter bufsiz).
BUFFER = 4096


class SpiChip(Protocol):
    """What is selected."""

    def select(self, data: bytes) -> bytes:
        """One select: as many bytes as went in come out."""


class PanelOnSpi:
    """A display controller with its D/C and reset lines on the header."""

    def __init__(self, panel: DisplayChip, header: Header, dc_pin: int, reset_pin: int) -> None:
        self.panel = panel
        self._header = header
        self._dc, self._reset = dc_pin, reset_pin

    def select(self, data: bytes) -> bytes:
        """Held in reset it hears nothing; it never says anything."""
        if self._header.level(self._reset):
            try:
                self.panel.transfer(1 + self._header.level(self._dc), data)
            except ChipError:
                pass  # nobody on this bus notices
        return b"\xff" * len(data)


class Pn532OnSpi:
    """A PN532 with its select line."""

    def __init__(self, chip: Pn532Spi) -> None:
        self._chip = chip

    def select(self, data: bytes) -> bytes:
        """What it says meanwhile."""
        return self._chip.transfer(1, data)[0]


class SpiDevice(Device):
    """``chip`` hears what is sent in mode 0; in another one it hears nothing."""

    def __init__(self, port: int, device: int, chip: SpiChip) -> None:
        self.chip = chip
        self.settings = {MODE: 0, LSB_FIRST: 0, BITS: 8, CLOCK: 500_000, MODE32: 0}
        #: Selects and bytes so far.
        self.selects = 0
        self.bytes = 0
        #: The device is pulled when it has carried so many bytes.
        self.pull_after: int | None = None
        #: The controller's clock stands still: the kernel gives a transfer up.
        self.stalled = False
        super().__init__(f"spidev{port}.{device}")

    def ioctl(
        self, handle: int, command: int, argument: int, data: bytes, room: int
    ) -> Answer | Want:
        """The ioctls of spidev; OSError as the kernel's own driver raises it."""
        number, size, direction = command & 0xFF, command >> 16 & 0x3FFF, command >> 30
        if command >> 8 & 0xFF != ord("k"):
            raise OSError(errno.ENOTTY, "no such ioctl")
        if number == 0 and direction == 1:
            if size == 0 or size % _TRANSFER.size:
                raise OSError(errno.EINVAL, "no whole transfer")
            return self._message(argument, size, data, room)
        if _SIZES.get(number) != size or direction not in (1, 2):
            raise OSError(errno.ENOTTY, "no such ioctl")
        if direction == 2:
            value = self.settings[number].to_bytes(size, "little")
            return Answer(value) if room else Want([], [(argument, size)])
        if not data:
            return Want([(argument, size)], [])
        self._set(number, int.from_bytes(data, "little"))
        return Answer()

    def _set(self, number: int, value: int) -> None:
        if number == BITS and value not in (0, 8):
            raise OSError(errno.EINVAL, "the controller knows words of 8 bits")
        self.settings[number] = value
        if number in (MODE, MODE32):
            self.settings[MODE] = self.settings[MODE32] = value

    def write(self, handle: int, data: bytes) -> int:
        """One select, what comes in is dropped."""
        if len(data) > BUFFER:
            raise OSError(errno.EMSGSIZE, "longer than the buffer")
        self._select(data)
        return len(data)

    def read(self, handle: int, most: int) -> bytes:
        """One select, zeros go out."""
        if most > BUFFER:
            raise OSError(errno.EMSGSIZE, "longer than the buffer")
        return self._select(bytes(most))

    def _message(self, argument: int, size: int, data: bytes, room: int) -> Answer | Want:
        """The kernel is asked for the transfers, then for the bytes that they send."""
        head = (argument, size)
        if not data:
            return Want([head], [])
        transfers = list(_TRANSFER.iter_unpack(data[:size]))
        total = sum(length for _, _, length, *_ in transfers)
        if total > BUFFER:
            raise OSError(errno.EMSGSIZE, "longer than the buffer")
        inputs = [(sent, length) for sent, _, length, *_ in transfers if sent and length]
        outputs = [(got, length) for _, got, length, *_ in transfers if got and length]
        if len(data) == size and not room and (inputs or outputs):
            return Want([head, *inputs], outputs)
        rest = data[size:]
        out = selected = b""
        wanted: list[tuple[bool, int]] = []
        for at, (sent, got, length, _, _, _, deselect) in enumerate(transfers):
            selected += rest[:length] if sent else bytes(length)
            rest = rest[length:] if sent else rest
            wanted.append((got != 0, length))
            if deselect or at == len(transfers) - 1:
                came = self._select(selected)
                for kept, count in wanted:
                    out += came[:count] if kept else b""
                    came = came[count:]
                selected, wanted = b"", []
        return Answer(out, total)

    def _select(self, data: bytes) -> bytes:
        if self.stalled:
            raise OSError(errno.ETIMEDOUT, "SPI transfer timed out")
        self.selects += 1
        left = len(data) if self.pull_after is None else self.pull_after - self.bytes
        self.bytes += len(data)
        if left < len(data):
            self.chip.select(data[: max(left, 0)])
            raise Unplugged
        if self.settings[MODE] & 3:
            return b"\xff" * len(data)
        return self.chip.select(data)
