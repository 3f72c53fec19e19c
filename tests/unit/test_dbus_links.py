"""Wi-Fi and mobile data over D-Bus: what only they have, and services that answer badly."""

from __future__ import annotations

import sys

import pytest
from dbus_fast import Variant

from firmware import aio
from firmware.buses.dbus_linux import DBus, ServiceRefused, items, number, text
from firmware.buses.wire import BusError
from firmware.drivers.mm_linux import MmModem
from firmware.drivers.nm_linux import NmCable
from firmware.drivers.wifi_linux import NmWifi, bars, security
from firmware.hal import bearer
from firmware.hal.bearer import (
    BearerError,
    BearerMute,
    NoService,
    PasswordRefused,
    RegistrationDenied,
    SimMissing,
    SimPinNeeded,
    SimPukNeeded,
)
from firmware.hal.mobile import MobileSettings
from firmware.hal.wifi import OPEN, OTHER, WPA2, WPA2_WPA3, WPA3, StaticIp, check_join, ssid_name
from tests.conformance.test_bearer_dbus import Rig, play
from tests.support.dbus_rig import Refused, gone, private_bus
from tests.support.played_network import MM, MM_PATH, NM, NM_PATH, PlayedMm, Point

# ---- values --------------------------------------------------------------------------------


def test_values_of_another_type_are_named() -> None:
    for read, value in ((number, "7"), (number, True), (text, 7), (text, None)):
        with pytest.raises(BusError, match="State is no"):
            read({"State": value}, "State")
    for value in ("ao", [1], {"a": 1}):
        with pytest.raises(BusError, match="State is no list of str"):
            items({"State": value}, "State", str)
    assert (number({}, "State"), text({}, "State"), items({}, "State", str)) == (0, "", [])


def test_protection_by_flags() -> None:
    # Flags of access points as NetworkManager 1.42 gives them.
    assert security(0, 0, 0) == OPEN
    assert security(1, 0, 0x188) == WPA2
    assert security(1, 0x144, 0x188) == WPA2
    assert security(1, 0, 0x588) == WPA2_WPA3
    assert security(1, 0, 0x488) == WPA3
    assert security(1, 0x144, 0) == OTHER  # WPA of 2003
    assert security(1, 0, 0) == OTHER  # WEP
    assert security(1, 0, 0x288) == OTHER  # 802.1X
    assert security(0, 0, 0x1000) == OPEN
    assert [bars(percent) for percent in (0, 5, 6, 30, 31, 56, 81, 100)] == [0, 0, 1, 1, 2, 3, 4, 4]


def test_names_and_passwords() -> None:
    assert ssid_name("咖啡".encode()) == "咖啡"
    assert ssid_name(b"\xff\x01") == "0xff01"
    assert ssid_name(b"a\nb") == "a?b"
    check_join(b"x", OPEN, "")
    check_join(b"x", WPA2, "a" * 8)
    check_join(b"x", WPA2, "0" * 64)
    check_join(b"x", WPA3, "a")
    for ssid, kind, password in (
        (b"", OPEN, ""), (b"x" * 33, OPEN, ""), (b"x", OTHER, "abcdefgh"), (b"x", OPEN, "abc"),
        (b"x", WPA2, "a" * 7), (b"x", WPA2, "g" * 64), (b"x", WPA2, "passwörter"), (b"x", WPA3, ""),
        (b"x", WPA3, "0" * 64),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"network|password"):
            check_join(ssid, kind, password)
    for bad in ("1.2.3", "1.2.3.256", "1.2.3.x", "1.2.3.4.5", "", "1.2.3.٤"):
        with pytest.raises(ValueError, match="IPv4"):
            StaticIp(bad, 24, "1.2.3.1", [])
    with pytest.raises(ValueError, match="prefix"):
        StaticIp("1.2.3.4", 31, "1.2.3.1", [])


# ---- the bus -------------------------------------------------------------------------------


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dbus_fast.aio", None)

    async def main() -> None:
        assert (await NmCable(DBus("unix:path=/nowhere"), "eth0").status()).cause == "mute"
        with pytest.raises(BearerMute, match="dbus-fast is not installed"):
            await NmCable(DBus("unix:path=/nowhere"), "eth0").start(1000)

    aio.run(main())


def test_no_bus_is_named() -> None:
    async def main() -> None:
        for address in ("unix:path=/nowhere", "tcp:", "nonsense"):
            with pytest.raises(BearerMute):
                await NmCable(DBus(address), "eth0").start(1000)

    aio.run(main())


