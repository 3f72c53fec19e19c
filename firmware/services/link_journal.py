"""The PC reads the journal and says what it keeps (docs/link.md, Journal).

A payment never waits for a PC: nothing is locked while a piece is on its way, and an
acknowledgement writes nothing (docs/journal.md, Reading by a PC).
"""

import sys

from firmware import aio
from firmware.link.services import BAD_ARGUMENTS, FAILED, CallRefused
from firmware.payment.journal.reading import (
    MOST_FRAME,
    AnotherChain,
    Expired,
    Reader,
    verify,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.hal.files import Files
    from firmware.payment.journal.journal import Journal
    from firmware.services.link_calls import Call, Handler

EXPIRED, FORK = "expired", "fork"
#: Bytes of an ITEM beside its frames.
_AROUND = 80
#: Bytes of frames in an ITEM: enough to fill the pipe, and what a small heap has.
PIECE = 24576 if sys.implementation.name == "cpython" else 2560


class LinkJournal:
    """``journal_read`` and ``journal_ack``."""

    def __init__(self, journal: "Journal", files: "Files", piece: int = PIECE) -> None:
        self._journal = journal
        self._files = files
        self._piece = piece

    def handlers(self) -> "dict[str, Handler]":
        """By service."""
        return {"journal_read": self.read, "journal_ack": self.acknowledge}

    async def read(self, call: "Call") -> None:
        """Frames behind ``after``, at most ``limit`` of them, up to the last durable one."""
        if call.most_message < MOST_FRAME + _AROUND:
            raise CallRefused(BAD_ARGUMENTS, {1: "this PC takes messages that are too short"})
        self._open()
        after, left = call.arguments[1], call.arguments[2]
        if after > self._journal.head()[0]:
            raise CallRefused(FORK, {1: self._journal.head()[0]})
        most = min(call.most_message - _AROUND, self._piece)
        reader = Reader(self._journal, self._files, after, most)
        try:
            while left:
                piece = await reader.next(left)
                if piece is None:
                    break
                left -= min(left, piece.last - piece.first + 1)
                item = {1: piece.first, 2: piece.epoch, 3: piece.frames, 4: piece.chain}
                if piece.salvaged:
                    item[5] = True
                await call.item(item)
                await aio.sleep_ms(0)  # the merchant comes first
        except Expired as error:
            raise CallRefused(EXPIRED, {1: error.oldest}) from None
        sequence, epoch, chain = self._journal.head()
        await call.end({1: sequence, 2: epoch, 3: chain})

    async def acknowledge(self, call: "Call") -> None:
        """The PC has all up to its cursor on its own disk; the cursor must be ours."""
        self._open()
        sequence, epoch, chain = call.arguments[1], call.arguments[2], call.arguments[3]
        try:
            if sequence:
                await verify(self._journal, self._files, sequence, epoch, chain)
        except AnotherChain:
            raise CallRefused(FORK, {1: self._journal.head()[0]}) from None
        except Expired as error:
            raise CallRefused(EXPIRED, {1: error.oldest}) from None
        self._journal.acknowledge(sequence)
        await call.end({})

    def _open(self) -> None:
        if not self._journal.places():
            raise CallRefused(FAILED, {1: "error.journal", 2: self._journal.broken[:200]})
