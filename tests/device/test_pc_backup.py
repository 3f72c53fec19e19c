"""A ledger moves to a new terminal, and its merchant goes on there."""

import hashlib
from typing import Any

from firmware.app import pc_backup
from firmware.app.menu import ITEMS
from firmware.app.terminal import Terminal
from firmware.crypto.x25519 import KeyPair
from firmware.link import archive
from firmware.payment.journal import records as r
from tests.device.stories import menu, sell
from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.made_call import MadeCall, ask

PC = KeyPair(bytes(range(32)))
SUPERVISOR = "123456"


async def _archive(t: Terminal) -> bytes:
    call = await ask(pc_backup.backup(t).handlers(), "backup", {1: PC.public})
    return b"".join(item[1] for item in call.items)


async def _restore(t: Terminal, data: bytes) -> dict[int, Any]:
    size = data[0] << 8 | data[1]
    call = MadeCall("restore", {1: len(data), 2: archive.key_for(data[2 : 2 + size], PC)})
    call.coming = [(False, {1: data[at : at + 3000]}) for at in range(0, len(data), 3000)]
    call.coming.append((True, {1: hashlib.sha256(data).digest()}))
    await pc_backup.backup(t).handlers()["restore"](call)
    ended: dict[int, Any] = call.ended
    return ended


def test_a_ledger_moves_to_a_new_terminal(terminals: list[Terminal]) -> None:
    async def run() -> None:
        old = Handheld()
        await old.power_on()
        await sell(old, "1234")
        await old.back_to_idle()
        data = await _archive(terminals[-1])
        pan = b"6222"
        assert b"OpenTill backup 1" in data and pan not in data
        books = dict(terminals[-1].journal.state.totals)
        stan = terminals[-1].journal.state.stan
        await old.power_off()
        new = Handheld(seed=2)
        await new.power_on()
        terminal = terminals[-1]
        assert await _restore(terminal, data) == {1: []}
        assert terminal.journal.state.totals == books
        await new.press("enter")
        await new.until("message")
        await new.back_to_idle()
        assert "error.journal_restored" in terminal.blocked
        await new.power_off()
        await new.power_on()
        terminal = terminals[-1]
        assert "error.journal_restored" in new.keys_shown()
        before = len(new.paper)
        await menu(new, ITEMS.index("menu.release") + 1)
        await new.until("secret")
        await new.press(*SUPERVISOR, "enter")
        await new.until("idle")
        assert terminal.blocked == [] and "BACKUP" in new.paper[before:]
        await sell(new, "100")
        await new.back_to_idle()
        state = terminal.journal.state
        assert state.totals == {("sale", 156): (2, 1334)}
        stans = [body[r.K_STAN] for kind, body in new.journal() if kind == "REQUEST"]
        assert len(stans) == 1 and stans[0] >= stan + 10_000
        await new.power_off()

    virtual_time.run(run())
