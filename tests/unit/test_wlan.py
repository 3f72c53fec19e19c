"""Wi-Fi of a microcontroller: the station interface of both ports over the virtual radio."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from firmware import aio
from firmware.buses.raw_net import RawConnection
from firmware.buses.tcp_mpy import TcpMpy
from firmware.buses.wire import BusError
from firmware.buses.wlan import JOIN_MS, REST_MS, WlanError
from firmware.buses.wlan_mpy import MpyWlan
from firmware.drivers.wlan import WlanBearer
from firmware.hal import bearer, wifi
from firmware.hal.bearer import BearerError, BearerMute, NoAddress, NoService, PasswordRefused
from host_tools.emulator.chips.wlan_radio import OPEN, WPA2, WPA2_WPA3, WPA3, AccessPoint, WlanRadio
from tests.support import rig
from tests.support.mcu import installed
from tests.support.virtual_time import run

PORTS = pytest.mark.parametrize("port", ["rp2", "esp32"])
SHOP = "小店 Shop"
KEY = "correct horse"


@contextmanager
def air(port: str, *others: AccessPoint, **shop: Any) -> Iterator[tuple[WlanRadio, AccessPoint]]:
    """The radio, and the shop's access point in its air."""
    rack = rig.rack()
    point = AccessPoint(SHOP, KEY, **shop)
    rack.radio.air = [point, *others]
    with installed(rack, {"wlan": "wlan", "pins": "gpio"}, port):
        yield rack.radio, point


@PORTS
def test_joins_tells_and_leaves(port: str) -> None:
    async def main() -> None:
        with air(port, dbm=-58) as (radio, _):
            link = WlanBearer(MpyWlan(SHOP, KEY, country="CN"))
            status = await link.status()
            assert (status.state, status.cause, status.bars) == (bearer.DOWN, "stopped", 0)
            await link.start(20_000)
            await link.start(20_000)  # harmless
            assert radio.joins == 1
            status = await link.status()
            assert (status.state, status.cause, status.kind) == (bearer.UP, "", "wifi")
            assert (status.bars, status.operator, status.address) == (3, SHOP, "192.168.4.20")
            await link.stop()
            await link.stop()
            status = await link.status()
            assert (status.state, status.cause, status.address) == (bearer.DOWN, "stopped", "")

    run(main())


@PORTS
@pytest.mark.parametrize(
    ("dbm", "bars", "state"), [(-50, 4, "up"), (-70, 2, "up"), (-84, 1, "up"), (-93, 0, "degraded")]
)
def test_bars(port: str, dbm: int, bars: int, state: str) -> None:
    async def main() -> None:
        with air(port, dbm=dbm):
            link = WlanBearer(MpyWlan(SHOP, KEY))
            await link.start(20_000)
            status = await link.status()
            assert (status.bars, status.state) == (bars, state)

    run(main())


@PORTS
@pytest.mark.parametrize(
    ("shop", "wish", "error", "words"),
    [
        ({}, (SHOP, "wrong horse"), PasswordRefused, "refuses the password"),
        ({"on": False}, (SHOP, KEY), NoService, "is not there"),
        ({}, ("Elsewhere", KEY), NoService, "is not there"),
        ({}, (SHOP, "", "open"), BearerError, "joining failed"),
        ({"gives_address": False}, (SHOP, KEY), BearerError, "no connection in time"),
    ],
)
def test_what_does_not_join_has_its_name_in_time(
    port: str, shop: dict[str, Any], wish: tuple[str, ...], error: type[BearerError], words: str
) -> None:
    async def main() -> None:
        with air(port, **shop) as (radio, _):
            link = WlanBearer(MpyWlan(*wish))
            began = aio.ticks_ms()
            with pytest.raises(error, match=words) as caught:
                await link.start(9000)
            assert aio.elapsed_ms(began) <= 9100
            assert radio.joins == 1, "a password is not tried for ever"
            assert wish[1] == "" or wish[1] not in str(caught.value)
            # Why stays known, though the radio itself has forgotten it.
            for _ in range(2):
                status = await link.status()
                assert (status.state, status.cause) == (bearer.DOWN, caught.value.cause)

    run(main())


