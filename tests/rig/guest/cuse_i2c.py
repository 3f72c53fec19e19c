"""/dev/i2c-N with virtual chips on it, as linux/i2c-dev.h describes the file."""

from __future__ import annotations

import errno
import struct

from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.i2c import I2cBus, I2cChip
from host_tools.emulator.chips.ssd1306 import OledChip
from tests.rig.guest.cuse import Answer, Device, Want

SLAVE, FUNCS, SLAVE_FORCE, RDWR, SMBUS = 0x0703, 0x0705, 0x0706, 0x0707, 0x0720
#: I2C_FUNC_I2C and what the kernel emulates over it (I2C_FUNC_SMBUS_EMUL).
CAN = 0x00000001 | 0x0EFF0008
M_RD = 0x0001
BYTE_DATA, WORD_DATA, BLOCK = 2, 3, 8
#: linux/i2c.h: union i2c_smbus_data.
UNION = 34


class OledOnI2c:
    """A panel behind its control byte: 00 commands, 40 memory (SSD1306 8.1.5.2)."""

    def __init__(self, panel: OledChip, address: int = 0x3C) -> None:
        self.panel = panel
        self.address = address

    def exchange(self, write: bytes, read: int) -> bytes:
        """One transaction; ChipError for no acknowledge."""
        if read or write[:1] not in (b"\x00", b"\x40"):
            raise ChipError("panel: a control byte comes first, nothing is read")
        self.panel.transfer(1 if write[0] == 0x00 else 2, write[1:])
        return b""


class I2cDevice(Device):
    """``chips`` answer at their addresses; nobody does at the others."""

    def __init__(self, number: int, chips: list[I2cChip]) -> None:
        self._bus = I2cBus(chips)
        self._addresses: dict[int, int] = {}
        #: Transactions so far.
        self.transactions = 0
        super().__init__(f"i2c-{number}")

    def _exchange(self, address: int, write: bytes, read: int) -> bytes:
        self.transactions += 1
        try:
            return self._bus.transfer(2, bytes((address,)) + read.to_bytes(2, "big") + write)[0]
        except ChipError as error:
            raise OSError(errno.EREMOTEIO, str(error)) from error

    def ioctl(
        self, handle: int, command: int, argument: int, data: bytes, room: int
    ) -> Answer | Want:
        """The ioctls of i2c-dev; OSError as the kernel's own driver raises it."""
        if command in (SLAVE, SLAVE_FORCE):
            self._addresses[handle] = argument
            return Answer()
        if command == FUNCS:
            return Answer(struct.pack("<Q", CAN)) if room else Want([], [(argument, 8)])
        if command == RDWR:
            return self._messages(argument, data, room)
        if command == SMBUS:
            return self._smbus(self._addresses[handle], argument, data, room)
        raise OSError(errno.ENOTTY, "no such ioctl")

    def _messages(self, argument: int, data: bytes, room: int) -> Answer | Want:
        """The kernel is asked for the head, then for the messages, then for their bytes."""
        wanted = [(argument, 16)]
        if not data:
            return Want(wanted, [])
        table, count = struct.unpack_from("<QI", data)
        if not 1 <= count <= 42:
            raise OSError(errno.EINVAL, "1 to 42 messages")
        wanted.append((table, 16 * count))
        start = 16 + 16 * count
        if len(data) < start:
            return Want(wanted, [])
        messages = [struct.unpack_from("<HHH2xQ", data, 16 + 16 * at) for at in range(count)]
        inputs = [(at, size) for _, flags, size, at in messages if not flags & M_RD]
        outputs = [(at, size) for _, flags, size, at in messages if flags & M_RD]
        if len(data) == start and room == 0:
            return Want(wanted + inputs, outputs)
        return Answer(self._perform(messages, data[start:]), len(messages))

    def _perform(self, messages: list[tuple[int, ...]], sent: bytes) -> bytes:
        """A write and the read after it are one transaction with a repeated start."""
        out = written = b""
        waiting: int | None = None
        for address, flags, size, _ in messages:
            if waiting is not None and (waiting != address or not flags & M_RD):
                self._exchange(waiting, written, 0)
                waiting, written = None, b""
            if flags & M_RD:
                out += self._exchange(address, written, size)
                waiting, written = None, b""
            else:
                waiting, written, sent = address, sent[:size], sent[size:]
        if waiting is not None:
            self._exchange(waiting, written, 0)
        return out

    def _smbus(self, address: int, argument: int, data: bytes, room: int) -> Answer | Want:
        """The transfers that the kernel makes out of plain ones (i2c_smbus_xfer_emulated)."""
        head = (argument, 16)
        if not data:
            return Want([head], [])
        reading, register, size, at = struct.unpack_from("<BB2xIQ", data)
        if len(data) == 16:
            return Want([head, (at, UNION)], [(at, UNION)] if reading else [])
        union = data[16:]
        count = union[0] if size == BLOCK else {BYTE_DATA: 1, WORD_DATA: 2}.get(size, 0)
        if not 1 <= count <= 32:
            raise OSError(errno.EOPNOTSUPP, "not served")
        first = 1 if size == BLOCK else 0
        if not reading:
            self._exchange(address, bytes((register,)) + union[first : first + count], 0)
            return Answer()
        answer = self._exchange(address, bytes((register,)), count)
        return Answer((union[:first] + answer).ljust(UNION, b"\0"))
