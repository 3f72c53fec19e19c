"""Pairing as the terminal serves it: the window, the codes, the handlers (docs/link.md).

The merchant's page (app/pc_menu.py) opens a ``Window`` and shows what its ``attempt`` is
at; ``pair_ask`` moves it. Codes are counted in the journal when they are shown, before anybody
can have typed one, so that cutting the power buys no guess.
"""

from firmware import aio
from firmware.errors import TillError
from firmware.link import services
from firmware.link.streams import END
from firmware.payment.journal import records
from firmware.services.pair_table import Pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from firmware.hal.entropy import Entropy
    from firmware.link import pairing
    from firmware.payment.journal.journal import Journal
    from firmware.services.link_calls import Call, Handler
    from firmware.services.pair_table import PairTable

WINDOW_MS = 120_000
CODES = 3
LOCK_MS, LOCK_MAX_MS = 60_000, 3_600_000
#: Who the journal's LOCKOUT records of codes name.
WHO = "pairing"

#: What an attempt is at: the merchant is asked, the PC computes, the code is to be typed,
#: the entry is being kept; and how it ended.
ASKED, AGREED, SHOWN, KEEPING, PAIRED, WRONG, FAILED = (
    "asked", "agreed", "shown", "keeping", "paired", "wrong", "failed",
)  # fmt: skip


class Attempt:
    """One PC that asks. ``stage``: see above; ``code``: six digits while SHOWN; ``error``: why
    it FAILED, where a device did."""

    def __init__(self, name: str, fingerprint: str, roles: "tuple[str, ...]") -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.roles = roles
        self.stage = ASKED
        self.code = ""
        self.error: "TillError | None" = None
        #: The merchant's word, None before it came.
        self.agreed: "bool | None" = None
        self.answered = aio.Event()

    def answer(self, agreed: bool) -> None:
        """The merchant's word; at any later stage a no ends the attempt."""
        self.agreed = agreed
        self.answered.set()

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.stage in (PAIRED, WRONG, FAILED)


class Window:
    """Open until ``until`` (``aio.ticks_ms``), then for the attempt that is under way.
    ``changed``: look again."""

    def __init__(self) -> None:
        self._opened = aio.ticks_ms()
        self.attempt: "Attempt | None" = None
        self.changed = aio.Event()

    @property
    def left_ms(self) -> int:
        """How long it stays open; 0 when it is over."""
        return max(0, WINDOW_MS - aio.elapsed_ms(self._opened))

    def move(self, stage: str) -> None:
        """The attempt is at ``stage``."""
        if self.attempt is not None:
            self.attempt.stage = stage
        self.changed.set()


