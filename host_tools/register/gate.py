"""What every register adapter stands on: a payment is asked of the terminal, and answered.

The rules of money are the terminal's (one payment at a time, each reference charged once, the
answer durable before it is told). Here a register's request becomes a reference and a digest,
and a lost link becomes a question: whatever was under way is asked for, never asked again.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Protocol

from firmware.link import services
from host_tools.errors import UserError
from host_tools.pc_link.calls import CallFailed, Terminal

#: How long a lost terminal is asked what became of a payment before a register hears that
#: nobody knows yet; and the first and the longest pause between two questions.
PATIENCE_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 90.0, 0.5, 5.0
#: ERRORs of sale_start after which nothing was begun.
REFUSALS = ("busy", "conflict", "kind", "currency", "amount", "arguments", "role", "service")
#: ``reason`` of a payment that its register took back, and of one whose outcome a supervisor
#: gave up to learn.
ABORTED, RELEASED = "register.aborted", "released"
_MOST_PART = 36


class End(StrEnum):
    """How a register's request stands."""

    # The terminal's word. All but UNKNOWN are for ever.
    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    REVERSED = "reversed"
    #: Not this one: another payment is at work (``pending``, ``amount``).
    BUSY = "busy"
    #: This reference stands for another request; nothing was charged.
    CONFLICT = "conflict"
    #: The terminal does not do it; ``reason`` is the error's code; nothing was charged.
    REFUSED = "refused"
    #: At work, or nobody knows: ask again.
    PROGRESS = "progress"
    #: The terminal never heard of it; nothing was charged.
    NONE = "none"
    #: No terminal is connected, and it was not asked.
    UNREACHABLE = "unreachable"


#: Ends that will never be another.
SETTLED = (End.APPROVED, End.DECLINED, End.CANCELLED, End.REVERSED)


@dataclass(frozen=True)
class Request:
    """``amount`` in minor units of ``currency`` (ISO 4217 numeric); ``digest``: of the whole
    request as the register sent it; ``register``: its name for the merchant."""

    reference: str
    digest: bytes
    amount: int
    currency: int
    register: str = ""
    kind: str = "sale"


@dataclass(frozen=True)
class Answer:
    """What became of a request. ``amount``: what was approved or asked for (of BUSY: of the
    payment that is at work, whose reference is ``pending``); the rest is as RESULT of
    firmware/link/services.py has it."""

    end: End
    reference: str
    amount: int = 0
    currency: int = 0
    reason: str = ""
    detail: str = ""
    pending: str = ""
    sequence: int = 0
    stan: int = 0
    batch: int = 0
    pan: str = ""
    brand: str = ""
    aid: str = ""
    entry: str = ""
    authorisation: str = ""
    rrn: str = ""
    local_time: str = ""
    response: str = ""
    signature: bool = False
    merchant: str = ""
    terminal: str = ""
    test: bool = False

    def plain(self) -> dict[str, Any]:
        """For JSON: only what is there."""
        return {name: value for name, value in asdict(self).items() if value not in ("", 0, False)}

    @classmethod
    def of_plain(cls, value: Mapping[str, Any]) -> "Answer":
        """What ``plain`` gave."""
        known = {field.name for field in fields(cls)}
        kept = {name: part for name, part in value.items() if name in known}
        return cls(**{**kept, "end": End(kept["end"])})


_RESULT = {
    3: "amount", 4: "currency", 5: "reason", 6: "sequence", 7: "stan", 8: "batch", 9: "pan",
    10: "brand", 11: "aid", 12: "entry", 13: "authorisation", 14: "rrn", 15: "local_time",
    16: "response", 17: "signature", 18: "merchant", 19: "terminal", 20: "test",
}  # fmt: skip


def answer_of(result: Mapping[int, Any]) -> Answer:
    """The Answer of a RESULT. UserError: an outcome that this version does not know."""
    outcome = result[2]
    if outcome not in (*SETTLED, End.UNKNOWN):
        raise UserError(f"the terminal tells an outcome {outcome!r} that this till does not know")
    named = {name: result[key] for key, name in _RESULT.items() if key in result}
    return Answer(End(outcome), result[1], **named)


def reference(adapter: str, register: str, request: str) -> str:
    """``adapter:register:request``, printable ASCII of at most 80 characters. A part that does
    not fit stands there by its SHA-256."""
    return ":".join((adapter, _part(register), _part(request)))


