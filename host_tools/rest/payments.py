"""Payments of the REST API: a key is one payment, on the terminal and in this PC's file."""

import asyncio
import contextlib
from typing import Any

from host_tools.errors import UserError
from host_tools.register import gate as gates
from host_tools.register.gate import SETTLED, Answer, End, Gate
from host_tools.register.memory import Memory, Message
from host_tools.register.nexo import number_json
from host_tools.reports.amounts import letters
from host_tools.rest.problems import Problem

ADAPTER = "api"
#: The kind of message in the file.
KIND = "Payment"
#: A key begins a payment for so long; the terminal remembers its last results for longer.
FRESH_S = 600
#: How long a request waits at most for the payment's first state.
BEGIN_S = 20.0
_ERRORS = {
    End.BUSY: "busy", End.CONFLICT: "conflict", End.REFUSED: "refused",
    End.UNREACHABLE: "unreachable", End.NONE: "no_payment",
}  # fmt: skip


class Payments:
    """Payments that ``gate`` starts for clients; ``memory``: which keys were used."""

    def __init__(self, gate: Gate, memory: Memory) -> None:
        self._gate = gate
        self._memory = memory
        self._tasks: set[asyncio.Task[Answer]] = set()

    async def start(self, client: str, key: str, amount: int, currency: int, wait_s: int) -> Answer:
        """Begin the payment ``key``, once; its end when it is known within ``wait_s`` seconds,
        else PROGRESS. Problem, UserError."""
        named = gates.reference(ADAPTER, client, key)
        words = {"key": named, "amount": amount, "currency": currency}
        digest = gates.digest(ADAPTER, number_json.write(words, canonical=True).encode())
        reference = gates.fresh(ADAPTER, client, key)
        known = self._memory.note(client, key, KIND, digest, {}, reference)
        if known is not None:
            reference = known.reference
            answered = await self._again(known, digest)
            if answered is not None:
                return answered
        request = gates.Request(reference, digest, amount, currency, client)
        begun = asyncio.Event()
        if self._gate.running(reference):
            begun.set()
        task = asyncio.create_task(self._kept(request, begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        first = asyncio.ensure_future(begun.wait())
        await asyncio.wait((task, first), timeout=BEGIN_S, return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        if not task.done() and wait_s:
            await asyncio.wait((task,), timeout=wait_s)
        if not task.done():
            return Answer(End.PROGRESS, reference, amount, currency)
        return task.result()

    async def state(self, client: str, key: str) -> Answer:
        """How the payment stands. Problem: there is none, or nobody can be asked."""
        known = self._memory.find(client, key)
        if known is None:
            raise Problem("no_payment")
        return await self._state(known)

    async def cancel(self, client: str, key: str) -> None:
        """Take the payment back. Problem: too late, or there is none."""
        known = self._memory.find(client, key)
        if known is None:
            raise Problem("no_payment")
        word = await self._gate.abort(known.reference)
        if word == "aborted":
            return
        if word == "unreachable":
            raise Problem("unreachable")
        if word == "none":
            raise Problem("not_begun" if self._gate.running(known.reference) else "no_payment")
        raise Problem("too_late")

    async def close(self) -> None:
        """Follow nothing any more; payments under way go on at the terminal."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _again(self, known: Message, digest: bytes) -> Answer | None:
        """What a key that was used before is answered; None: it may be sent once more."""
        if known.digest != digest:
            raise Problem("conflict")
        if known.answer:
            return Answer.of_plain(known.answer)
        recent = not known.begun and self._memory.now() - known.seen < FRESH_S
        if recent or self._gate.running(known.reference):
            return None
        try:
            return await self._state(known)
        except Problem as problem:
            raise Problem("key_expired") if problem.code == "no_payment" else problem from None

    async def _state(self, known: Message) -> Answer:
        if known.answer:
            return Answer.of_plain(known.answer)
        answer = await self._gate.state(known.reference, known.digest, known.begun)
        running = self._gate.running(known.reference)
        if answer.end in (End.NONE, End.UNREACHABLE) and running:
            return Answer(End.PROGRESS, known.reference)
        self._settle(answer)
        return told(answer)

    async def _kept(self, request: gates.Request, begun: asyncio.Event) -> Answer:
        def told(_state: str) -> None:
            begun.set()
            with contextlib.suppress(UserError):  # the gate knows it too, as long as this runs
                self._memory.began(request.reference)

        try:
            answer = await self._gate.start(request, told)
        except UserError as error:
            return Answer(End.PROGRESS, request.reference, detail=str(error))
        self._settle(answer)
        return answer

    def _settle(self, answer: Answer) -> None:
        if answer.end in SETTLED:
            self._memory.settle(answer.reference, answer.plain())


def told(answer: Answer) -> Answer:
    """``answer``, when it is one about this payment. Problem: nothing was begun."""
    code = _ERRORS.get(answer.end)
    if code is None:
        return answer
    detail = answer.detail
    if answer.end is End.BUSY:
        detail = f"at work: {answer.amount} minor units"
    elif answer.end is End.REFUSED:
        detail = " ".join(filter(None, (answer.reason, answer.detail)))
    raise Problem(code, detail)


def plain(key: str, answer: Answer) -> dict[str, Any]:
    """A payment for JSON: ``state``, and what is known of it."""
    value = answer.plain()
    for name in ("end", "reference", "pending", "detail"):
        value.pop(name, None)
    if "currency" in value:
        value["currency"] = letters(answer.currency)
    return {"key": key, "state": str(answer.end), "final": answer.end in SETTLED, **value}