class Pairings:
    """``note(code, detail)`` puts a NOTICE into the journal; ``now`` gives Unix seconds, 0
    while the clock is dead; ``revoked(key, soon)`` ends the session of a PC, ``soon``: once its
    last answer is out."""

    def __init__(
        self,
        table: "PairTable",
        journal: "Journal",
        entropy: "Entropy",
        note: "Callable[[str, str], Awaitable[None]]",
        now: "Callable[[], Awaitable[int]]",
        revoked: "Callable[[bytes, bool], None]",
    ) -> None:
        self.table = table
        self.window: "Window | None" = None
        self._journal = journal
        self._entropy = entropy
        self._note = note
        self._now = now
        self._revoked = revoked
        #: Since when the codes are locked; None: not, or only until the next code.
        self._locked_at: "int | None" = None
        if self._codes and self._codes % CODES == 0:
            self._locked_at = aio.ticks_ms()  # a restart serves the whole time again

    def handlers(self) -> "dict[str, Handler]":
        """By service."""
        return {"pair_ask": self._ask, "pairs": self._pairs, "pair_revoke": self._revoke}

    # -- the window

    @property
    def _codes(self) -> int:
        """Codes shown since the last success, in this life and those before."""
        count: int = self._journal.state.failures.get(WHO, 0)
        return count

    @property
    def lock_ms(self) -> int:
        """How long no window may be opened; 0 when one may."""
        if self._locked_at is None:
            return 0
        whole = min(LOCK_MS << min(self._codes // CODES - 1, 16), LOCK_MAX_MS)
        left = whole - aio.elapsed_ms(self._locked_at)
        if left <= 0:
            self._locked_at = None
            return 0
        return left

    @property
    def codes_left(self) -> int:
        """Codes that may still be shown before the lock."""
        return CODES - self._codes % CODES

    def open(self) -> Window:
        """Open the window; the caller closes it."""
        self.window = Window()
        return self.window

    def close(self) -> None:
        """Close it; an attempt under way ends."""
        window, self.window = self.window, None
        if window is not None and window.attempt is not None:
            window.attempt.answer(False)

    async def _count(self, codes: int) -> None:
        body = {records.K_WHO: WHO, records.K_FAILURES: min(codes, 999_999)}
        await self._journal.append(records.LOCKOUT, body)

    # -- pair_ask

    async def _ask(self, call: "Call") -> None:
        window = self.window
        if window is None or not window.left_ms or self.lock_ms:
            raise services.CallRefused(services.WINDOW)
        if window.attempt is not None and not window.attempt.over:
            raise services.CallRefused(services.BUSY)
        from firmware.link import pairing  # the curve's arithmetic comes with it

        machine = pairing.TerminalPairing(
            call.channel, self._entropy.random(32), self._entropy.random(32)
        )
        try:
            machine.step("ask", call.arguments)
        except pairing.PairingFailed as error:
            raise services.CallRefused(services.BAD_ARGUMENTS, {1: str(error)[:80]}) from None
        attempt = Attempt(call.name, services.fingerprint(call.key), tuple(machine.roles))
        window.attempt = attempt
        window.changed.set()
        end = FAILED
        try:
            await self._run(call, window, attempt, machine)
            end = PAIRED
        except pairing.WrongCode:
            end = WRONG
            await self._note("pair_wrong_code", attempt.fingerprint)
            raise services.CallRefused(services.CODE, {1: self.codes_left % CODES}) from None
        except pairing.PairingFailed as error:
            raise services.CallRefused(services.BAD_ARGUMENTS, {1: str(error)[:80]}) from None
        except services.CallRefused:
            raise
        except TillError as error:
            attempt.error = error
            raise
        finally:
            if machine.state != "paired":
                machine.abandon()
            attempt.code = ""
            attempt.stage = end
            window.changed.set()

    async def _run(
        self, call: "Call", window: Window, attempt: Attempt, machine: "pairing.TerminalPairing"
    ) -> None:
        """The table's steps, each within the merchant's patience."""
        await attempt.answered.wait()
        if not attempt.agreed:
            raise services.CallRefused(services.REFUSED)
        attempt.answered.clear()
        window.move(AGREED)
        await self._say(call, machine.step("agree"))
        answer = machine.step("challenge", await self._heard(call, attempt, False))
        codes = self._codes + 1
        await self._count(codes)
        if codes % CODES == 0:
            self._locked_at = aio.ticks_ms()
        attempt.code = machine.code
        window.move(SHOWN)
        await self._say(call, answer)
        proof = await self._heard(call, attempt, False)
        attempt.code = ""
        window.move(KEEPING)
        await self._say(call, machine.step("proof", proof))
        machine.step("done", await self._heard(call, attempt, True))
        now = await self._now()
        await self._count(0)  # the code was right, whatever the storage says
        self._locked_at = None
        await self.table.add(Pair(call.key, call.name, attempt.roles, now, now))
        detail = attempt.fingerprint + ": " + " ".join(attempt.roles)
        await self._note("pc_paired", detail)
        for kind, value in machine.step("kept"):
            if kind == END:
                await call.end(value)

    async def _say(self, call: "Call", messages: "list[tuple[int, dict[int, Any]]]") -> None:
        for _, value in messages:
            await call.item(value)

    async def _heard(self, call: "Call", attempt: Attempt, last: bool) -> "dict[int, Any]":
        """The PC's next message, or its last; a merchant's no comes between."""
        what, got = await aio.first(
            ("message", call.next()), ("answer", attempt.answered.wait()), timeout_ms=WINDOW_MS
        )
        if what == "timeout":
            raise services.CallRefused(services.DEADLINE)
        if what == "answer":
            raise services.CallRefused(services.REFUSED)
        ended, value = got
        if ended != last:
            from firmware.link import pairing

            raise pairing.PairingFailed("a message that is not due")
        message: "dict[int, Any]" = value
        return message

    # -- the table

    async def _pairs(self, call: "Call") -> None:
        told = [
            {1: one.fingerprint, 2: one.name, 3: list(one.roles), 4: one.made, 5: one.seen}
            for one in self.table.pairs
        ]
        await call.end({1: told})

    async def _revoke(self, call: "Call") -> None:
        wanted = call.arguments[1]
        own = wanted == services.fingerprint(call.key)
        if not own and services.SERVICE not in call.roles:
            raise services.CallRefused(services.NOT_ALLOWED)
        gone = await self.revoke(wanted, own)
        if gone is None and not own:
            raise services.CallRefused(services.BAD_ARGUMENTS, {1: "no such pair"})
        await call.end({})

    async def revoke(self, fingerprint: str, soon: bool = False) -> "Pair | None":
        """Revoke a pair and end its session. FilesError, VaultError: see ``PairTable.revoke``."""
        pair = self.table.named(fingerprint)
        if pair is None:
            return None
        try:
            await self.table.revoke(fingerprint)
        finally:
            self._revoked(pair.key, soon)
        await self._note("pc_revoked", fingerprint)
        return pair
