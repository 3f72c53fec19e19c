"""A link that stays dead restarts the terminal: from the idle screen, with its cause kept."""

import asyncio
from typing import Any

import pytest

from firmware import board_loader
from firmware.hal.restart import Restarter, RestartError
from firmware.payment.journal import records as r
from firmware.services.last_rung import LastRung
from tests.device.stories import sell, tell
from tests.support.handheld import Handheld


class Systemd(Restarter):
    """Takes the restart; the test cuts the power."""

    def __init__(self) -> None:
        self.taken = 0
        self.refuses = False

    async def restart(self) -> None:
        if self.refuses:
            raise RestartError("restart: Access denied")
        self.taken += 1


class Site:
    """The devices of the terminal's present life, with a system and a last rung."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.system = Systemd()
        self.devices: Any = None
        build = board_loader.build

        async def built(*given: Any) -> Any:
            self.devices = await build(*given)
            self.devices.restart = self.system
            self.devices.last_rung = LastRung(self.devices.clock, self.devices.files)
            return self.devices

        monkeypatch.setattr(board_loader, "build", built)

    def ask(self, cause: str) -> "asyncio.Task[bool]":
        return asyncio.ensure_future(self.devices.last_rung.ask(cause))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(monkeypatch)


def _restarts(t: Handheld) -> list[str]:
    notices = [body for kind, body in t.journal() if kind == "NOTICE"]
    return [body[r.K_DETAIL] for body in notices if body[r.K_CODE] == "restart"]


def test_it_is_journalled_shown_and_done(site: Site) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        asking = site.ask("mute")
        await t.until("message")
        assert "restart.now" in t.keys_shown()
        await asyncio.sleep(1)
        assert site.system.taken == 1
        await t.power_off()  # as the system does
        asking.cancel()
        assert _restarts(t) == ["mute, 1 in all"]
        await t.power_on()
        assert not await site.ask("mute"), "within the hour"
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_a_payment_is_not_interrupted(site: Site) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        await t.press("1", "2")
        await t.until("amount")
        asking = site.ask("mute")
        await asyncio.sleep(30)
        await t.press("enter")
        await t.until("present_card")
        assert not await asking and site.system.taken == 0 and _restarts(t) == []

    tell(story)


def test_a_system_that_refuses_is_told_and_the_terminal_serves_on(site: Site) -> None:
    async def story(t: Handheld) -> None:
        site.system.refuses = True
        await t.power_on()
        with pytest.raises(RestartError, match="Access denied"):
            await site.ask("no_carrier")
        await t.until("idle")
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)


def test_a_system_that_agrees_and_does_nothing_is_given_up(site: Site) -> None:
    async def story(t: Handheld) -> None:
        await t.power_on()
        with pytest.raises(RestartError, match="did not restart"):
            await site.ask("mute")
        await t.until("idle")
        await sell(t)
        assert "result.approved" in t.keys_shown()

    tell(story)