def test_answers_in_the_wrong_order_go_to_their_questions() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.hold = 3
        names = ("eth0", "wlan0", "nope")
        calls = [
            rig.bus.answer(str, NM, NM_PATH, NM, "GetDeviceByIpIface", "s", [name])
            for name in names[:2]
        ]

        async def refused() -> str:
            with pytest.raises(ServiceRefused) as caught:
                await rig.bus.call(NM, NM_PATH, NM, "GetDeviceByIpIface", "s", ["nope"])
            return caught.value.name

        found = await aio.gather(*calls, refused())
        assert found == [rig.nm.device("eth0"), rig.nm.device("wlan0"), NM + ".UnknownDevice"]

    play("ethernet", story)


def test_a_late_answer_is_dropped() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.late_s = {"GetDevices": 0.2}
        for _ in range(3):
            with pytest.raises(BusError, match="no answer within 50 ms"):
                await rig.bus.call(NM, NM_PATH, NM, "GetDevices", timeout_ms=50)
        await aio.sleep_ms(250)
        call = (NM, NM_PATH, NM, "GetDeviceByIpIface", "s", ["eth0"])
        assert await rig.bus.answer(str, *call) == rig.nm.device("eth0")
        with pytest.raises(BusError, match="no int"):
            await rig.bus.answer(int, *call)

    play("ethernet", story)


def test_nobody_there_and_bad_paths_are_errors_of_the_bus() -> None:
    with private_bus() as daemon:

        async def main() -> None:
            bus = DBus(daemon.address)
            assert "ServiceUnknown" in await gone(bus, (NM, NM_PATH, NM, "GetDevices"))
            assert await gone(bus, (NM, "no path", NM, "GetDevices"))
            with pytest.raises(BusError):
                await bus.listen(NM, NM_PATH, NM)
            await bus.close()
            await bus.close()

        aio.run(main())


@pytest.mark.parametrize("kind", ["ethernet", "wifi", "mobile"])
@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("Device", "State", Variant("s", "up")),
        ("Device", "Ip4Config", Variant("u", 7)),
        ("Device", "ActiveConnection", Variant("as", ["/"])),
        ("Device", "Udi", Variant("ay", b"x")),
        ("Device", "IpInterface", Variant("b", True)),
        ("Device", "AvailableConnections", Variant("s", "/")),
        ("Device.Wireless", "ActiveAccessPoint", Variant("a{sv}", {})),
        ("Device.Wireless", "LastScan", Variant("s", "now")),
    ],
)
def test_malformed_properties_are_states_and_named_errors(
    kind: str, part: str, name: str, value: Variant
) -> None:
    async def story(rig: Rig) -> None:
        rig.nm.values(rig.device, part)[name] = value
        status = await rig.bearer.status()
        assert status.state == bearer.DOWN
        try:
            await rig.bearer.start(500)
        except BearerError:
            assert (await rig.bearer.status()).state != bearer.UP
        await rig.bearer.stop()

    play(kind, story)


# ---- Wi-Fi ---------------------------------------------------------------------------------


def wifi(rig: Rig) -> NmWifi:
    assert isinstance(rig.bearer, NmWifi)
    return rig.bearer


def test_what_is_in_the_air() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.points += [
            Point(b"shop", "correct horse", strength=90), Point(b"cafe", strength=20),
            Point(b"new", "secret word", sae=True), Point(b"", "hidden one"),
        ]  # fmt: skip
        found = await wifi(rig).scan(3000)
        told = [(one.name, one.security, one.bars, one.known) for one in found]
        assert told == [("shop", WPA2, 4, True), ("new", WPA3, 3, False), ("cafe", OPEN, 1, False)]
        await wifi(rig).start(5000)
        assert [one.ssid for one in await wifi(rig).scan(3000) if one.active] == [b"shop"]

    play("wifi", story)


def test_joining_and_forgetting() -> None:
    async def story(rig: Rig) -> None:
        for ssid, password, sae in ((b"cafe", "", False), (b"new", "secret", True)):
            rig.nm.show(Point(ssid, password, sae=sae))
            kind = OPEN if not password else WPA3
            await wifi(rig).join(ssid, kind, password, 5000)
            assert (await wifi(rig).status()).operator == ssid.decode()
        made = [one["802-11-wireless-security"] for one in rig.nm.profiles.values()
                if "802-11-wireless-security" in one]  # fmt: skip
        assert [one["key-mgmt"].value for one in made] == ["wpa-psk", "sae"]
        assert await wifi(rig).known() == [b"cafe", b"new", b"shop"]
        assert await wifi(rig).forget(b"cafe") and not await wifi(rig).forget(b"cafe")
        assert await wifi(rig).known() == [b"new", b"shop"]

    play("wifi", story)


