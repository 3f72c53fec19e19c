"""PIN entry on the terminal's own keypad (hal.pin_entry)."""

from firmware import aio
from firmware.crypto import wipe
from firmware.crypto.pin_block import LEAST, MOST
from firmware.errors import Timeout
from firmware.hal.pin_entry import PinCancelled, PinEntry, PinTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.drivers.pin_store import PinStore
    from firmware.hal.keypad import Keypad
    from firmware.hal.pin_entry import PinHandle


class PinPad(PinEntry):
    """Claims the keypad for each PIN; digits go straight into the store."""

    def __init__(self, keypad: "Keypad", store: "PinStore") -> None:
        self._keypad = keypad
        self._store = store

    async def enter(
        self,
        on_count: "Callable[[int], None]",
        minimum: int = LEAST,
        maximum: int = MOST,
        bypass: bool = False,
        timeout_ms: int = 30000,
    ) -> "PinHandle | None":
        if not LEAST <= minimum <= maximum <= MOST:
            raise ValueError("PIN lengths outside 4 to 12")
        digits = bytearray(MOST)  # of fixed size: growing would leave copies behind
        count = 0
        token = self._keypad.claim()
        try:
            while True:
                key = await self._key(token, timeout_ms)
                if key == "cancel":
                    raise PinCancelled("cancelled by the cardholder")
                if key == "clear":
                    wipe(digits)
                    count = 0
                    on_count(0)
                elif key == "enter":
                    if count == 0 and bypass:
                        return None
                    if count >= minimum:
                        return self._store.keep(digits[:count])
                elif len(key) == 1 and "0" <= key <= "9" and count < maximum:
                    digits[count] = ord(key)
                    count += 1
                    on_count(count)
                # other keys mean nothing here and are not answered
        finally:
            wipe(digits)
            self._keypad.release(token)

    async def _key(self, token: object, timeout_ms: int) -> str:
        try:
            return await aio.deadline(timeout_ms, self._keypad.read_claimed(token), "PIN key")
        except Timeout:
            raise PinTimeout("no key for " + str(timeout_ms) + " ms") from None
