"""The D-Bus drivers against Debian's own NetworkManager and ModemManager, on a bus of their own.

NetworkManager runs in namespaces of its own with one cable; ModemManager takes the
virtual modem by its test interface. Wi-Fi needs a radio: that is the rig's. The
modem's port is a socket, where pppd finds no terminal: a mobile link is followed
up to the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest

from firmware import aio
from firmware.buses.dbus_linux import DBus
from firmware.drivers.mm_linux import MmModem
from firmware.drivers.nm_linux import NetworkManager, NmCable
from firmware.drivers.wifi_linux import NmWifi
from firmware.hal import bearer
from firmware.hal.bearer import BearerError, BearerMute, SimPinNeeded
from firmware.hal.mobile import MobileSettings, ShortMessage
from firmware.hal.wifi import OPEN, WPA2, StaticIp
from host_tools.emulator.chips.at_modem import AtModemChip
from host_tools.emulator.modem_pty import EchoEnd, now_us
from tests.support import dbus_rig
from tests.support.dbus_rig import ModemSocket, PrivateBus, private_bus

NM = "org.freedesktop.NetworkManager"
MM = "org.freedesktop.ModemManager1"
MM_PATH = "/org/freedesktop/ModemManager1"
LIMIT_MS = 90_000
#: TS 23.040: "Hallo" of +31641600986.
SMS = "07911326040000F0040B911346610089F60000208062917314080CC8F71D14969741F977FD07"

Story = Callable[[PrivateBus, DBus], Awaitable[None]]


@pytest.fixture(autouse=True)
def services() -> None:
    reason = dbus_rig.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def daemon() -> Iterator[PrivateBus]:
    with private_bus() as bus:
        yield bus


def play(daemon: PrivateBus, story: Story) -> None:
    async def main() -> None:
        bus = DBus(daemon.address)
        try:
            name, _ = await aio.first(("story", story(daemon, bus)), timeout_ms=LIMIT_MS)  # type: ignore[arg-type]  # an async function's
            assert name == "story", "the story did not end"
        finally:
            await bus.close()

    aio.run(main())


def test_a_cable_by_the_real_networkmanager(daemon: PrivateBus) -> None:
    async def story(daemon: PrivateBus, bus: DBus) -> None:
        await daemon.run("networkmanager", NM)
        cable = NmCable(bus, "eth7")
        while (await cable.status()).cause == "mute":
            await aio.sleep_ms(100)  # it has its name before it has its devices
        assert (await cable.status()).state == bearer.DOWN
        # Nobody at the other end gives addresses.
        with pytest.raises(BearerError) as caught:
            await cable.start(2500)
        assert caught.value.cause == "no_carrier"
        await cable.configure(StaticIp("10.9.8.7", 24, "10.9.8.1", ["10.9.8.53", "9.9.9.9"]))
        await cable.start(15_000)
        await cable.start(15_000)
        status = await cable.status()
        assert (status.state, status.cause) == (bearer.UP, "")
        assert (status.address, status.dns) == ("10.9.8.7", ("10.9.8.53", "9.9.9.9"))
        await cable.reset("bearer", 15_000)
        assert (await cable.status()).address == "10.9.8.7"
        await cable.stop()
        await cable.stop()
        status = await cable.status()
        assert (status.state, status.cause, status.address) == (bearer.DOWN, "stopped", "")
        await cable.configure(None)
        with pytest.raises(BearerError):
            await cable.start(1500)
        with pytest.raises(BearerMute, match="no device eth8"):
            await NmCable(bus, "eth8").start(1500)
        with pytest.raises(BearerError, match="does not manage far7"):
            await NmCable(bus, "far7").start(1500)
        daemon.stop("networkmanager")
        assert (await cable.status()).cause == "mute"
        with pytest.raises(BearerMute):
            await cable.start(1500)

    play(daemon, story)


async def taken(modem: MmModem) -> list[ShortMessage]:
    """The messages, once ModemManager has its port back from the call."""
    while True:
        try:
            return await modem.messages()
        except BearerError:
            await aio.sleep_ms(500)


async def with_modem(
    daemon: PrivateBus, bus: DBus, chip: AtModemChip, story: Callable[[], Awaitable[None]]
) -> None:
    """Run ``story`` with both services and ``chip`` as ModemManager's modem."""
    await daemon.run("networkmanager", NM)
    await daemon.run("modemmanager", MM)
    path = daemon.folder / "modem"
    port = ModemSocket(chip, path)
    try:
        await bus.call(
            MM, MM_PATH, MM + ".Test", "SetProfile", "ssas", ["opentill", "generic", [str(path)]],
            timeout_ms=30_000,
        )  # fmt: skip
        await story()
    finally:
        await port.close()


