"""Contactless reader (hal.contactless) whose driver is made at its first use.

A terminal that takes no tap loads nothing of it: start-up and memory are those
of a board without the reader.
"""

from firmware.hal.contactless import ContactlessReader, TapChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class LateReader(ContactlessReader):
    """``make()``: the reader; it raises nothing, for its bus is open already."""

    def __init__(self, make: "Callable[[], ContactlessReader]") -> None:
        self._make = make
        self._made: "ContactlessReader | None" = None

    def _reader(self) -> ContactlessReader:
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def taps(self) -> int:  # type: ignore[override]  # the contract's is a plain value
        """Cards activated since the driver began."""
        return self._made.taps if self._made is not None else 0

    async def check(self) -> str:
        """See ContactlessReader."""
        return await self._reader().check()

    async def field(self, on: bool) -> None:
        """See ContactlessReader."""
        await self._reader().field(on)

    async def wait_tap(self, timeout_ms: "int | None" = None) -> TapChannel:
        """See ContactlessReader."""
        return await self._reader().wait_tap(timeout_ms)

    async def release(self) -> None:
        """See ContactlessReader. One that was never used has no field."""
        if self._made is not None:
            await self._made.release()

    async def wait_removed(self) -> None:
        """See ContactlessReader."""
        await self._reader().wait_removed()

    async def close(self) -> None:
        """See ContactlessReader."""
        if self._made is not None:
            await self._made.close()
