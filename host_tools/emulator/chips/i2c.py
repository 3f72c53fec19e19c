"""Chip: an I2C bus with chips on it."""

from typing import Protocol

from host_tools.emulator.chips.errors import ChipError


class I2cChip(Protocol):
    """Something with an address."""

    address: int

    def exchange(self, write: bytes, read: int) -> bytes:
        """One transaction; ChipError for no acknowledge."""


class I2cBus:
    """Wire kind "i2c": op 1, address, count to read, bytes to write; with op 2 the
    count has two bytes."""

    def __init__(self, chips: list[I2cChip], bus_hz: int = 400_000) -> None:
        self._chips = {chip.address: chip for chip in chips}
        self._bus_hz = bus_hz

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if op not in (1, 2) or len(payload) < 1 + op:
            raise ChipError(f"i2c: operation {op} with {len(payload)} bytes")
        chip = self._chips.get(payload[0])
        if chip is None:
            raise ChipError(f"i2c: no acknowledge at address {payload[0]:#04x}")
        read = int.from_bytes(payload[1 : 1 + op], "big")
        answer = chip.exchange(payload[1 + op :], read)
        clocks = (len(payload) + len(answer)) * 9
        return answer, clocks * 1_000_000 // self._bus_hz
