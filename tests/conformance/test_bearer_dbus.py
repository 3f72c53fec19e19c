"""Conformance of hal.bearer: links that system services keep, on a real bus with played ones.

The clock is real, for a bus is a process: order is asserted, never duration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from firmware import aio
from firmware.buses.dbus_linux import DBus
from firmware.drivers.mm_linux import MmModem
from firmware.drivers.nm_linux import NmCable
from firmware.drivers.wifi_linux import NmWifi
from firmware.hal import bearer
from firmware.hal.bearer import Bearer, BearerError, BearerMute, NoAddress
from firmware.hal.wifi import WPA2
from tests.support.dbus_rig import PrivateBus, private_bus
from tests.support.played_network import PlayedMm, PlayedNm, Point

KINDS = ("ethernet", "wifi", "mobile")
LIMIT_MS = 20_000


class Rig:
    """The services, and the bearer of a kind; a Wi-Fi network is known and in the air."""

    def __init__(self, kind: str, daemon: PrivateBus) -> None:
        self.kind = kind
        self.daemon = daemon
        self.nm, self.mm = PlayedNm(), PlayedMm()
        self.bus = DBus(daemon.address)
        self.point = Point(b"shop", "correct horse")
        self.nm.points = [self.point]
        made: dict[str, Callable[[], Bearer]] = {
            "ethernet": lambda: NmCable(self.bus, "eth0"),
            "wifi": lambda: NmWifi(self.bus, "wlan0"),
            "mobile": lambda: MmModem(self.bus, "cmnet"),
        }
        self.bearer = made[kind]()
        self.device = {"ethernet": "eth0", "wifi": "wlan0", "mobile": "modem"}[kind]

    async def open(self) -> None:
        await self.nm.appear(self.daemon.address)
        await self.mm.appear(self.daemon.address)
        if isinstance(self.bearer, NmWifi):
            await self.bearer.join(b"shop", WPA2, "correct horse", 5000)
            await self.bearer.stop()

    async def close(self) -> None:
        await self.bus.close()
        await self.nm.vanish()
        await self.mm.vanish()


def play(kind: str, story: Callable[[Rig], Awaitable[None]]) -> None:
    """Run ``story``, which must end by itself."""
    with private_bus() as daemon:

        async def main() -> None:
            rig = Rig(kind, daemon)
            try:
                await rig.open()
                name, _ = await aio.first(("story", story(rig)), timeout_ms=LIMIT_MS)  # type: ignore[arg-type]  # an async function's
                assert name == "story", "the story did not end"
            finally:
                await rig.close()

        aio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_up_and_down(kind: str) -> None:
    async def story(rig: Rig) -> None:
        link = rig.bearer
        status = await link.status()
        assert (status.state, status.cause, status.address) == (bearer.DOWN, "stopped", "")
        assert status.kind == link.kind == kind
        await link.start(5000)
        begun = rig.nm.called.count("ActivateConnection")
        await link.start(5000)  # harmless
        assert rig.nm.called.count("ActivateConnection") == begun
        status = await link.status()
        assert (status.state, status.cause) == (bearer.UP, "")
        assert (status.address, status.dns) == ("10.1.2.3", ("10.1.2.53",))
        assert link.dns == status.dns  # what connections through it ask
        assert status.bars == {"ethernet": 4, "wifi": 3, "mobile": 4}[kind]
        assert status.operator == {"ethernet": "", "wifi": "shop", "mobile": "OPEN MOBILE"}[kind]
        assert link.interface == {"ethernet": "eth0", "wifi": "wlan0", "mobile": "ppp0"}[kind]
        await link.stop()
        await link.stop()
        status = await link.status()
        assert (status.state, status.cause, status.address) == (bearer.DOWN, "stopped", "")
        assert link.dns == ()
        await link.start(5000)
        assert (await link.status()).state == bearer.UP

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_every_reset_ends_up(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.bearer.start(5000)
        for level in rig.bearer.levels:
            begun = rig.nm.called.count("ActivateConnection")
            await rig.bearer.reset(level, 15_000)
            assert rig.nm.called.count("ActivateConnection") == begun + 1
            assert (await rig.bearer.status()).state == bearer.UP
        for level in ("usb", "reboot", ""):
            with pytest.raises(ValueError, match="no reset"):
                await rig.bearer.reset(level, 1000)

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_leaves_the_bus_is_mute_and_comes_back(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.bearer.start(5000)
        await rig.nm.vanish()
        status = await rig.bearer.status()
        assert (status.state, status.cause) == (bearer.DOWN, "mute")
        await rig.bearer.stop()
        for act in (rig.bearer.start(3000), rig.bearer.reset("bearer", 3000)):
            with pytest.raises(BearerMute):
                await act
        await rig.nm.appear(rig.daemon.address)
        await rig.bearer.start(5000)
        assert (await rig.bearer.status()).state == bearer.UP

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bus_that_ends_is_mute_and_is_found_again(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.bearer.start(5000)
        rig.daemon.stop()
        assert (await rig.bearer.status()).cause == "mute"
        with pytest.raises(BearerMute):
            await rig.bearer.start(3000)
        rig.daemon.start()
        await rig.nm.appear(rig.daemon.address)
        await rig.mm.appear(rig.daemon.address)
        await rig.bearer.start(5000)
        assert (await rig.bearer.status()).state == bearer.UP

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_an_activation_that_never_ends_is_bounded(kind: str) -> None:
    async def story(rig: Rig) -> None:
        rig.nm.stuck = True
        with pytest.raises(BearerError) as caught:
            await rig.bearer.start(600)
        assert caught.value.cause == "no_carrier"
        status = await rig.bearer.status()
        assert (status.state, status.cause) == (bearer.DOWN, "no_carrier")
        rig.nm.stuck = False
        await rig.bearer.reset("bearer", 5000)
        assert (await rig.bearer.status()).state == bearer.UP

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("member", ["GetAll", "ActivateConnection"])
def test_a_service_that_does_not_answer_is_a_named_error(kind: str, member: str) -> None:
    async def story(rig: Rig) -> None:
        rig.nm.silent = {member}
        with pytest.raises(BearerError):
            await rig.bearer.start(600)
        assert (await rig.bearer.status()).state == bearer.DOWN
        rig.nm.silent = set()
        await rig.bearer.start(5000)
        assert (await rig.bearer.status()).state == bearer.UP

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_signals_that_come_late_or_never_delay_nothing_for_good(kind: str) -> None:
    async def story(rig: Rig) -> None:
        for late_s in (0.3, 3600.0):
            rig.nm.signal_late_s = late_s
            await rig.bearer.start(5000)
            assert (await rig.bearer.status()).state == bearer.UP
            await rig.bearer.stop()

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_start_leaves_a_usable_bearer(kind: str) -> None:
    async def story(rig: Rig) -> None:
        for after in (0, 2, 5, 9, 14, 30):
            await aio.first(("start", rig.bearer.start(5000)), timeout_ms=after)
            await rig.bearer.start(5000)
            assert (await rig.bearer.status()).state == bearer.UP
            await rig.bearer.stop()

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_address_has_a_name(kind: str) -> None:
    async def story(rig: Rig) -> None:
        rig.nm.dhcp = False
        with pytest.raises(NoAddress, match="DHCP") as caught:
            await rig.bearer.start(5000)
        assert caught.value.cause == "no_address"

    play(kind, story)


@pytest.mark.parametrize("kind", KINDS)
def test_wiping_leaves_no_secret_and_never_raises(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.bearer.start(5000)
        await rig.bearer.wipe()
        await rig.bearer.wipe()
        kept = [one for one in rig.nm.profiles.values() if "802-3-ethernet" not in str(one)]
        assert kept == []
        await rig.nm.vanish()
        await rig.bearer.wipe()
        await rig.mm.vanish()
        await rig.bearer.wipe()

    play(kind, story)
