"""Wi-Fi by NetworkManager and wpa_supplicant against hostapd and busybox's DHCP server, on
mac80211_hwsim's three radios."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.dbus_linux import DBus
from firmware.drivers.wifi_linux import NmWifi
from firmware.hal import bearer
from firmware.hal.bearer import NoService, PasswordRefused
from firmware.hal.wifi import WPA2, WPA3, StaticIp
from tests.rig.guest.services import Services
from tests.rig.guest.waiting import Story, until

Need = Callable[..., None]
#: The terminal's radio, and those of two access points.
STATION, POINT, SECOND = "wlan0", "wlan1", "wlan2"
PASSWORD = "correct horse"
ADDRESS = StaticIp("10.7.0.2", 24, "10.7.0.1", ["10.7.0.1"])
CONTROL = "/run/wpa_supplicant"
#: Of mac80211_hwsim: a domain in which stations may ask on most channels instead of listening
#: on each for a tenth of a second, so that a scan takes one second and not four.
CUSTOM_WORLD = 5
#: What the DHCP server gives.
LEASED, DNS = "10.7.0.77", "10.7.0.53"
DHCP_CONFIG = """interface {interface}
start {leased}
end {leased}
option subnet 255.255.255.0
option router 10.7.0.1
option dns {dns}
option lease 600
lease_file {folder}/leases
pidfile {folder}/dhcp.pid
"""
LIMIT_MS = 110_000
#: A station that was told to go over and is not heard by the other point stays where it is.
TELL_AGAIN_MS = 5_000

POINT_CONFIG = """interface={interface}
driver=nl80211
ssid={ssid}
hw_mode=g
channel=6
wpa=2
rsn_pairwise=CCMP
wpa_key_mgmt={kind}
wpa_passphrase={password}
sae_password={password}
ieee80211w={protection}
sae_require_mfp={protection}
ignore_broadcast_ssid={hidden}
wpa_pairwise_update_count={tries}
"""
#: How often a point asks a station that joins for its next word, a second apart: a busy machine's
#: station is slow. hostapd's own choice, after which it has the station for one with a wrong
#: password.
PATIENT, USUAL = 20, 4


class Air:
    """NetworkManager and wpa_supplicant; access points come and go."""

    def __init__(self) -> None:
        self.services = Services("wifi")
        self.services.start("wpa_supplicant", "-u", "-O", CONTROL)
        self.services.network_manager(f"interface-name:{STATION}")
        self._points: dict[str, subprocess.Popen[bytes]] = {}
        self._server: subprocess.Popen[bytes] | None = None

    def on(
        self, ssid: str, kind: str, point: str = POINT, hidden: bool = False, tries: int = PATIENT
    ) -> None:
        """An access point in the air, until ``off``. ``kind``: as hostapd names it. ``tries``:
        how often it asks a station that joins for its next word."""
        config = self.services.folder / f"{point}.conf"
        config.write_text(
            POINT_CONFIG.format(
                interface=point, ssid=ssid, kind=kind, password=PASSWORD,
                protection=2 if kind == "SAE" else 0, hidden=int(hidden), tries=tries,
            )
        )  # fmt: skip
        said = self.services.log(point)
        said.unlink(missing_ok=True)
        self._points[point] = self.services.start("hostapd", str(config), log=point)
        until(lambda: b"AP-ENABLED" in said.read_bytes(), "an access point", 40)

    def serve(self) -> None:
        """Give addresses in the first point's network, until it is off."""
        address = ("10.7.0.1", "netmask", "255.255.255.0")
        subprocess.run(["busybox", "ifconfig", POINT, *address], check=True)
        folder = self.services.folder
        config = folder / "dhcp.conf"
        config.write_text(
            DHCP_CONFIG.format(interface=POINT, leased=LEASED, dns=DNS, folder=folder)
        )
        (folder / "leases").touch()
        command = ("busybox", "udhcpd", "-f", "-a", "200", str(config))
        self._server = self.services.start(*command, log="udhcpd")

    def off(self, *points: str) -> None:
        """They are gone without a word: their power failed. All of them unless told."""
        if self._server is not None:
            self.services.end(self._server)
            self._server = None
            subprocess.run(["busybox", "ifconfig", POINT, "0.0.0.0"], check=True)
        for point in points or list(self._points):
            subprocess.run(["busybox", "ifconfig", point, "down"], check=True)
            self.services.end(self._points.pop(point))

    def address(self, point: str) -> str:
        """By which a point is known in the air."""
        return Path(f"/sys/class/net/{point}/address").read_text().strip()

    def _supplicant(self, *command: str) -> str:
        call = ["wpa_cli", "-p", CONTROL, "-i", STATION, *command]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout

    def used(self) -> str:
        """The point in use; "" for none."""
        lines = self._supplicant("status").splitlines()
        bssids = [line.removeprefix("bssid=") for line in lines if line.startswith("bssid=")]
        found = [point for point in self._points if self.address(point) in bssids]
        return found[0] if found else ""

    def roam(self, point: str) -> None:
        """Tell the station to go over to ``point``, as it does by itself for a better signal."""
        until(lambda: self._goes(point), "the going over", 40)

    def _goes(self, point: str) -> bool:
        """Whether it does; it goes only where it has heard somebody, and then it listens again,
        unless it does already."""
        if "OK" in self._supplicant("roam", self.address(point)):
            return True
        self._supplicant("scan")
        return False

    def close(self) -> None:
        """All of it ends."""
        self.off()
        self.services.close()


@pytest.fixture(scope="module")
def air(need: Need) -> Iterator[Air]:
    need("ccm", "cmac")
    need("mac80211_hwsim", options=["radios=3", f"regtest={CUSTOM_WORLD}"])
    air = Air()
    yield air
    air.close()
    subprocess.run(["rmmod", "mac80211_hwsim"], check=False)