@PORTS
def test_an_access_point_that_is_lost_and_comes_back(port: str) -> None:
    async def main() -> None:
        with air(port) as (radio, point):
            wlan = MpyWlan(SHOP, KEY)
            link = WlanBearer(wlan)
            await link.start(20_000)
            point.on = False
            await link.status()  # the radio misses the first beacons
            await aio.sleep_ms(7000)
            status = await link.status()
            assert (status.state, status.cause) == (bearer.DOWN, "no_carrier")
            with pytest.raises(NoService):
                await link.reset("bearer", 9000)
            point.on = True
            await link.reset("radio", 20_000)
            assert (await link.status()).state == bearer.UP
            assert radio.on

    run(main())


@PORTS
def test_who_asks_for_the_link_brings_it_back(port: str) -> None:
    async def main() -> None:
        with air(port) as (radio, point):
            wlan = MpyWlan(SHOP, KEY)
            assert await wlan.link() == (False, 0)
            assert await wlan.link() == (False, 0)
            assert radio.joins == 1, "one attempt at a time"
            await aio.sleep_ms(3000)
            assert await wlan.link() == (True, 3)
            point.on = False
            await wlan.link()
            await aio.sleep_ms(7000)
            assert await wlan.link() == (False, 0)
            await aio.sleep_ms(REST_MS)
            point.on = True
            await wlan.link()
            await aio.sleep_ms(3000)
            assert await wlan.link() == (True, 3)

    run(main())


class _Connected(RawConnection):
    """Stands for a socket, which lives on no virtual clock."""