def test_tampering_forgets_every_network() -> None:
    async def story(rig: Rig) -> None:
        await wifi(rig).join(b"shop", WPA2, "correct horse", 5000)
        assert await wifi(rig).known() == [b"shop"]
        await wifi(rig).wipe()
        assert await wifi(rig).known() == []
        await rig.nm.vanish()
        await wifi(rig).wipe()

    play("wifi", story)


def test_a_hidden_network_with_a_static_address() -> None:
    async def story(rig: Rig) -> None:
        point = Point(b"back room", "correct horse")
        point.hidden = True
        rig.nm.show(point)
        rig.nm.dhcp = False
        with pytest.raises(NoService):
            await wifi(rig).join(b"back room", WPA2, "correct horse", 700)
        static = StaticIp("192.168.7.9", 24, "192.168.7.1", ["192.168.7.1"])
        await wifi(rig).join(b"back room", WPA2, "correct horse", 5000, True, static)
        status = await wifi(rig).status()
        assert (status.state, status.address) == (bearer.UP, "192.168.7.9")
        kept = next(p for p in rig.nm.profiles.values() if p["ipv4"]["method"].value == "manual")
        # 192.168.7.1 as a number whose bytes lie in that order in memory.
        assert kept["ipv4"]["dns"].value[0].to_bytes(4, sys.byteorder) == bytes([192, 168, 7, 1])
        assert kept["ipv4"]["gateway"].value == "192.168.7.1"

    play("wifi", story)


def test_a_wrong_password_is_told_from_an_access_point_that_went_away() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.show(Point(b"cafe", "another one"))
        with pytest.raises(PasswordRefused) as caught:
            await wifi(rig).join(b"cafe", WPA2, "not that one", 5000)
        assert caught.value.cause == "denied" and "not that one" not in str(caught.value)
        assert await wifi(rig).known() == [b"shop"]  # it was not joined
        await wifi(rig).start(5000)
        rig.nm.lose_point(rig.point)
        status = await wifi(rig).status()
        assert (status.state, status.cause) == (bearer.DOWN, "no_service")
        with pytest.raises(NoService):
            await wifi(rig).start(500)
        rig.point.in_the_air = True
        rig.point.password = "changed since"
        with pytest.raises(PasswordRefused):
            await wifi(rig).start(5000)
        assert (await wifi(rig).status()).cause == "denied"

    play("wifi", story)


def test_a_replaced_password_is_kept_and_a_wrong_one_is_not() -> None:
    async def story(rig: Rig) -> None:
        rig.point.password = "changed since"
        with pytest.raises(PasswordRefused):
            await wifi(rig).join(b"shop", WPA2, "not that one", 5000)
        assert len(rig.nm.profiles) == 1  # the old one
        await wifi(rig).join(b"shop", WPA2, "changed since", 5000)
        (profile,) = rig.nm.profiles.values()
        assert profile["802-11-wireless-security"]["psk"].value == "changed since"

    play("wifi", story)


def test_a_network_is_joined_while_a_start_waits_for_another() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.lose_point(rig.point)
        start = aio.spawn("start", wifi(rig).start(15_000))
        before = rig.nm.called.count("RequestScan")
        while rig.nm.called.count("RequestScan") == before:
            await aio.sleep_ms(5)
        rig.nm.show(Point(b"cafe"))
        assert [one.name for one in await wifi(rig).scan(2000)] == ["cafe"]
        assert not start.done.is_set()
        await wifi(rig).join(b"cafe", OPEN, "", 5000)
        with pytest.raises(NoService, match="joining"):
            await start.join()
        assert (await wifi(rig).status()).operator == "cafe"

    play("wifi", story)


def test_a_modem_that_its_network_does_not_have_yet_is_waited_for() -> None:
    async def story(rig: Rig) -> None:
        rig.nm.change("modem", 20)
        start = aio.spawn("start", rig.bearer.start(10_000))
        while "Enable" not in rig.mm.called:
            await aio.sleep_ms(5)
        await aio.sleep_ms(50)
        assert "ActivateConnection" not in rig.nm.called
        rig.nm.change("modem", 30)
        await start.join()
        assert (await rig.bearer.status()).state == bearer.UP

    play("mobile", story)