def _run(air: Air, story: Callable[[NmWifi], Story]) -> None:
    async def main() -> None:
        bus = DBus(air.services.address)
        wifi = NmWifi(bus, STATION)
        try:
            while (await wifi.status()).cause == "mute":
                await aio.sleep_ms(200)  # NetworkManager is starting
            await story(wifi)
        finally:
            for ssid in await wifi.known():
                await wifi.forget(ssid)
            await bus.close()

    try:
        aio.run(aio.deadline(LIMIT_MS, main(), "the test"))
    finally:
        air.off()


def test_a_wpa2_network_is_seen_joined_and_forgotten(air: Air) -> None:
    air.on("shop", "WPA-PSK")

    async def story(wifi: NmWifi) -> None:
        await wifi.join(b"shop", WPA2, PASSWORD, 40000, static=ADDRESS)
        status = await wifi.status()
        assert (status.state, status.operator) == (bearer.UP, "shop")
        assert (status.address, status.dns) == ("10.7.0.2", ("10.7.0.1",)) and status.bars > 0
        (seen,) = await wifi.scan(3000)
        assert (seen.ssid, seen.security) == (b"shop", WPA2)
        assert seen.known and seen.active
        assert await wifi.forget(b"shop") and await wifi.known() == []

    _run(air, story)


def test_a_wpa3_network(air: Air) -> None:
    air.on("counter", "SAE")

    async def story(wifi: NmWifi) -> None:
        await wifi.join(b"counter", WPA3, PASSWORD, 45000, static=ADDRESS)
        status = await wifi.status()
        assert (status.state, status.operator) == (bearer.UP, "counter")

    _run(air, story)


def test_a_hidden_network_is_joined_by_its_name(air: Air) -> None:
    air.on("back room", "WPA-PSK", hidden=True)

    async def story(wifi: NmWifi) -> None:
        assert b"back room" not in [one.ssid for one in await wifi.scan(3000)]
        await wifi.join(b"back room", WPA2, PASSWORD, 40000, hidden=True, static=ADDRESS)
        status = await wifi.status()
        assert (status.state, status.operator) == (bearer.UP, "back room")
        assert await wifi.known() == [b"back room"]

    _run(air, story)


def test_an_address_by_dhcp(air: Air) -> None:
    air.on("shop", "WPA-PSK")
    air.serve()

    async def story(wifi: NmWifi) -> None:
        await wifi.join(b"shop", WPA2, PASSWORD, 45000)
        status = await wifi.status()
        assert (status.state, status.address, status.dns) == (bearer.UP, LEASED, (DNS,))

    _run(air, story)


def test_a_wrong_password_is_named_and_not_kept(air: Air) -> None:
    air.on("shop", "WPA-PSK", tries=USUAL)

    async def story(wifi: NmWifi) -> None:
        with pytest.raises(PasswordRefused):
            await wifi.join(b"shop", WPA2, "wrong horse", 45000, static=ADDRESS)
        assert await wifi.known() == []

    _run(air, story)


def test_an_access_point_that_is_lost_and_comes_back(air: Air) -> None:
    air.on("shop", "WPA-PSK")

    async def story(wifi: NmWifi) -> None:
        await wifi.join(b"shop", WPA2, PASSWORD, 30000, static=ADDRESS)
        air.off()
        while (await wifi.status()).state == bearer.UP:
            await aio.sleep_ms(200)
        air.on("shop", "WPA-PSK")
        await wifi.start(30000)
        assert (await wifi.status()).state == bearer.UP

    _run(air, story)


def test_going_over_to_another_point_of_the_network_is_no_loss(air: Air) -> None:
    air.on("shop", "WPA-PSK")
    air.on("shop", "WPA-PSK", SECOND)

    async def story(wifi: NmWifi) -> None:
        await wifi.join(b"shop", WPA2, PASSWORD, 40000, static=ADDRESS)
        for _ in range(3):
            other = SECOND if air.used() == POINT else POINT
            told = -TELL_AGAIN_MS
            while air.used() != other or (await wifi.status()).bars == 0:
                if aio.ticks_ms() - told > TELL_AGAIN_MS:
                    air.roam(other)
                    told = aio.ticks_ms()
                status = await wifi.status()
                if status.cause != "mute":  # a busy machine's NetworkManager has not answered
                    assert status.state != bearer.DOWN and status.address == "10.7.0.2"
                await aio.sleep_ms(100)
            status = await wifi.status()
            assert (status.state, status.operator) == (bearer.UP, "shop")
        (seen,) = [one for one in await wifi.scan(3000) if one.ssid == b"shop"]  # not one each
        assert seen.active and seen.known

    _run(air, story)


def test_a_lost_point_of_two_is_replaced_by_the_other(air: Air) -> None:
    air.on("shop", "WPA-PSK")
    air.on("shop", "WPA-PSK", SECOND)

    async def story(wifi: NmWifi) -> None:
        await wifi.join(b"shop", WPA2, PASSWORD, 40000, static=ADDRESS)
        lost = air.used()
        air.off(lost)
        while air.used() == "" or (await wifi.status()).state != bearer.UP:
            await aio.sleep_ms(200)
        assert air.used() != lost and (await wifi.status()).operator == "shop"

    _run(air, story)


def test_a_network_that_is_not_there(air: Air) -> None:
    async def story(wifi: NmWifi) -> None:
        with pytest.raises(NoService):
            await wifi.join(b"elsewhere", WPA2, PASSWORD, 6000)
        assert await wifi.known() == []

    _run(air, story)