@PORTS
def test_a_connection_waits_for_the_network(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = []

    async def connect(self: TcpMpy, host: str, number: int) -> RawConnection:
        dialled.append((host, number))
        return _Connected()

    monkeypatch.setattr(TcpMpy, "connect", connect)

    async def main() -> None:
        with air(port) as (_, point):
            wlan = MpyWlan(SHOP, KEY)
            await wlan.link()  # the idle screen has begun it
            assert isinstance(await wlan.connect("bank.test", 443), _Connected)
            assert dialled == [("bank.test", 443)]
            wlan.leave()
            point.on = False
            began = aio.ticks_ms()
            with pytest.raises(WlanError):
                await wlan.connect("bank.test", 443)
            assert aio.elapsed_ms(began) <= JOIN_MS
            assert len(dialled) == 1

    run(main())


@PORTS
def test_securities(port: str) -> None:
    async def main() -> None:
        for security, only, joins in (
            (WPA2, "auto", True), (WPA3, "auto", True), (WPA2_WPA3, "auto", True),
            (WPA3, "wpa3", True), (WPA2_WPA3, "wpa3", True), (WPA2, "wpa3", False),
        ):  # fmt: skip
            with air(port, security=security):
                link = WlanBearer(MpyWlan(SHOP, KEY, only))
                if joins and (port == "rp2" or only == "auto"):
                    await link.start(20_000)
                    continue
                with pytest.raises(BearerError) as caught:
                    await link.start(20_000)
                if port == "esp32":
                    assert "cannot be told" in str(caught.value)
        with air(port) as (_, point):
            point.security, point.key = OPEN, ""
            await WlanBearer(MpyWlan(SHOP, "", "open")).start(20_000)

    run(main())


@PORTS
def test_a_radio_that_is_dead_is_mute(port: str) -> None:
    async def main() -> None:
        with air(port) as (radio, _):
            wlan = MpyWlan(SHOP, KEY)
            link = WlanBearer(wlan)
            await link.start(20_000)
            radio.mute = True
            status = await link.status()
            assert (status.state, status.cause) == (bearer.DOWN, "mute")
            with pytest.raises(BearerMute):
                await link.start(5000)
            with pytest.raises(BearerMute):
                await link.reset("radio", 5000)
            with pytest.raises(ValueError, match="no reset usb"):
                await link.reset("usb", 5000)
            with pytest.raises(BusError):
                await wlan.link()
            with pytest.raises(WlanError):
                wlan.scan()
            await link.stop()
            assert wlan.address() == ""

    run(main())


@PORTS
def test_a_scan_names_each_network_once_and_the_strongest_first(port: str) -> None:
    async def main() -> None:
        others = (
            AccessPoint("Neighbour", "x" * 8, dbm=-50),
            AccessPoint(SHOP, KEY, dbm=-40, bssid=b"\x02\0\0\0\0\x02"),
            AccessPoint("Secret", "x" * 8, hidden=True),
        )
        with air(port, *others) as (radio, _):
            wlan = MpyWlan(SHOP, KEY)
            assert wlan.scan() == [(SHOP, -40, False), ("Neighbour", -50, False)]
            radio.air = []
            assert wlan.scan() == []

    run(main())


def test_what_a_board_may_not_ask_for() -> None:
    async def main() -> None:
        with air("rp2"):
            for wish in ((SHOP, "", "auto"), (SHOP, KEY, "open"), (SHOP, KEY, "wep")):
                with pytest.raises(ValueError, match="Wi-Fi"):
                    MpyWlan(*wish)
            with pytest.raises(WlanError, match="two letters"):
                MpyWlan(SHOP, KEY, country="China")

    run(main())


def test_a_chip_without_a_radio(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    monkeypatch.setitem(sys.modules, "network", None)
    with pytest.raises(WlanError, match="no network"):
        MpyWlan(SHOP, KEY)
    monkeypatch.setitem(sys.modules, "network", types.ModuleType("network"))
    with pytest.raises(WlanError, match="wlan: "):
        MpyWlan(SHOP, KEY)


@PORTS
def test_a_network_is_chosen_joined_and_forgotten(port: str) -> None:
    async def main() -> None:
        cafe = AccessPoint("Café", "", security=OPEN, dbm=-50)
        hidden = AccessPoint("Back room", "x" * 8, hidden=True)
        with air(port, cafe, hidden) as (_, _):
            link = WlanBearer(MpyWlan(SHOP, KEY))
            await link.start(20_000)
            seen = [(one.name, one.security, one.bars, one.known, one.active)
                    for one in await link.scan(8000)]  # fmt: skip
            assert seen == [
                ("Café", wifi.OPEN, 4, False, False),
                (SHOP, wifi.WPA2_WPA3, 3, True, True),
            ]
            await link.join("Café".encode(), wifi.OPEN, "", 20_000)
            assert (await link.status()).operator == "Café"
            await link.join(b"Back room", wifi.WPA2_WPA3, "x" * 8, 20_000, hidden=True)
            assert await link.known() == [b"Back room"]
            assert not await link.forget("Café".encode())
            assert await link.forget(b"Back room")
            assert (await link.status()).cause == "no_carrier"
            await link.start(20_000)
            assert (await link.status()).operator == SHOP  # the board's own
            assert not await link.forget(SHOP.encode())

    run(main())


@PORTS
def test_what_cannot_be_joined_leaves_the_network_of_before(port: str) -> None:
    async def main() -> None:
        with air(port, AccessPoint("Neighbour", "y" * 8)) as (radio, _):
            link = WlanBearer(MpyWlan(SHOP, KEY))
            await link.start(20_000)
            with pytest.raises(PasswordRefused) as caught:
                await link.join(b"Neighbour", wifi.WPA2_WPA3, "wrong horse", 20_000)
            assert caught.value.text_key == "error.wifi_password"
            assert "wrong horse" not in str(caught.value)
            with pytest.raises(NoService):
                await link.join(b"Elsewhere", wifi.WPA2_WPA3, "wrong horse", 20_000)
            with pytest.raises(ValueError, match="DHCP"):
                await link.join(b"Neighbour", wifi.WPA2_WPA3, "y" * 8, 20_000,
                                static=wifi.StaticIp("10.0.0.2", 24, "10.0.0.1", []))  # fmt: skip
            with pytest.raises(ValueError, match="UTF-8"):
                await link.join(b"\xff\xfe", wifi.OPEN, "", 20_000)
            await link.start(20_000)
            assert (await link.status()).operator == SHOP
            radio.mute = True
            with pytest.raises(BearerMute):
                await link.scan(8000)

    run(main())


def test_joining_interrupts_a_start_that_waits() -> None:
    async def main() -> None:
        with air("esp32", AccessPoint("Neighbour", "y" * 8)) as (_, point):
            point.gives_address = False
            link = WlanBearer(MpyWlan(SHOP, KEY))
            starting = aio.spawn("start", link.start(90_000))
            await aio.sleep_ms(5000)
            began = aio.ticks_ms()
            await link.join(b"Neighbour", wifi.WPA2_WPA3, "y" * 8, 20_000)
            assert aio.elapsed_ms(began) < 3000
            assert isinstance(starting.error, BearerError)
            await link.wipe()
            assert await link.known() == [SHOP.encode()]

    run(main())


def test_a_missing_address_has_a_name_where_the_port_tells_it() -> None:
    async def main() -> None:
        with air("rp2", gives_address=False) as (_, point):
            link = WlanBearer(MpyWlan(SHOP, KEY))
            with pytest.raises(NoAddress):
                await link.start(9000)
            assert (await link.status()).cause == "no_address"
            point.gives_address = True
            await link.start(9000)
            assert (await link.status()).cause == ""

    run(main())
