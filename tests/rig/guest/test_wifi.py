"""Wi-Fi by NetworkManager and wpa_supplicant against hostapd, on mac80211_hwsim's two radios."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from firmware import aio
from firmware.buses.dbus_linux import DBus
from firmware.drivers.wifi_linux import NmWifi
from firmware.hal import bearer
from firmware.hal.bearer import NoService, PasswordRefused
from firmware.hal.wifi import WPA2, WPA3, StaticIp
from tests.rig.guest.waiting import until

Need = Callable[..., None]
#: The terminal's radio, and the access point's.
STATION, POINT = "wlan0", "wlan1"
PASSWORD = "correct horse"
ADDRESS = StaticIp("10.7.0.2", 24, "10.7.0.1", ["10.7.0.1"])

#: As tests/support/dbus.sh starts it: a /sys that is read-only tells it to expect no udev.
START_NM = """
busybox mount -o bind /sys /sys
busybox mount -o remount,bind,ro /sys
exec NetworkManager --debug --config {folder}/nm.conf --config-dir {folder} \
    --system-config-dir {folder} --state-file {folder}/nm.state
"""
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
</policy></busconfig>
"""
NM_CONFIG = f"""[main]
plugins=keyfile
dhcp=internal
dns=none
auth-polkit=false
no-auto-default=*
[keyfile]
path=/run/profiles
unmanaged-devices=*,except:interface-name:{STATION}
"""
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
"""


class Air:
    """A bus with NetworkManager and wpa_supplicant on it; access points come and go."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.address = f"unix:path={self.folder}/bus"
        (self.folder / "bus.xml").write_text(BUS_CONFIG.format(folder=self.folder))
        (self.folder / "nm.conf").write_text(NM_CONFIG)
        Path("/run/profiles").mkdir(exist_ok=True)
        Path("/run/NetworkManager").mkdir(exist_ok=True)
        Path("/var/lib/NetworkManager").mkdir(parents=True, exist_ok=True)
        self._point: subprocess.Popen[bytes] | None = None
        bus = self._start("dbus-daemon", "--nofork", f"--config-file={self.folder}/bus.xml")
        until((self.folder / "bus").exists, "a bus")
        self._programs = [
            bus,
            self._start("wpa_supplicant", "-u", "-O", "/run/wpa_supplicant"),
            self._start(
                "busybox", "unshare", "-m", "sh", "-c", START_NM.format(folder=self.folder)
            ),
        ]

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def on(self, ssid: str, kind: str) -> None:
        """An access point in the air, until ``off``. ``kind``: as hostapd names it."""
        config = self.folder / "hostapd.conf"
        config.write_text(
            POINT_CONFIG.format(
                interface=POINT, ssid=ssid, kind=kind, password=PASSWORD,
                protection=2 if kind == "SAE" else 0,
            )
        )  # fmt: skip
        said = self.folder / "hostapd.log"
        with said.open("wb") as log:
            self._point = subprocess.Popen(["hostapd", str(config)], stdout=log, stderr=log)
        until(lambda: b"AP-ENABLED" in said.read_bytes(), "an access point")

    def off(self) -> None:
        """It is gone without a word: its power failed."""
        if self._point is not None:
            subprocess.run(["busybox", "ifconfig", POINT, "down"], check=True)
            self._point.kill()
            self._point.wait()
            self._point = None

    def said(self) -> str:
        """What the services said, the last of it."""
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def close(self) -> None:
        """All of it ends."""
        self.off()
        for program in reversed(self._programs):
            program.terminate()
            program.wait(20)


@pytest.fixture(scope="module")
def air() -> Iterator[Air]:
    for module in ("mac80211_hwsim", "ccm", "cmac"):
        done = subprocess.run(["modprobe", module], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no kernel module {module}: {done.stderr.strip()}")
    air = Air()
    yield air
    air.close()
    subprocess.run(["rmmod", "mac80211_hwsim"], check=False)


def _run(air: Air, story: Callable[[NmWifi], Awaitable[None]]) -> None:
    async def main() -> None:
        bus = DBus(air.address)
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
        aio.run(aio.deadline(57000, main(), "the test"))
    except BaseException:
        print(air.said())
        raise
    finally:
        air.off()


def test_a_wpa2_network_is_seen_joined_and_forgotten(air: Air) -> None:
    air.on("shop", "WPA-PSK")

    async def story(wifi: NmWifi) -> None:
        await wifi.join(b"shop", WPA2, PASSWORD, 40000, static=ADDRESS)
        status = await wifi.status()
        assert (status.state, status.operator) == (bearer.UP, "shop")
        assert (status.address, status.dns) == ("10.7.0.2", ("10.7.0.1",)) and status.bars > 0
        (seen,) = await wifi.scan(8000)
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


def test_a_wrong_password_is_named_and_not_kept(air: Air) -> None:
    air.on("shop", "WPA-PSK")

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


def test_a_network_that_is_not_there(air: Air) -> None:
    async def story(wifi: NmWifi) -> None:
        with pytest.raises(NoService):
            await wifi.join(b"elsewhere", WPA2, PASSWORD, 12000)
        assert await wifi.known() == []

    _run(air, story)
