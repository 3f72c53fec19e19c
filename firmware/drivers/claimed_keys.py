"""What every keypad driver shares: presses that wait, a fault to tell, the claim."""

from firmware import aio
from firmware.hal.keypad import Keypad, KeypadBusy, KeypadError

#: Keys that repeat while held: after the delay, then at the interval (ms).
REPEATING = ("up", "down", "clear")
REPEAT_DELAY_MS = 500
REPEAT_EVERY_MS = 120
#: A key held longer than this (ms) is stuck: named once, then ignored.
STUCK_MS = 30000
#: Presses that wait for a reader; a further one is dropped with a thud, as keys do.
WAITING = 16


class ClaimedKeys(Keypad):
    """The readers' side of a keypad; a driver's ``_listen`` calls ``_press``
    and ``_fail``."""

    def __init__(self) -> None:
        self._waiting: "list[str]" = []
        self._changed = aio.Event()
        self._token: "object | None" = None
        self._fault: "KeypadError | None" = None
        self._task: "aio.Task | None" = None

    def start(self) -> None:
        """Begin to listen; the first read does it otherwise. Needs a running loop."""
        if self._task is None or self._task.done.is_set():
            self._task = aio.spawn("keypad", self._listen())

    def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self) -> None:
        """The driver's loop, for as long as the keypad is listened to."""
        raise NotImplementedError

    async def read(self) -> str:
        """Wait for the next press. KeypadBusy, KeypadError."""
        return await self._next(None)

    async def read_claimed(self, token: object) -> str:
        """As ``read``, for the holder of the claim. KeypadBusy, KeypadError."""
        if token is None:
            raise KeypadBusy("no token")
        return await self._next(token)

    def flush(self) -> None:
        """Forget presses not yet read."""
        self._waiting = []

    def claim(self) -> object:
        """Take the keypad. KeypadBusy if it is claimed."""
        if self._token is not None:
            raise KeypadBusy("the keypad is claimed")
        token = object()
        self._token = token
        self.flush()
        self._changed.set()
        return token

    def release(self, token: object) -> None:
        """End the claim. KeypadBusy for a wrong token."""
        if token is None or token is not self._token:
            raise KeypadBusy("the keypad is not claimed by this token")
        self._token = None
        self.flush()
        self._changed.set()

    async def _next(self, token: "object | None") -> str:
        self.start()
        while True:
            if token is not self._token:
                raise KeypadBusy("PIN entry holds the keypad" if self._token else "claim ended")
            if self._waiting:
                return self._waiting.pop(0)
            if self._fault is not None:
                fault, self._fault = self._fault, None
                raise fault
            self._changed.clear()
            await self._changed.wait()

    def _press(self, name: str) -> None:
        if name and len(self._waiting) < WAITING:
            self._waiting.append(name)
            self._changed.set()

    def _fail(self, fault: KeypadError) -> None:
        """Tell the next reader, once."""
        self._fault = fault
        self._changed.set()
