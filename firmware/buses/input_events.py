"""Bus: key events of input devices, with the key codes of Linux (input-event-codes.h)."""

from firmware.buses.wire import BusError

#: The key that a device presses (KEY_UNKNOWN, which no layout and no map has) in the place
#: of events that were lost: keys that it held count as let go.
LOST = 240


class InputGone(BusError):
    """An input device went away or is not there. ``source``: which one, from 0."""

    text_key = "error.bus"

    def __init__(self, source: int, detail: str) -> None:
        super().__init__(detail)
        self.source = source


class InputEvents:
    """Keys of one or more devices that nobody else hears (they are grabbed)."""

    async def read(self) -> "list[tuple[int, int, int]]":
        """Wait for one or more key events, in order: (source, code, value).

        ``value``: 1 pressed, 2 repeated while held, 0 released. Cancelling it
        loses nothing. Raises InputGone once when a device goes away; events
        that came before it are read first. A device that comes back is heard
        again under its old number. BusError for anything else.
        """
        raise NotImplementedError

    def missing(self) -> "list[str]":
        """Names of the devices that are not there now. BusError."""
        raise NotImplementedError

    def drop(self) -> "list[tuple[int, int, int]]":
        """Take the key events not yet read, so that nobody reads them; a device that
        went is still told. BusError."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let the devices go. Never raises, may be called twice."""
        raise NotImplementedError
