"""PINs in RAM, between the PIN pad and the vault; nothing else holds a digit."""

from firmware.crypto import wipe
from firmware.hal.pin_entry import PinHandle
from firmware.hal.vault import VaultError

#: More PINs than this at a time are a leak in a flow; the oldest is wiped.
_MOST = 4


class PinStore:
    """Digits as ASCII bytearrays, by handle."""

    def __init__(self) -> None:
        self._pins: "list[tuple[int, bytearray]]" = []
        self._last = 0

    def keep(self, digits: bytearray) -> PinHandle:
        """Take over ``digits`` (the caller forgets the buffer)."""
        while len(self._pins) >= _MOST:
            wipe(self._pins.pop(0)[1])
        self._last += 1
        self._pins.append((self._last, digits))
        return PinHandle(self._last, len(digits))

    def digits(self, handle: PinHandle) -> bytearray:
        """The buffer itself, for the vault's use in place. VaultError if dropped."""
        for token, digits in self._pins:
            if token == handle.token:
                return digits
        raise VaultError("the PIN was dropped")

    def drop(self, handle: PinHandle) -> None:
        """Wipe. Harmless twice."""
        for i in range(len(self._pins)):
            if self._pins[i][0] == handle.token:
                wipe(self._pins.pop(i)[1])
                return

    def drop_all(self) -> None:
        """Wipe every PIN."""
        while self._pins:
            wipe(self._pins.pop()[1])
