"""Settings that a PC pushed count on the terminal, now and after a restart."""

from typing import Any

import pytest

from firmware.app import pc_config
from firmware.app.terminal import Terminal
from firmware.crypto.x25519 import KeyPair
from firmware.link import config_set
from firmware.payment.journal import records as r
from firmware.services.link_config import LinkConfig
from tests.device.stories import tell
from tests.support.handheld import Handheld
from tests.support.made_call import MadeCall, ask

PC = KeyPair(bytes(range(32)))


async def _push(t: Terminal, version: int, values: dict[str, Any]) -> None:
    terminal = (await t.devices.vault.link_key()).public
    made = config_set.made(version, values, "Office", PC, terminal)
    call = MadeCall("config_push", {1: made})
    call.key = PC.public
    await pc_config.config(t, lambda key: ()).handlers()["config_push"](call)
    assert call.ended == {1: version}


async def _values(t: Terminal) -> dict[str, Any]:
    call = await ask(pc_config.config(t, lambda key: ()).handlers(), "config_get", {1: []})
    return {item[1]: item[2] for item in call.items}


def test_language_links_and_reminders_follow_a_push(terminals: list[Terminal]) -> None:
    pushed = {
        "language": "zh",
        "link.order": "wifi,mobile,cable",
        "metered.wifi": True,
        "remind.inserts": 0,
        "remind.cuts": 7,
    }

    async def story(t: Handheld) -> None:
        await t.power_on()
        values = await _values(terminals[-1])
        assert values["language"] == "en" and values["remind.cuts"] is None
        order = values["link.order"].split(",")
        assert {f"metered.{name}" for name in order} <= set(values)
        pushed["link.order"] = ",".join(reversed(order))
        pushed[f"metered.{order[0]}"] = True
        pushed.pop("metered.wifi", None)
        await _push(terminals[-1], 1, pushed)
        await t.when(lambda tree: tree.get("language") == "zh", "Chinese")
        for terminal in (terminals[-1], None):
            if terminal is None:
                await t.power_off()
                await t.power_on()
                terminal = terminals[-1]
            values = await _values(terminal)
            assert {name: values[name] for name in pushed} == pushed
            ways = sorted(terminal.devices.network.ways, key=lambda way: way.rank)
            assert [way.name for way in ways] == list(reversed(order))
            assert t.screen["language"] == "zh"

    tell(story, "virtual-links")


def test_a_reminder_of_a_pc_counts_before_the_boards(terminals: list[Terminal]) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        terminal = terminals[-1]
        terminal.journal.state.counters[r.C_INSERTS] = 0
        await _push(terminal, 1, {"remind.inserts": 1})
        assert terminal.counters.due() == []
        await t.pay("100", "no-cvm", "result", "message")
        await t.back_to_idle()
        assert [due.limit for due in terminal.counters.due()] == [1]
        await _push(terminal, 2, {"remind.inserts": None})
        assert terminal.counters.due() == []
        assert all(result.kind != "service" for result in terminal.results)

    tell(story)


def test_a_push_that_lost_its_power_is_finished_by_the_next_start(
    terminals: list[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(self: LinkConfig) -> None:
        """The power goes before anything more is done."""

    async def story(t: Handheld) -> None:
        await t.power_on()
        with monkeypatch.context() as cut:
            cut.setattr(LinkConfig, "_finish", nothing)
            await _push(terminals[-1], 1, {"language": "zh"})
        assert terminals[-1].view.language == "en"
        await t.power_off()
        await t.power_on()
        assert t.screen["language"] == "zh"
        assert terminals[-1].journal.state.settings["config"] == 1

    tell(story)
