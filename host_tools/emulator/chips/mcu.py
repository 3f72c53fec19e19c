"""Chip: what a microcontroller has inside: watchdog and calendar.

Wire kind "mcu": op 1 arms the watchdog (time in ms, 4 bytes), op 2 feeds it, op 3
tells why the chip last started (1 power, 3 watchdog), op 4 reads the calendar
(Unix seconds, 8 bytes), op 5 sets it, op 6 tells the link by which a connection leaves.
"""

from collections.abc import Callable

from host_tools.emulator.chips.errors import ChipError

POWER_ON, WATCHDOG = 1, 3
#: What the calendar begins at without power: 2021-01-01, Unix seconds.
UNSET = 1_609_459_200


class Mcu:
    """``clock_us``: injected time. A reset is counted at the next look at the chip."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        #: Time that the watchdog is given, 0 while it is not armed; it is not disarmed
        #: but by a reset.
        self.watchdog_ms = 0
        #: How many times slower than the chip's clock its program runs here; the
        #: watchdog waits as many times longer.
        self.slower = 1
        #: How often the watchdog was fed.
        self.feeds = 0
        #: Link of each connection: "wifi" or "mobile".
        self.connections: list[str] = []
        self._fed_us = 0
        self._resets = 0
        self._cause = POWER_ON
        self._calendar = (UNSET, clock_us())

    @property
    def resets(self) -> int:
        """How often the watchdog has reset the chip."""
        self._look()
        return self._resets

    def _look(self) -> None:
        due = self._fed_us + self.watchdog_ms * 1000 * self.slower
        if self.watchdog_ms and self._clock_us() > due:
            self.watchdog_ms = 0
            self._resets += 1
            self._cause = WATCHDOG

    def power_off(self) -> None:
        """Everything is forgotten."""
        self.watchdog_ms = 0
        self._cause = POWER_ON
        self._calendar = (UNSET, self._clock_us())

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of the wire."""
        self._look()
        if op == 1 and len(payload) == 4:
            if self.watchdog_ms:
                raise ChipError("mcu: the watchdog runs already")
            self.watchdog_ms = int.from_bytes(payload, "big")
            self._fed_us = self._clock_us()
        elif op == 2 and not payload:
            self._fed_us = self._clock_us()
            self.feeds += 1
        elif op == 3 and not payload:
            return bytes((self._cause,)), 0
        elif op == 4 and not payload:
            set_to, at_us = self._calendar
            now = set_to + (self._clock_us() - at_us) // 1_000_000
            return now.to_bytes(8, "big"), 0
        elif op == 5 and len(payload) == 8:
            self._calendar = (int.from_bytes(payload, "big"), self._clock_us())
        elif op == 6 and payload in (b"wifi", b"mobile"):
            self.connections.append(payload.decode())
        else:
            raise ChipError(f"mcu: operation {op} with {len(payload)} bytes")
        return b"", 0
