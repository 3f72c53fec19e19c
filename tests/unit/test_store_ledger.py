"""A terminal's ledger in a file, and from it onto another terminal: both ends together."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from firmware.link.services import CallRefused
from firmware.link.streams import END, ITEM
from firmware.payment.journal import records as r
from host_tools.errors import UserError
from host_tools.pc_link import calls
from host_tools.store import ledger
from tests.portable import test_link_backup as ends
from tests.support.journal_script import request

WORD = "correct horse battery"
#: scrypt's cost in tests.
CHEAP = 4


def _quiet(done: int, total: int) -> None:
    """Nobody watches."""


class _Made(calls.Call):
    """A request straight into a terminal's handler."""

    def __init__(self, handler: Any, service: str, arguments: dict[int, Any]) -> None:
        self._there = ends.MadeCall(service, arguments)
        self._there.item = self._item
        self._there.next = self._next
        self._said: asyncio.Queue[tuple[int, Any]] = asyncio.Queue()
        self._sent: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(handler))

    async def _run(self, handler: Any) -> None:
        try:
            await handler(self._there)
            await self._said.put((END, self._there.ended))
        except CallRefused as error:
            await self._said.put((0, calls.CallFailed(error.code, error.code, error.details)))

    async def _item(self, value: dict[int, Any]) -> None:
        await self._said.put((ITEM, value))

    async def _next(self) -> tuple[bool, Any]:
        return await self._sent.get()

    async def items(self) -> AsyncIterator[dict[int, Any]]:
        while True:
            kind, value = await self._said.get()
            if kind == ITEM:
                yield value
            else:
                self._last = kind, value
                return

    async def result(self) -> dict[int, Any]:
        if not hasattr(self, "_last"):
            async for _ in self.items():
                pass
        kind, value = self._last
        if kind != END:
            raise value
        return value

    async def send(self, item: dict[int, Any], last: bool = False) -> None:
        await self._sent.put((last, item))

    async def cancel(self) -> None:
        self._task.cancel()


class There(calls.Terminal):
    """A terminal of test_link_backup as the PC's tools see one."""

    def __init__(self, terminal: Any, spoil: Any = None) -> None:
        self.terminal = terminal
        self.key = terminal.static.public
        self.spoil = spoil

    async def open(
        self, service: str, arguments: dict[int, Any] | None = None, deadline_ms: int = 0
    ) -> calls.Call:
        return _Made(self.terminal.services[service], service, arguments or {})


async def _backed_up(path: Path, debt: bool = False) -> Any:
    old = await ends._old()
    if debt:
        await old.journal.append(r.REQUEST, request(old.journal.state.stan, 4321))
    there = There(old)
    found = await ledger.back_up(there, there.key, str(path), WORD, _quiet, CHEAP)
    return old, found


def test_a_ledger_goes_to_a_new_terminal_by_way_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "old.ledger"

    async def main() -> None:
        old, found = await _backed_up(path, debt=True)
        told = found.summary
        assert (told.serial, told.made, told.lines) == ("OLD", ends.NOW, 3)
        assert told.totals == {"156": 600} and told.sequence == told.records == 24
        assert told.open == [(4, 4321, 156)]
        assert found == ledger.read(str(path), WORD, _quiet) and ledger.is_one(str(path))
        new = await ends._new()
        assert await ledger.restore(There(new), found, _quiet) == [[4, 4321, 156]]
        assert ends._ledger(new.journal) == ends._ledger(old.journal)
        with pytest.raises(calls.CallFailed, match="used"):
            await ledger.restore(There(new), found, _quiet)
        with pytest.raises(UserError, match="this terminal's own"):
            await ledger.back_up(There(old), bytes(32), str(path), WORD, _quiet, CHEAP)

    asyncio.run(main())
    assert [one.name for one in tmp_path.iterdir()] == ["old.ledger"]


def test_a_spoilt_file_is_refused_before_a_terminal_hears_of_it(tmp_path: Path) -> None:
    path = tmp_path / "old.ledger"
    asyncio.run(_backed_up(path))
    good = path.read_bytes()
    for at in [*range(0, 120, 3), *range(120, len(good), 211), len(good) - 1]:
        spoilt = bytearray(good)
        spoilt[at] ^= 0x20
        path.write_bytes(spoilt)
        with pytest.raises(UserError):
            ledger.read(str(path), WORD, _quiet)
    for cut in (0, 5, 11, 12, 60, 200, len(good) // 2, len(good) - 33, len(good) - 1):
        path.write_bytes(good[:cut])
        with pytest.raises(UserError):
            ledger.read(str(path), WORD, _quiet)
    path.write_bytes(good + b"\0")
    with pytest.raises(UserError):
        ledger.read(str(path), WORD, _quiet)
    path.write_bytes(good)
    with pytest.raises(UserError, match="passphrase"):
        ledger.read(str(path), WORD + "!", _quiet)
    with pytest.raises(UserError, match="cannot be read"):
        ledger.read(str(tmp_path / "none"), WORD, _quiet)
    newer = bytearray(good)
    newer[9] = 2
    path.write_bytes(newer)
    with pytest.raises(UserError, match="newer till"):
        ledger.read(str(path), WORD, _quiet)


def test_a_header_may_not_ask_for_all_memory(tmp_path: Path) -> None:
    path = tmp_path / "old.ledger"
    asyncio.run(_backed_up(path))
    good = path.read_bytes()
    for cost in (19, 20, 40):
        header = ledger.cbor2.dumps({1: bytes(16), 2: cost, 3: bytes(32)}, canonical=True)
        head = ledger._HEAD.pack(ledger.MAGIC, 1, len(header))
        path.write_bytes(head + header + good[-5000:])
        with pytest.raises(UserError, match="does not read"):
            ledger.read(str(path), WORD, _quiet)


def test_a_terminal_that_lies_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "old.ledger"

    async def main() -> None:
        old = await ends._old()
        honest = old.services["backup"]

        async def short(call: Any) -> None:
            send, count = call.item, [0]

            async def fewer(value: dict[int, Any]) -> None:
                count[0] += 1
                if count[0] != 5:
                    await send(value)

            call.item = fewer
            await honest(call)

        old.services["backup"] = short
        with pytest.raises(UserError, match="what arrived"):
            await ledger.back_up(There(old), There(old).key, str(path), WORD, _quiet, CHEAP)

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []
