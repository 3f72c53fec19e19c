"""Contract: keypad of the terminal."""

from firmware.errors import TillError

#: Every key name that a board may map. Digits stand for themselves.
KEYS = (
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "00", ".",
    "cancel", "clear", "enter", "menu", "up", "down", "feed", "func",
)  # fmt: skip


class KeypadError(TillError):
    """The keypad does not answer, or a key is stuck."""

    text_key = "error.keypad"


class KeypadGone(KeypadError):
    """The keyboard is not there. When it was unplugged, presses not yet read are
    forgotten, and PIN entry ends. A later read may find it back."""

    text_key = "error.keypad_gone"


class KeypadBusy(KeypadError):
    """An ordinary read while PIN entry owns the keypad (rules of money, 12)."""


class Keypad:
    """Debounced key presses. Each press is reported once, by name."""

    async def check(self) -> None:
        """Ask whether every keyboard of the board is there; no press is lost. Keys on
        the terminal's own pins are. KeypadError, as long as one is not."""

    async def read(self) -> str:
        """Wait for the next press; one of KEYS. Cancelling it loses no press.

        Raises KeypadError, once for each fault (KeypadGone among them). While
        ``claim`` holds the keypad every read without its token raises KeypadBusy
        at once, also one that was already waiting.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Forget presses not yet read."""
        raise NotImplementedError

    def claim(self) -> object:
        """Take the keypad for PIN entry: returns the token for ``read_claimed``.

        Waiting presses are flushed. Raises KeypadBusy if it is claimed.
        """
        raise NotImplementedError

    async def read_claimed(self, token: object) -> str:
        """As ``read``, for the holder of the claim. KeypadBusy for a wrong token."""
        raise NotImplementedError

    def release(self, token: object) -> None:
        """End the claim; presses made meanwhile are flushed."""
        raise NotImplementedError
