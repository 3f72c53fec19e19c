"""Contract: PIN entry (rules of money, 12).

PIN entry takes the keypad for itself and says only how many digits stand.
The digits go from the keypad driver to the vault; callers hold an opaque
handle whose only uses are the vault's.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class PinEntryError(TillError):
    """PIN entry failed; nothing was kept."""

    text_key = "error.pin_entry"


class PinCancelled(PinEntryError):
    """The cardholder pressed Cancel."""

    text_key = "error.cancelled"


class PinTimeout(PinEntryError):
    """No key for the given time."""

    text_key = "error.pin_timeout"


class PinHandle:
    """Names a PIN inside the vault. Holds no digit. One transaction only."""

    def __init__(self, token: int, length: int) -> None:
        self.token = token
        self.length = length


class PinEntry:
    """Collects 4 to 12 digits (ISO 9564-1)."""

    async def enter(
        self,
        on_count: "Callable[[int], None]",
        minimum: int = 4,
        maximum: int = 12,
        bypass: bool = False,
        timeout_ms: int = 30000,
    ) -> "PinHandle | None":
        """Collect a PIN; None when Enter was pressed on no digit and ``bypass``.

        ``on_count(n)`` is called with the number of digits after each key
        (0 after Clear) so that the screen can draw dots; nothing else leaves.
        Enter on too few digits is ignored. ``timeout_ms`` runs anew from each
        key. Raises PinCancelled, PinTimeout, KeypadError, ValueError for
        bounds outside 4 to 12.
        """
        raise NotImplementedError