def test_a_modem_by_the_real_modemmanager(daemon: PrivateBus) -> None:
    async def story(daemon: PrivateBus, bus: DBus) -> None:
        chip = AtModemChip(now_us, "generic", 1, EchoEnd)
        chip.messages = {3: SMS}

        async def told() -> None:
            modem = MmModem(bus, "cmnet")
            with pytest.raises(BearerError) as caught:
                await modem.start(60_000)
            # Registered, and the call was answered; PPP is what lacks.
            assert caught.value.cause == "no_carrier"
            assert chip.context[1] == "cmnet"
            assert any(said.startswith("ATD*99") for said in chip.log)
            status = await modem.status()
            assert (status.state, status.cause) == (bearer.DOWN, "no_carrier")
            assert status.operator == "OPEN MOBILE" and status.bars == 4 and not status.roaming
            await modem.stop()
            assert (await modem.status()).cause == "stopped"
            assert [one.sender for one in await taken(modem)] == ["+31641600986"]
            assert chip.messages == {} and await modem.messages() == []

        await with_modem(daemon, bus, chip, told)

    play(daemon, story)


def test_a_locked_sim_by_the_real_modemmanager(daemon: PrivateBus) -> None:
    async def story(daemon: PrivateBus, bus: DBus) -> None:
        chip = AtModemChip(now_us, "generic", 1, EchoEnd)
        chip.sim, chip.sim_pin = "pin", "4711"

        async def told() -> None:
            modem = MmModem(bus, "cmnet")
            with pytest.raises(SimPinNeeded):
                await modem.start(60_000)
            assert (await modem.status()).cause == "sim_pin"
            with pytest.raises(SimPinNeeded):
                await modem.enter_pin("1234")
            await modem.enter_pin("4711")
            assert (await modem.status()).cause == "stopped"
            # Unlocked it is searched with; the radio's reset ends as far as a start does.
            with pytest.raises(BearerError, match="gave the connection up"):
                await modem.reset("radio", 60_000)
            assert chip.log.count("AT+CREG=2") == 2 and chip.log.count("AT+CREG=0") == 1
            assert (await modem.status()).operator == "OPEN MOBILE"

        await with_modem(daemon, bus, chip, told)

    play(daemon, story)


def test_networks_of_python_dbusmock(daemon: PrivateBus) -> None:
    """A NetworkManager that neither we nor its authors wrote."""

    async def story(daemon: PrivateBus, bus: DBus) -> None:
        await daemon.run("dbusmock", NM)
        mock = "org.freedesktop.DBus.Mock"
        root = "/org/freedesktop/NetworkManager"
        device = await bus.answer(
            str, NM, root, mock, "AddWiFiDevice", "ssu", ["wlan0", "wlan0", 30]
        )
        for name, ssid, flags, strength in (
            ("one", "cafe", 0, 82), ("two", "shop", 0x188, 40), ("three", "new", 0x488, 60)
        ):  # fmt: skip
            body = [device, name, ssid, f"00:11:22:33:44:{strength:02x}", 2, 2425, 5400,
                    strength, flags]  # fmt: skip
            await bus.call(NM, root, mock, "AddAccessPoint", "ssssuuuyu", body)
        wifi = NmWifi(bus, "wlan0")
        assert (await wifi.status()).state == bearer.DOWN
        found = await wifi.scan(1000)
        assert [(one.name, one.bars) for one in found] == [("cafe", 4), ("new", 3), ("shop", 2)]
        assert [one.known for one in found] == [False, False, False]
        assert await wifi.known() == [] and not await wifi.forget(b"cafe")
        known: list[bytes] = []
        for joined, kind, password in ((b"cafe", OPEN, ""), (b"shop", WPA2, "correct horse")):
            await wifi.join(joined, kind, password, 3000)
            known.append(joined)
            assert await wifi.known() == known
            # Its devices have no access point in use: a link of unknown quality.
            assert (await wifi.status()).state == bearer.DEGRADED
        assert await wifi.forget(b"cafe")
        assert await wifi.known() == [b"shop"]

    play(daemon, story)


def test_what_the_menu_sets_is_taken_by_the_real_services_and_wiped(daemon: PrivateBus) -> None:
    async def story(daemon: PrivateBus, bus: DBus) -> None:
        chip = AtModemChip(now_us, "generic", 1, EchoEnd)

        async def told() -> None:
            modem, manager = MmModem(bus, "cmnet"), NetworkManager(bus)
            for wanted in (MobileSettings("", roaming=False), MobileSettings("shop", "a", "b")):
                modem.set_up(wanted, "")
                with pytest.raises(BearerError):
                    await modem.start(60_000)  # no PPP on a socket
                (kept,) = [one for _, one in await manager.profiles("gsm")]
                gsm = kept["gsm"]
                assert gsm.get("auto-config", False) == (wanted.apn == "")
                assert gsm.get("apn", "") == wanted.apn and gsm.get("username", "") == wanted.user
                assert gsm.get("home-only", False) != wanted.roaming
            assert (await modem.sim()).state == "ready"
            await modem.wipe()
            assert await manager.profiles("gsm") == []

        await with_modem(daemon, bus, chip, told)

    play(daemon, story)
