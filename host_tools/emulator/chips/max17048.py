"""Chip: fuel gauge MAX17048 (Maxim 19-6171 rev. 7) at I2C address 36h."""

from host_tools.emulator.chips.errors import ChipError


class Max17048:
    """Sixteen-bit registers; the battery is what the rack's switches say."""

    address = 0x36

    def __init__(self, percent: float = 84.0, millivolts: int = 3980) -> None:
        self.percent = percent
        self.millivolts = millivolts
        #: External power, read by the terminal from a pin of its own.
        self.mute = False
        self._registers = {0x0C: 0x971C, 0x0A: 0xFFFF, 0x14: 0x00FF, 0x18: 0x9600, 0x1A: 0x0100}

    def exchange(self, write: bytes, read: int) -> bytes:
        """One I2C transaction: register pointer, then data to write or to read."""
        if self.mute:
            raise ChipError("max17048: no acknowledge")
        if not write:
            raise ChipError("max17048: a read without a register")
        at = write[0] & 0xFE
        for i in range(1, len(write) - 1, 2):
            self._store(at, write[i] << 8 | write[i + 1])
            at = at + 2 & 0xFE
        answer = b""
        at = write[0] & 0xFE
        while len(answer) < read:
            answer += self._load(at).to_bytes(2, "big")
            at = at + 2 & 0xFE
        return answer[:read]

    def _load(self, register: int) -> int:
        if register == 0x02:  # VCELL, 78.125 uV a step
            return min(int(self.millivolts * 1000 / 78.125), 0xFFFF)
        if register == 0x04:  # SOC, 1/256 percent a step
            return min(max(int(self.percent * 256), 0), 0xFFFF)
        if register == 0x08:  # VERSION
            return 0x0012
        return self._registers.get(register, 0)

    def _store(self, register: int, value: int) -> None:
        if register in (0x0C, 0x0A, 0x14, 0x18, 0x1A):
            self._registers[register] = value
