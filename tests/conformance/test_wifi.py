"""Conformance of hal.wifi: which networks there are, which are known, and joining one.

NetworkManager is played on a real bus, so its clock is real: order is asserted, never
duration. The radios that a terminal has for itself are the virtual one's, on virtual time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import pytest

from firmware import aio
from firmware.buses.dbus_linux import DBus
from firmware.buses.wire_wlan import WireWlan
from firmware.buses.wlan_mpy import MpyWlan
from firmware.drivers.wifi_linux import NmWifi
from firmware.drivers.wlan import WlanBearer
from firmware.hal import bearer
from firmware.hal.bearer import BearerError, NoService, PasswordRefused
from firmware.hal.wifi import OPEN, OTHER, WPA2, KnownNetwork, StaticIp
from host_tools.emulator.chips import wlan_radio
from host_tools.emulator.chips.wlan_radio import AccessPoint
from tests.support import rig as racks
from tests.support.dbus_rig import private_bus
from tests.support.mcu import installed
from tests.support.played_network import PlayedNm, Point
from tests.support.virtual_time import run

KINDS = pytest.mark.parametrize("kind", ["nm", "wire", "rp2", "esp32"])
#: What the air holds: name, password, strength in percent, whether it hides its name.
SHOP, CAFE, BACK = b"Shop", "Café".encode(), b"Back room"
KEY, WRONG = "correct horse", "wrong horse"
LIMIT_MS, JOIN_MS = 40_000, 15_000
#: Of a network that is not there: a service looks for it until its time is up.
ABSENT_MS = {"nm": 400}


@dataclass
class Rig:
    """A driver, and a hand in the air around it."""

    link: NmWifi | WlanBearer
    #: By name: a point's password becomes another one.
    change_key: Callable[[bytes, str], None]


def _strength(dbm: int) -> int:
    return 2 * (dbm + 100)


#: Name, password, dBm, hidden. The shop has two points.
AIR = ((SHOP, KEY, -60, False), (CAFE, "", -50, False), (BACK, KEY, -60, True),
       (SHOP, KEY, -85, False))  # fmt: skip


def _on_nm(story: Callable[[Rig], Awaitable[None]]) -> None:
    with private_bus() as daemon:

        async def main() -> None:
            nm, bus = PlayedNm(), DBus(daemon.address)
            for name, key, dbm, hidden in AIR:
                point = Point(name, key, _strength(dbm))
                point.hidden = hidden
                nm.show(point)

            def change_key(name: bytes, key: str) -> None:
                for point in nm.points:
                    point.password = key if point.ssid == name else point.password

            await nm.appear(daemon.address)
            try:
                await _told(story(Rig(NmWifi(bus, "wlan0"), change_key)))
            finally:
                await bus.close()
                await nm.vanish()

        aio.run(main())


def _on_radio(kind: str, story: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        rack = racks.rack()
        rack.radio.air = [
            AccessPoint(str(name, "utf-8"), key, wlan_radio.WPA2 if key else wlan_radio.OPEN, dbm,
                        hidden=hidden)
            for name, key, dbm, hidden in AIR
        ]  # fmt: skip

        def change_key(name: bytes, key: str) -> None:
            for point in rack.radio.air:
                point.key = key if point.ssid.encode() == name else point.key

        modules: AbstractContextManager[object] = nullcontext()
        if kind != "wire":
            modules = installed(rack, {"wlan": "wlan", "pins": "gpio"}, kind)
        with modules:
            wlan = (
                WireWlan(rack, "wlan", "wlan_net", "Board", KEY)
                if kind == "wire"
                else MpyWlan("Board", KEY)
            )
            await _told(story(Rig(WlanBearer(wlan), change_key)))

    run(main())


async def _told(story: Awaitable[None]) -> None:
    name, _ = await aio.first(("story", story), timeout_ms=LIMIT_MS)  # type: ignore[arg-type]  # an async function's
    assert name == "story", "the story did not end"


def play(kind: str, story: Callable[[Rig], Awaitable[None]]) -> None:
    """Run ``story``, which must end by itself."""
    if kind == "nm":
        _on_nm(story)
    else:
        _on_radio(kind, story)


@KINDS
def test_a_scan_tells_each_network_once_the_strongest_first(kind: str) -> None:
    async def story(rig: Rig) -> None:
        found = await rig.link.scan(3000)
        assert [one.ssid for one in found] == [CAFE, SHOP], "hidden ones are not among it"
        assert [one.bars for one in found] == sorted((one.bars for one in found), reverse=True)
        assert found[0].security == OPEN and found[1].security not in (OPEN, OTHER)
        assert not any(one.known or one.active for one in found)
        assert found[0].name == "Café"

    play(kind, story)


@KINDS
def test_a_network_is_joined_known_and_used_again(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.link.join(SHOP, WPA2, KEY, JOIN_MS)
        assert await rig.link.known() == [SHOP]
        status = await rig.link.status()
        assert (status.state, status.operator) == (bearer.UP, "Shop") and status.address
        (shop,) = [one for one in await rig.link.scan(3000) if one.ssid == SHOP]
        assert shop.known and shop.active
        await rig.link.stop()
        (shop,) = [one for one in await rig.link.scan(3000) if one.ssid == SHOP]
        assert shop.known and not shop.active
        await rig.link.start(JOIN_MS)
        assert (await rig.link.status()).operator == "Shop"

    play(kind, story)


@KINDS
def test_an_open_network(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.link.join(CAFE, OPEN, "", JOIN_MS)
        status = await rig.link.status()
        assert (status.state, status.operator) == (bearer.UP, "Café")

    play(kind, story)


@KINDS
def test_one_that_hides_its_name(kind: str) -> None:
    async def story(rig: Rig) -> None:
        assert rig.link.joins_hidden
        await rig.link.join(BACK, WPA2, KEY, JOIN_MS, hidden=True)
        assert await rig.link.known() == [BACK]
        status = await rig.link.status()
        assert (status.state, status.operator) == (bearer.UP, "Back room")

    play(kind, story)


@KINDS
def test_a_wrong_password_is_named_not_told_and_not_kept(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.link.join(CAFE, OPEN, "", JOIN_MS)
        with pytest.raises(PasswordRefused) as caught:
            await rig.link.join(SHOP, WPA2, WRONG, JOIN_MS)
        assert WRONG not in str(caught.value)
        assert await rig.link.known() == [CAFE], "what was known before still is"
        await rig.link.start(JOIN_MS)
        assert (await rig.link.status()).operator == "Café"

    play(kind, story)


@KINDS
def test_a_network_that_is_known_stays_so_when_it_is_joined_in_vain(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.link.join(SHOP, WPA2, KEY, JOIN_MS)
        with pytest.raises(PasswordRefused):
            await rig.link.join(SHOP, WPA2, WRONG, JOIN_MS)
        assert await rig.link.known() == [SHOP]
        await rig.link.start(JOIN_MS)
        assert (await rig.link.status()).state == bearer.UP
        # The access point gets another password; the new one takes the old one's place.
        rig.change_key(SHOP, "new password")
        await rig.link.join(SHOP, WPA2, "new password", JOIN_MS)
        assert await rig.link.known() == [SHOP]

    play(kind, story)


@KINDS
def test_a_network_that_is_not_in_the_air(kind: str) -> None:
    async def story(rig: Rig) -> None:
        before = await rig.link.known()
        with pytest.raises(NoService):
            await rig.link.join(b"Elsewhere", WPA2, KEY, ABSENT_MS.get(kind, JOIN_MS))
        assert await rig.link.known() == before

    play(kind, story)


@KINDS
@pytest.mark.parametrize(
    ("ssid", "security", "password"),
    [
        (b"", OPEN, ""),
        (bytes(33), OPEN, ""),
        (SHOP, OTHER, KEY),
        (SHOP, WPA2, "1234567"),
        (SHOP, WPA2, "passwörter"),
        (SHOP, WPA2, ""),
        (CAFE, OPEN, KEY),
    ],
)
def test_what_can_be_no_network_or_password_is_refused(
    kind: str, ssid: bytes, security: str, password: str
) -> None:
    async def story(rig: Rig) -> None:
        before = await rig.link.known()
        with pytest.raises(ValueError, match=r"network|password"):
            await rig.link.join(ssid, security, password, JOIN_MS)
        assert await rig.link.known() == before

    play(kind, story)


@KINDS
def test_a_network_is_forgotten_once(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.link.join(CAFE, OPEN, "", JOIN_MS)
        assert not await rig.link.forget(SHOP)
        assert await rig.link.forget(CAFE)
        assert not await rig.link.forget(CAFE)
        assert CAFE not in await rig.link.known()
        assert not [one for one in await rig.link.scan(3000) if one.ssid == CAFE and one.known]

    play(kind, story)


@KINDS
def test_a_static_address_is_used_or_refused_by_name(kind: str) -> None:
    address = StaticIp("10.1.2.77", 24, "10.1.2.1", ["10.1.2.53"])

    async def story(rig: Rig) -> None:
        if rig.link.joins_static:
            await rig.link.join(SHOP, WPA2, KEY, JOIN_MS, static=address)
            assert (await rig.link.status()).address == "10.1.2.77"
            return
        before = await rig.link.known()
        with pytest.raises(ValueError, match="DHCP"):
            await rig.link.join(SHOP, WPA2, KEY, JOIN_MS, static=address)
        assert await rig.link.known() == before

    play(kind, story)


@KINDS
def test_who_keeps_no_network_is_told_it(kind: str) -> None:
    async def story(rig: Rig) -> None:
        if rig.link.keeps:
            with pytest.raises(NotImplementedError):
                rig.link.know(None)
            return
        boards = await rig.link.known()
        rig.link.know(KnownNetwork(SHOP, WPA2, KEY))
        await rig.link.start(JOIN_MS)
        assert (await rig.link.status()).operator == "Shop"
        assert await rig.link.known() == [SHOP]
        with pytest.raises(ValueError, match="password"):
            rig.link.know(KnownNetwork(SHOP, WPA2, "1234567"))
        assert await rig.link.known() == [SHOP]
        rig.link.know(None)
        assert await rig.link.known() == boards

    play(kind, story)


@KINDS
def test_a_join_that_is_given_up_leaves_what_was_known(kind: str) -> None:
    async def story(rig: Rig) -> None:
        await rig.link.join(CAFE, OPEN, "", JOIN_MS)
        for after in (0, 3, 12, 30):
            await aio.first(("join", rig.link.join(SHOP, WPA2, WRONG, JOIN_MS)), timeout_ms=after)
        await rig.link.join(SHOP, WPA2, KEY, JOIN_MS)
        assert SHOP in await rig.link.known()
        assert (await rig.link.status()).operator == "Shop"

    play(kind, story)


@KINDS
def test_a_join_in_too_little_time_is_a_named_error(kind: str) -> None:
    async def story(rig: Rig) -> None:
        with pytest.raises(BearerError):
            await rig.link.join(SHOP, WPA2, KEY, 1)
        assert SHOP not in await rig.link.known()
        await rig.link.join(SHOP, WPA2, KEY, JOIN_MS)
        assert (await rig.link.status()).state == bearer.UP

    play(kind, story)
