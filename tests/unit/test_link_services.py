"""Whatever arguments the table lets through: a handler answers, refuses, or names a failure."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.errors import TillError
from firmware.link.services import SERVICES, CallRefused, NotOfTable, check
from firmware.payment.journal import records as r
from firmware.services.link_journal import LinkJournal
from firmware.services.link_watch import LinkWatch
from firmware.services.log_ring import LogRing, masked
from tests.portable import test_link_backup, test_link_config
from tests.support.journal_script import fold_bytes, sale
from tests.support.made_call import MadeCall

PLAIN = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=40)
VALUES: Any = st.recursive(
    PLAIN | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 9) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


def _of(rule: str, least: int, most: int) -> Any:
    if rule == "int":
        near = st.integers(least, min(most, least + 60))
        return near | st.integers(least, most)
    if rule == "bool":
        return st.booleans()
    if rule == "bytes":
        return st.binary(min_size=least, max_size=min(most, least + 64))
    if rule == "text":
        return st.text(min_size=least, max_size=min(most, least + 20))
    if rule == "list":
        return st.lists(VALUES | st.sampled_from(["status", "log", "language"]), max_size=4)
    return VALUES


def _arguments(service: str) -> Any:
    fixed = {}
    maybe = {}
    for key, (_, rule, least, most, must) in SERVICES[service][1].items():
        (fixed if must else maybe)[key] = _of(rule, least, most)
    return st.fixed_dictionaries(fixed, optional=maybe)


MINE = (
    "journal_read", "journal_ack", "watch", "log", "config_get", "config_push", "backup", "restore",
)  # fmt: skip
REQUESTS = st.sampled_from(MINE).flatmap(lambda name: st.tuples(st.just(name), _arguments(name)))
COMING = st.lists(
    st.tuples(st.booleans(), VALUES | st.fixed_dictionaries({1: st.binary(max_size=200)})),
    max_size=6,
)


async def _asked(handlers: dict[str, Any], service: str, arguments: Any, coming: Any) -> None:
    try:
        check(SERVICES[service][1], arguments)
    except NotOfTable:
        return  # the host refuses it
    call = MadeCall(service, arguments)
    call.coming = [*coming, (True, {})]
    try:
        await asyncio.wait_for(handlers[service](call), 0.3 if service == "watch" else 30)
        assert call.ended is not None
    except CallRefused as refusal:
        assert call.ended is None and 1 <= len(refusal.code) <= 16
        check({1: ("code", "text", 1, 16, True)}, {1: refusal.code})
    except (TillError, TimeoutError):
        assert call.ended is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(REQUESTS, COMING), min_size=1, max_size=6))
def test_no_arguments_are_a_defect(requests: list[Any]) -> None:
    async def main() -> None:
        terminal = await test_link_backup._new()
        await sale(terminal.journal)
        config = await test_link_config.Terminal().begin()
        ring = LogRing()
        ring.add("a line")

        async def look() -> dict[int, Any]:
            return {1: "ready"}

        watch = LinkWatch({"journal": look, "status": look, "screen": look}, ring)
        handlers = {
            **LinkJournal(terminal.journal, terminal.files).handlers(),
            **watch.handlers(), **config.handlers, **terminal.services,
        }  # fmt: skip
        state = terminal.journal.state
        books = (dict(state.totals), state.stan, state.debt, state.unconfirmed)
        settings_before = config.values()
        for (service, arguments), coming in requests:
            await _asked(handlers, service, arguments, coming)
        assert books == (dict(state.totals), state.stan, state.debt, state.unconfirmed)
        assert config.values() == settings_before
        again = test_link_backup.Terminal(
            "NEW", test_link_backup.NEW, terminal.files, terminal.vault
        )
        await again.begin()
        state.acknowledged = again.journal.state.acknowledged  # no record says it
        assert fold_bytes(terminal.journal) == fold_bytes(again.journal)
        await terminal.journal.append(r.NOTICE, {r.K_CODE: "lives"})

    asyncio.run(main())


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.text("0123456789 -=D^;*", max_size=300))
def test_no_line_has_a_card_number(text: str) -> None:
    line = masked(text)
    run = 0
    for sign in line:
        run = run + 1 if sign in "0123456789" else 0
        assert run < 12
    assert all(32 <= ord(sign) < 127 or ord(sign) >= 160 for sign in line)
    ring = LogRing()
    ring.add(text)
    line.encode()