def test_no_known_network_is_no_service() -> None:
    async def story(rig: Rig) -> None:
        await wifi(rig).forget(b"shop")
        with pytest.raises(NoService, match="no Wi-Fi network is known"):
            await wifi(rig).start(3000)
        with pytest.raises(NoService):
            await wifi(rig).join(b"nowhere", OPEN, "", 500)
        assert await wifi(rig).known() == []

    play("wifi", story)


# ---- mobile data -----------------------------------------------------------------------------


def modem(rig: Rig, **more: object) -> MmModem:
    return MmModem(rig.bus, "cmnet", **more)  # type: ignore[arg-type]  # checked by the calls


async def locked(rig: Rig, pin: str) -> None:
    """The SIM asks for a PIN."""
    await rig.mm.vanish()
    rig.mm = PlayedMm(pin)
    await rig.mm.appear(rig.daemon.address)


def test_a_pin_is_entered_once_and_only_with_all_tries() -> None:
    async def story(rig: Rig) -> None:
        await locked(rig, "4711")
        assert (await rig.bearer.status()).cause == "sim_pin"
        with pytest.raises(SimPinNeeded, match="none is set"):
            await rig.bearer.start(5000)
        wrong = modem(rig, pin="1234")
        for _ in range(3):
            with pytest.raises(SimPinNeeded) as caught:
                await wrong.start(5000)
            assert "1234" not in str(caught.value)
        assert rig.mm.called.count("SendPin") == 1
        assert await wrong.tries_left() == 2
        with pytest.raises(ValueError, match="digits"):
            await wrong.enter_pin("12a4")
        with pytest.raises(SimPinNeeded, match="refused before"):
            await wrong.enter_pin("1234")
        await wrong.enter_pin("4711")
        await wrong.start(5000)
        assert (await wrong.status()).state == bearer.UP

    play("mobile", story)


def test_the_last_try_and_a_locked_sim_are_left_alone() -> None:
    async def story(rig: Rig) -> None:
        await locked(rig, "4711")
        rig.mm.tries = 1
        rig.mm.values["UnlockRetries"] = Variant("a{uu}", {2: 1})
        with pytest.raises(SimPinNeeded, match="one try"):
            await modem(rig).enter_pin("4711")
        rig.mm.values["UnlockRequired"] = Variant("u", 4)
        with pytest.raises(SimPukNeeded):
            await modem(rig, pin="4711").start(5000)
        rig.mm.values["UnlockRequired"] = Variant("u", 2)
        rig.mm.values["UnlockRetries"] = Variant("a{uu}", {})
        with pytest.raises(SimPinNeeded, match="by hand"):
            await modem(rig, pin="4711").start(5000)
        assert "SendPin" not in rig.mm.called

    play("mobile", story)


def test_sim_faults_by_name() -> None:
    async def story(rig: Rig) -> None:
        rig.mm.values["State"] = Variant("i", -1)
        for reason, cause in ((2, "no_sim"), (3, "sim_fault")):
            rig.mm.values["StateFailedReason"] = Variant("u", reason)
            with pytest.raises(SimMissing) as caught:
                await rig.bearer.start(3000)
            assert caught.value.cause == cause == (await rig.bearer.status()).cause
        rig.mm.values["StateFailedReason"] = Variant("u", 1)
        with pytest.raises(BearerMute):
            await rig.bearer.start(3000)

    play("mobile", story)


def test_registration_by_name() -> None:
    async def story(rig: Rig) -> None:
        await rig.bearer.start(5000)
        rig.mm.registration(2)
        status = await rig.bearer.status()
        assert (status.state, status.cause) == (bearer.DEGRADED, "searching")
        await rig.bearer.stop()
        for state, cause in ((2, "searching"), (4, "no_service")):
            rig.mm.registration(state)
            with pytest.raises(NoService) as caught:
                await rig.bearer.start(300)
            assert caught.value.cause == cause == (await rig.bearer.status()).cause
        rig.mm.registration(3)
        with pytest.raises(RegistrationDenied):
            await rig.bearer.start(8000)
        rig.mm.registration(5)
        with pytest.raises(NoService, match="roaming is off"):
            await modem(rig, roaming=False).start(3000)
        await rig.bearer.start(3000)
        assert (await rig.bearer.status()).roaming

    play("mobile", story)


