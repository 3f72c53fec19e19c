"""Chip: random number generator. Genuine from the operating system, or seeded for tests."""

import os
import random

from host_tools.emulator.chips.errors import ChipError


class Trng:
    """Wire kind "trng": op 1, count; answers the genuine flag, then the bytes."""

    def __init__(self, seed: int | None = None) -> None:
        self.genuine = seed is None
        self._random = random.Random(seed)
        #: Stuck at one value, to see the start-up test fail.
        self.stuck: int | None = None
        self.mute = False

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        if self.mute:
            raise ChipError("trng: no answer")
        if op != 1 or len(payload) != 1:
            raise ChipError(f"trng: operation {op} with {len(payload)} bytes")
        count = payload[0] or 256
        if self.stuck is not None:
            data = bytes((self.stuck & 0xFF,)) * count
        elif self.genuine:
            data = os.urandom(count)
        else:
            data = self._random.randbytes(count)
        return bytes((self.genuine,)) + data, count * 4