def fresh(adapter: str, register: str, request: str = "") -> str:
    """A reference that no other payment has, on no other PC either: ids of requests may begin
    anew. ``request``: such an id, for people to know it by."""
    name = request or f"{time.time_ns():x}"
    return reference(adapter, register, f"{name}.{secrets.token_hex(8)}")


def digest(adapter: str, request: bytes) -> bytes:
    """SHA-256 of the adapter's name and the whole request in its one canonical form."""
    return hashlib.sha256(adapter.encode() + b"\x00" + request).digest()


def _part(text: str) -> str:
    plain = all("!" <= char <= "~" and char not in ":~" for char in text)
    if text and plain and len(text) <= _MOST_PART:
        return text
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Reach(Protocol):
    """Gives the connected terminal; ``lost``: one that a call failed on, never given again.
    UserError: none can be connected."""

    async def __call__(self, lost: Terminal | None = None) -> Terminal: ...


@dataclass
class _Running:
    """``asked``: the terminal has been asked to begin it; ``aborted``: it was taken back
    before that."""

    digest: bytes
    task: asyncio.Task[Answer]
    asked: bool = False
    aborted: bool = False


class Gate:
    """The way of all adapters to one terminal."""

    def __init__(
        self,
        reach: Reach,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience_s: float = PATIENCE_S,
        heard: Callable[[Answer], None] | None = None,
    ) -> None:
        self._reach = reach
        self._pause = pause
        self._patience_s = patience_s
        #: Hears how each payment ended that was started here.
        self.heard = heard
        self._running: dict[str, _Running] = {}

    def running(self, reference: str) -> bool:
        """Whether this request is being followed here."""
        return reference in self._running

    async def start(
        self,
        request: Request,
        told: Callable[[str], None] | None = None,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """Begin the payment, or go on following it, to its end; ``told`` hears its states,
        ``before`` is done first.

        Goes on by itself when the register hangs up: its result is asked for later.
        """
        at_work = self._running.get(request.reference)
        if at_work is None:
            task = asyncio.create_task(self._followed(request, told or _silent, before))
            at_work = self._running[request.reference] = _Running(request.digest, task)
            task.add_done_callback(lambda _: self._running.pop(request.reference, None))
        elif at_work.digest != request.digest:
            return Answer(End.CONFLICT, request.reference)
        return await asyncio.shield(at_work.task)

    async def state(self, reference: str, digest: bytes = b"", begun: bool = False) -> Answer:
        """How a payment stands; "" (without a digest) for the last one of the terminal.
        ``begun``: the terminal was heard to begin it, so that it is never NONE."""
        try:
            return _doubted(await self._state(reference, digest), begun)
        except CallFailed as error:
            if error.code in REFUSALS:
                return _refused(reference, error)
            return Answer(End.UNREACHABLE, reference, detail=str(error))
        except UserError as error:
            return Answer(End.UNREACHABLE, reference, detail=str(error))

    async def abort(self, reference: str) -> str:
        """Take a payment back: aborted, late, none or final; "unreachable" when the terminal
        cannot be asked."""
        running = self._running.get(reference)
        waits = running is not None and not running.asked
        if running is not None and waits:
            running.aborted = True
        try:
            terminal = await self._reach()
            answer: str = (await terminal.ask("sale_abort", {1: reference}))[1]
        except UserError:
            return "unreachable"
        return "aborted" if waits and answer == "none" else answer

    async def totals(self) -> tuple[int, list[list[Any]]]:
        """The open batch and its rows ``[type, currency, count, amount]``. UserError."""
        answer = await (await self._reach()).ask("totals")
        return answer[1], answer[2]

    async def status(self) -> dict[str, Any]:
        """How the terminal is, as far as this PC's roles let it say: ``serial``, ``firmware``,
        ``busy``, ``test``, and of the service ``status`` by name. UserError."""
        terminal = await self._reach()
        hello = await terminal.ask("hello")
        told: dict[str, Any] = {
            "serial": terminal.serial,
            "firmware": terminal.firmware,
            "busy": hello[7],
            "test": hello[8],
        }
        if services.allows("status", hello[1]):
            _, _, _, end = services.SERVICES["status"]
            answer = await terminal.ask("status")
            told |= {end[key][0]: value for key, value in answer.items()}
        return told

    async def close(self) -> None:
        """Follow nothing any more; what is under way goes on at the terminal."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _followed(
        self,
        request: Request,
        told: Callable[[str], None],
        before: Callable[[], Awaitable[None]] | None,
    ) -> Answer:
        if before is not None:
            await before()
        answer = await self._start(request, told)
        if self.heard is not None:
            self.heard(answer)
        return answer

    async def _start(self, request: Request, told: Callable[[str], None]) -> Answer:
        arguments: dict[int, Any] = {
            1: request.reference,
            2: request.digest,
            3: request.amount,
            4: request.currency,
            5: request.kind,
        }
        if request.register:
            arguments[6] = request.register[:40]
        running = self._running[request.reference]
        begun = False
        try:
            terminal = await self._reach()
            if running.aborted and await self._never_begun(terminal, request.reference):
                return Answer(
                    End.CANCELLED,
                    request.reference,
                    request.amount,
                    request.currency,
                    reason=ABORTED,
                )
        except UserError as nobody:
            return Answer(End.UNREACHABLE, request.reference, detail=str(nobody))
        try:
            running.asked = True
            call = await terminal.open("sale_start", arguments)
            async for item in call.items():
                begun = True
                told(item[1])
            return answer_of(await call.result())
        except CallFailed as failed:
            error = failed
        except UserError as unread:  # it told an end that cannot be read: not known here
            return Answer(End.PROGRESS, request.reference, detail=str(unread))
        if error.code in REFUSALS:
            return _refused(request.reference, error)
        answer = _doubted(await self._recovered(request, terminal, error.code), begun)
        if answer.end is End.NONE and error.code == services.FAILED:
            return _refused(request.reference, error)
        return answer

    @staticmethod
    async def _never_begun(terminal: Terminal, reference: str) -> bool:
        """Take back what an earlier message may have begun; whether none did. UserError."""
        answer: str = (await terminal.ask("sale_abort", {1: reference}))[1]
        return answer == "none"

    async def _recovered(self, request: Request, lost: Terminal | None, code: str) -> Answer:
        """What became of a payment whose call broke off."""
        reference = request.reference
        pause, waited = FIRST_PAUSE_S, 0.0
        gone = lost if code == services.LOST else None
        while True:
            try:
                answer = await self._state(reference, request.digest, gone)
                if answer.end is not End.PROGRESS:
                    return answer
                pause = FIRST_PAUSE_S
            except UserError as error:
                answer = Answer(End.PROGRESS, reference, detail=str(error))
            gone = None
            if waited >= self._patience_s:
                return answer
            await self._pause(pause)
            waited += pause
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _state(self, reference: str, digest: bytes, lost: Terminal | None = None) -> Answer:
        arguments: dict[int, Any] = {1: reference} | ({2: digest} if digest else {})
        terminal = await self._reach(lost)
        try:
            try:
                answer = await terminal.ask("sale_state", arguments)
            except CallFailed as error:
                if error.code != services.LOST:
                    raise
                terminal = await self._reach(terminal)  # once more, over a new link
                answer = await terminal.ask("sale_state", arguments)
        except CallFailed as error:
            if error.code == "conflict":
                return _refused(reference, error)
            raise
        if answer[1] == "final" and 2 in answer:
            try:
                return answer_of(services.check(services.RESULT, answer[2]))
            except services.NotOfTable as error:
                raise UserError(f"the terminal tells a result that is none: {error}") from error
        return Answer(End.PROGRESS if answer[1] == "progress" else End.NONE, reference)


def _refused(reference: str, error: CallFailed) -> Answer:
    if error.code == services.BUSY:
        pending, amount = error.details.get(1, ""), error.details.get(2, 0)
        return Answer(End.BUSY, reference, amount=amount, pending=pending)
    if error.code == "conflict":
        return Answer(End.CONFLICT, reference)
    detail = str(error.details.get(1, ""))
    return Answer(End.REFUSED, reference, reason=error.code, detail=detail)


def _doubted(answer: Answer, begun: bool) -> Answer:
    """``answer``; of a payment that had ``begun`` the result is kept no longer when another or
    none stands in its place: that is no word about money."""
    if begun and answer.end in (End.NONE, End.CONFLICT):
        return Answer(End.PROGRESS, answer.reference, detail="the result is no longer kept")
    return answer


def _silent(_state: str) -> None:
    """Nobody wants to hear of states."""
