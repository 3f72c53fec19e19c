"""The whole bank inside a test or the emulator: no socket, no thread, no file."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from host_tools.acquirer.bank import Bank
from host_tools.acquirer.enrol import Enrolment, Wishes, enrol
from host_tools.acquirer.issuer import DeckData
from host_tools.acquirer.keys import Random
from host_tools.acquirer.ledger import Ledger, open_engine
from host_tools.acquirer.pki import Authority, server_context
from host_tools.acquirer.rules import Rules
from host_tools.acquirer.session import CallLater, Timer, TlsServerSession


class InProcessAcquirer:
    """A bank with books in memory and its own test PKI, unless others are given.

    ``now`` gives Unix seconds. Sessions of ``connect`` take their time from
    ``call_later``, by default the running asyncio loop's (virtual in tests).
    """

    def __init__(
        self,
        deck: DeckData,
        rules: Rules | None = None,
        now: Callable[[], int] | None = None,
        *,
        call_later: CallLater | None = None,
        random: Random = secrets.token_bytes,
        profile: str = "ecdsa",
        sign_declines: bool = True,
        ledger: Ledger | None = None,
        authority: Authority | None = None,
    ) -> None:
        self.deck = deck
        self.rules = rules if rules is not None else Rules()
        self.now = now if now is not None else _wall_clock
        self.ledger = ledger if ledger is not None else Ledger(open_engine())
        self.authority = authority if authority is not None else Authority.create(profile)
        self.context = server_context(self.authority, self.authority.issue_server(profile=profile))
        self.bank = Bank(self.ledger, deck, self.rules, self.now, random, sign_declines)
        self.profile = profile
        self._call_later = call_later if call_later is not None else loop_call_later

    def enrol(self, serial: str, **wishes: Any) -> tuple[bytes, bytes]:
        """(bundle.cbor, factory.cbor) for this device; ``wishes`` as in enrol.Wishes."""
        made = self.enrolment(serial, **wishes)
        return made.bundle, made.factory

    def enrolment(self, serial: str, **wishes: Any) -> Enrolment:
        """As ``enrol``, with the terminal and merchant id."""
        wishes.setdefault("profile", self.profile)
        return enrol(self.ledger, self.authority, self.deck, Wishes(serial, **wishes), self.now)

    def connect(
        self, address: str = "in-process", on_output: Callable[[], None] | None = None
    ) -> TlsServerSession:
        """The bank's end of a new connection."""
        return TlsServerSession(self.bank, self.context, self._call_later, address, on_output)

    def rule(self, kind: str, /, **when_and_what: Any) -> None:
        """Make the next matching request meet a rule (docs/acquirer.md)."""
        self.rules.add(kind, **when_and_what)

    def approved_total(self, terminal_id: str | None = None) -> int:
        """Minor units approved and not reversed."""
        return self.ledger.approved_total(terminal_id)

    def transactions(self, terminal_id: str | None = None) -> list[dict[str, Any]]:
        """The ledger's transactions in order."""
        return self.ledger.transactions(terminal_id)

    def close(self) -> None:
        """Give the database back."""
        self.ledger.close()


def loop_call_later(milliseconds: int, act: Callable[[], None]) -> Timer:
    """``call_later`` of the running asyncio loop."""
    return asyncio.get_running_loop().call_later(milliseconds / 1000, act)


def _wall_clock() -> int:
    import time

    return int(time.time())
