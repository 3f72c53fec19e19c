"""What the PC's tools ask a terminal through: the contract that ``connection`` keeps.

Everything above (sync, commands, registers) is written against this class and no other part
of the link, so that tests can put any two ends together.
"""

from collections.abc import AsyncIterator
from typing import Any

from host_tools.errors import UserError


class CallFailed(UserError):
    """The terminal answered ERROR, or the link was lost for good. ``code`` and ``details`` are
    those of docs/link.md; the text says what to do next."""

    def __init__(self, text: str, code: str, details: dict[int, Any] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.details = details or {}


class Call:
    """One request at work."""

    def items(self) -> AsyncIterator[dict[int, Any]]:
        """The terminal's ITEMs, each checked, until its END. CallFailed."""
        raise NotImplementedError

    async def result(self) -> dict[int, Any]:
        """Its END, checked; ITEMs not yet read are dropped. CallFailed."""
        raise NotImplementedError

    async def send(self, item: dict[int, Any], last: bool = False) -> None:
        """An ITEM of ours, or with ``last`` our END. CallFailed."""
        raise NotImplementedError

    async def cancel(self) -> None:
        """Give it up; returns when the terminal has said its last word."""
        raise NotImplementedError


class Terminal:
    """A terminal that is connected, and known."""

    #: What it said of itself.
    serial = ""
    board = ""
    firmware = ""
    #: Its static key's fingerprint, 16 hex digits.
    fingerprint = ""
    #: The longest message it takes, bytes.
    most_message = 4096

    async def open(
        self, service: str, arguments: dict[int, Any] | None = None, deadline_ms: int = 0
    ) -> Call:
        """Begin a request of ``firmware.link.services.SERVICES``. CallFailed."""
        raise NotImplementedError

    async def ask(
        self, service: str, arguments: dict[int, Any] | None = None, deadline_ms: int = 30_000
    ) -> dict[int, Any]:
        """Begin one, and its END. CallFailed."""
        call = await self.open(service, arguments, deadline_ms)
        return await call.result()
