"""The contact kernel: a step machine around straight-line phases (EMV 4.4)."""

from firmware.payment.emv import (
    actions,
    completion,
    cvm,
    initiate,
    oda,
    read_data,
    restrictions,
    risk,
    selection,
)
from firmware.payment.emv.session import Ended, Session
from firmware.payment.emv.steps import Outcome
from firmware.payment.emv.tlv import TlvError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from firmware.payment.emv.config import TerminalConfig, Transaction
    from firmware.payment.emv.session import Run
    from firmware.payment.emv.steps import Step
    from firmware.payment.emv.trace import Trace

#: Words for ``Kernel.abort``.
ABORTS = ("card_removed", "cancelled", "timeout", "reader")


class Kernel:
    """One transaction with one card; used once.

    ``random(n)`` gives n unpredictable bytes. ``start`` gives the first step,
    ``resume`` takes a step's answer and gives the next; the last is an
    Outcome. No card or host answer makes either raise. ValueError for use out
    of turn.
    """

    def __init__(
        self,
        config: "TerminalConfig",
        transaction: "Transaction",
        random: "Callable[[int], bytes]",
        trace: "Trace",
    ) -> None:
        self.session = Session(config, transaction, random, trace)
        self.outcome: "Outcome | None" = None
        self._run: "Run[None] | None" = None

    def start(self) -> "Step":
        """Begin with a card that has just been reset."""
        if self._run is not None:
            raise ValueError("a kernel runs once")
        self._run = _guarded(self.session)
        return self._advance(None)

    def resume(self, answer: "Any") -> "Step":
        """Give the answer of the last step."""
        if self._run is None or self.outcome is not None:
            raise ValueError("no step waits for an answer")
        return self._advance(answer)

    def abort(self, reason: str) -> Outcome:
        """End at once: one of ABORTS. The outcome says what must be reversed."""
        if reason not in ABORTS:
            raise ValueError(reason)
        if self.outcome is not None:
            return self.outcome
        if self._run is not None:
            self._run.close()
        s = self.session
        kind = "terminated"
        if reason in ("cancelled", "timeout"):
            kind = "cancelled"
        elif s.cid is None and s.aid is None:
            kind = "try_again" if reason == "card_removed" else "fallback"
        s.trace.rule("house b", "ended from outside", reason=reason)
        self.outcome = s.outcome(kind, reason)
        s.trace.step_ended(True)
        return self.outcome

    def _advance(self, answer: "Any") -> "Step":
        if self._run is None:
            raise ValueError("not started")
        step: "Step" = self._run.send(answer)
        if isinstance(step, Outcome):
            self.outcome = step
            self._run.close()
        self.session.trace.step_ended(self.outcome is not None)
        return step


def _guarded(s: Session) -> "Run[None]":
    """The whole transaction; its last step is the outcome, whatever the card does."""
    try:
        yield from _transaction(s)
        raise Ended("terminated", "internal", "house b", "completion gave no outcome")
    except Ended as end:
        s.trace.rule(end.clause, end.text or end.reason)
        outcome = s.outcome(end.kind, end.reason)
    except TlvError as error:
        # Book 3, 7.5: data that are not correctly formatted end the transaction.
        s.trace.rule("B3 7.5 a", error.reason, offset=error.offset)
        outcome = s.outcome("terminated", "card_data")
    yield outcome


def _transaction(s: Session) -> "Run[None]":
    candidates = yield from selection.build_candidates(s)
    again = False
    while True:
        entry = yield from selection.select_final(s, candidates, again)
        s.stage("selection")
        if (yield from initiate.initiate(s)):
            break
        candidates.remove(entry)
        again = True
    s.stage("initiate")
    yield from read_data.read(s)
    s.stage("read_data")
    yield from oda.authenticate(s)
    s.stage("oda")
    restrictions.check(s)
    s.stage("restrictions")
    yield from cvm.verify(s)
    s.stage("cvm")
    yield from risk.manage(s)
    s.stage("risk")
    first = yield from actions.first_generate_ac(s)
    s.stage("first_generate_ac")
    yield from completion.complete(s, first)