def test_the_connection_has_its_settings() -> None:
    async def story(rig: Rig) -> None:
        one = modem(rig, roaming=False, user="shop", password="secret")
        for _ in range(2):
            await one.start(5000)
            await one.stop()
        (profile,) = rig.nm.profiles.values()  # the first was replaced
        told = {name: value.value for name, value in profile["gsm"].items()}
        assert told == {
            "apn": "cmnet",
            "home-only": True,
            "username": "shop",
            "password": "secret",
        }
        assert profile["connection"]["autoconnect"].value is False

    play("mobile", story)


def test_an_access_point_by_the_operator_and_what_tampering_leaves() -> None:
    async def story(rig: Rig) -> None:
        one = modem(rig, user="shop", password="secret", pin="4711")
        one.set_up(MobileSettings("", roaming=True), "")
        await one.start(5000)
        (profile,) = rig.nm.profiles.values()
        told = {name: value.value for name, value in profile["gsm"].items()}
        assert told == {"auto-config": True, "home-only": False}
        assert (await one.sim()).state == "ready"
        await one.wipe()
        assert not rig.nm.profiles and one.settings.password == ""
        await locked(rig, "4711")
        found = await one.sim()
        assert (found.state, found.tries) == ("sim_pin", 3)
        await rig.mm.vanish()
        await rig.nm.vanish()
        assert (await one.sim()).state == "mute"
        await one.wipe()  # nobody there: it ends all the same

    play("mobile", story)


def test_one_of_two_modems_by_its_number() -> None:
    async def story(rig: Rig) -> None:
        assert (await modem(rig, which="867377020000000").status()).cause == "stopped"
        assert (await modem(rig, which="999").status()).cause == "mute"
        with pytest.raises(BearerMute):
            await modem(rig, which="999").start(300)

    play("mobile", story)


def test_a_modem_pulled_out_is_mute_and_comes_back() -> None:
    async def story(rig: Rig) -> None:
        await rig.bearer.start(5000)
        rig.mm.unplug()
        rig.nm._end("modem", 36)
        assert (await rig.bearer.status()).cause == "mute"
        with pytest.raises(BearerMute):
            await rig.bearer.start(300)
        rig.mm.plug()
        await rig.bearer.start(5000)
        assert (await rig.bearer.status()).state == bearer.UP
        assert rig.mm.resets == 0
        await rig.bearer.reset("modem", 15_000)
        assert rig.mm.resets == 1

    play("mobile", story)


def test_messages_are_taken_and_deleted() -> None:
    async def story(rig: Rig) -> None:
        rig.mm.message("Your data: 80 % used")
        rig.mm.message("half of a", state=2)
        rig.mm.message("2")
        taken = await modem(rig).messages()
        assert [(one.sender, one.text) for one in taken] == [
            ("+31641600986", "Your data: 80 % used"),
            ("+31641600986", "2"),
        ]
        assert taken[0].stamp == "2026-11-21 14:05:09"
        assert list(rig.mm.messages) == [f"{MM_PATH}/SMS/1"]
        rig.mm.message("bad")
        rig.mm.messages[f"{MM_PATH}/SMS/1"]["State"] = Variant("u", 3)
        rig.mm.messages[f"{MM_PATH}/SMS/1"]["Text"] = Variant("ay", b"no text")
        assert await modem(rig).messages() == []
        assert f"{MM_PATH}/SMS/1" not in rig.mm.messages  # it must not fill the SIM

    play("mobile", story)


def test_messages_that_were_taken_are_told_though_the_next_one_fails() -> None:
    async def story(rig: Rig) -> None:
        rig.mm.message("first")
        rig.mm.message("second")
        delete = rig.mm.methods[(f"{MM}.Modem.Messaging", "Delete")]

        def once(path: str, sms: str) -> tuple[str, list[object]]:
            rig.mm.methods[(f"{MM}.Modem.Messaging", "Delete")] = refuse
            return delete(path, sms)

        def refuse(path: str, sms: str) -> tuple[str, list[object]]:
            raise Refused(f"{MM}.Error.Core.Connected", "reopen operation in progress")

        rig.mm.methods[(f"{MM}.Modem.Messaging", "Delete")] = once
        assert [one.text for one in await modem(rig).messages()] == ["first"]
        with pytest.raises(BearerError, match="reopen"):
            await modem(rig).messages()
        rig.mm.methods[(f"{MM}.Modem.Messaging", "Delete")] = delete
        assert [one.text for one in await modem(rig).messages()] == ["second"]

    play("mobile", story)
