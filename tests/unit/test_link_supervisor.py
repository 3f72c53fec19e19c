"""Links behind one hal.network: choice, hysteresis, failover, portals, and the recovery ladder."""

import ssl
from typing import Any

import pytest

from firmware import aio
from firmware.buses.wire_net import WireNet
from firmware.drivers.cable import Cable
from firmware.drivers.tls_link import TlsLink
from firmware.errors import TillError
from firmware.hal import bearer
from firmware.hal.bearer import DEGRADED, DOWN, UP
from firmware.hal.network import ConnectionLost, LinkDown, NetworkLink, TlsConfig, TlsFailed
from firmware.services import doctor
from firmware.services import link_supervisor as supervising
from firmware.services.link_probe import (
    REACHED,
    UNASKED,
    UNREACHED,
    TlsProbe,
    verdict_of,
)
from firmware.services.link_supervisor import LinkSupervisor, Way
from firmware.services.recovery_ladder import Step
from host_tools.emulator.chips.net import NetChip
from tests.conformance.test_network import ChipWire, FarEnd, pki
from tests.support.modem_rig import ModemRig, now_us
from tests.support.tls_pki import Pki
from tests.support.virtual_time import run

HOST = "127.0.0.1"


class Net:
    """One network chip with a TLS host behind it, and the link over it."""

    def __init__(self, name: str, rank: int, metered: bool = False, warm: bool = True) -> None:
        self.ends: list[FarEnd] = []
        self.context: ssl.SSLContext | None = pki().context()
        self.chip = NetChip(now_us, self._dial)
        self.chip.latency_us = 20_000
        net = WireNet(ChipWire(self.chip))
        self.link = TlsLink(net)
        self.probe = TlsProbe(HOST, 443, pki().config())
        self.way = Way(name, Cable(net), self.link, self.probe.ask, rank, metered, warm)

    def _dial(self, host: str, port: int) -> FarEnd | None:
        if self.context is None:
            return None
        self.ends.append(FarEnd(self.context))
        return self.ends[-1]

    def said(self) -> bytes:
        """Application bytes that the host got over this link."""
        return b"".join(end._engine.received for end in self.ends)


def _config() -> TlsConfig:
    return pki().config()


async def _settle(ms: int = 5000) -> None:
    await aio.sleep_ms(ms)


def _states(supervisor: LinkSupervisor) -> list[str]:
    return [way.state for way in supervisor.ways]


def test_the_best_link_carries() -> None:
    async def main() -> None:
        nets = [Net("mobile", 0, metered=True), Net("wifi", 2), Net("cable", 1)]
        supervisor = LinkSupervisor([net.way for net in nets])
        supervisor.start()
        await _settle()
        assert _states(supervisor) == [UP, UP, UP]
        assert supervisor.active.name in ("mobile", "cable")
        await _settle(60_000)
        assert supervisor.active.name == "cable"
        status = await supervisor.status()
        assert status.up and status.kind == "ethernet" and status.bars == 4
        await supervisor.stop()
        with pytest.raises(ValueError, match="at least one"):
            LinkSupervisor([])

    run(main())


def test_a_connection_goes_through_the_next_link_before_anybody_noticed() -> None:
    async def main() -> None:
        first, second = Net("cable", 0), Net("mobile", 1, metered=True)
        supervisor = LinkSupervisor([first.way, second.way])
        supervisor.start()
        await _settle()
        first.chip.link(False)
        assert supervisor.active is first.way and first.way.state == UP
        stream = await supervisor.connect(HOST, 443, _config(), 10_000)
        await stream.write(b"pay")
        assert await stream.read(10) == b"PAY"
        await stream.close()
        await stream.close()
        assert second.said() == b"pay" and first.said() == b""
        await _settle(4000)
        assert supervisor.active is second.way and first.way.cause == "no_carrier"
        first.chip.link(True)
        await _settle(120_000)
        assert supervisor.active is first.way
        moves = [(s.link, s.cause) for s in supervisor.steps if s.what == "carry"]
        assert moves == [("mobile", "no_carrier"), ("cable", "preferred")]
        await supervisor.stop()

    run(main())


def test_a_silent_link_leaves_time_for_the_next() -> None:
    async def main() -> None:
        first, second = Net("cable", 0), Net("mobile", 1)
        supervisor = LinkSupervisor([first.way, second.way])
        supervisor.start()
        await _settle()
        first.chip.cut_silently = True
        first.chip.cut_after_sent = 0
        started = aio.ticks_ms()
        stream = await supervisor.connect(HOST, 443, _config(), 10_000)
        assert aio.elapsed_ms(started) < 6000
        await stream.write(b"pay")
        assert await stream.read(10) == b"PAY"
        await stream.close()
        await supervisor.stop()

    run(main())


@pytest.mark.parametrize("silent", [True, False])
def test_a_request_in_flight_is_never_sent_again(silent: bool) -> None:
    async def main() -> None:
        first, second = Net("cable", 0), Net("mobile", 1)
        supervisor = LinkSupervisor([first.way, second.way])
        supervisor.start()
        await _settle()
        stream = await supervisor.connect(HOST, 443, _config(), 10_000)
        first.chip.cut_silently = silent
        first.chip.cut_after_received = 0
        await stream.write(b"the request")
        if silent:
            name, _ = await aio.first(("answer", stream.read(99)), timeout_ms=30_000)
            assert name == "timeout"
        else:
            with pytest.raises(ConnectionLost) as caught:
                await stream.read(99)
            assert caught.value.sent
        await stream.close()
        await _settle(60_000)
        assert first.said() == b"the request" and second.said() == b""
        assert supervisor.active is second.way
        await supervisor.stop()

    run(main())


def test_all_links_down_is_said_with_nothing_sent() -> None:
    async def main() -> None:
        nets = [Net("cable", 0), Net("mobile", 1)]
        supervisor = LinkSupervisor([net.way for net in nets])
        supervisor.start()
        await _settle()
        for net in nets:
            net.chip.link(False)
        for _ in range(2):
            with pytest.raises(LinkDown) as caught:
                await supervisor.connect(HOST, 443, _config(), 5_000)
            assert not caught.value.sent
            await _settle(90_000)
        assert not (await supervisor.status()).up
        await supervisor.stop()

    run(main())


def test_one_failure_degrades_and_two_decide() -> None:
    async def main() -> None:
        net = Net("cable", 0)
        answers: list[str] = []

        async def probe(link: NetworkLink, timeout_ms: int) -> str:
            return answers.pop(0) if answers else REACHED

        net.way.probe = probe
        supervisor = LinkSupervisor([net.way])
        supervisor.start()
        await _settle()
        assert net.way.state == UP
        answers.append(UNREACHED)
        net.way.wake.set()
        await aio.sleep_ms(500)
        assert net.way.state == DEGRADED and (await supervisor.status()).up
        await _settle(2000)
        assert net.way.state == UP
        answers += [UNREACHED] * 3
        net.way.wake.set()
        await aio.sleep_ms(1500)
        assert net.way.state == DOWN and net.way.cause == UNREACHED
        await _settle(80_000)
        assert net.way.state == UP
        answers.append(UNASKED)  # nothing is known against it
        net.way.wake.set()
        await aio.sleep_ms(500)
        assert net.way.state == UP
        await supervisor.stop()

    run(main())


def test_a_captive_portal_is_told_apart_and_nothing_is_reset() -> None:
    async def main() -> None:
        rig = ModemRig()
        wifi, mobile = Net("wifi", 0), Net("mobile", 1, metered=True)
        wifi.way.bearer = rig.modem  # one that could be reset
        supervisor = LinkSupervisor([wifi.way, mobile.way])
        supervisor.start()
        await _settle(60_000)
        assert supervisor.active is wifi.way
        wifi.context = Pki().context()  # somebody else's certificate
        for end in wifi.ends:
            end.closed = True
        stream = await supervisor.connect(HOST, 443, _config(), 10_000)
        await stream.close()
        await _settle(120_000)
        assert (wifi.way.state, wifi.way.cause) == (DOWN, "captive")
        assert supervisor.active is mobile.way
        assert not any(step.what in bearer.LEVELS for step in supervisor.steps)
        # With no other link the portal's certificate is refused, now as before.
        supervisor.ways.remove(mobile.way)
        supervisor.active = wifi.way
        with pytest.raises(TlsFailed) as caught:
            await supervisor.connect(HOST, 443, _config(), 10_000)
        assert caught.value.cause == "unknown_ca" and not wifi.said()
        supervisor.ways.append(mobile.way)
        await supervisor.stop()

    run(main())


def test_a_bank_that_is_down_is_not_taken_for_a_dead_link() -> None:
    async def main() -> None:
        rig = ModemRig()
        net = Net("mobile", 0)
        net.way.bearer = rig.modem

        async def beacon(link: NetworkLink, timeout_ms: int) -> str:
            return REACHED

        net.way.beacon = beacon
        supervisor = LinkSupervisor([net.way])
        supervisor.start()
        await _settle(30_000)
        net.context = None
        await _settle(600_000)
        assert (net.way.state, net.way.cause) == (DOWN, "host")
        assert not any(step.what in bearer.LEVELS for step in supervisor.steps)
        net.context = pki().context()
        await _settle(30_000)
        assert net.way.state == UP
        await supervisor.stop()

    run(main())


def test_what_a_failed_connection_says() -> None:
    for cause, verdict in (
        ("client_refused", REACHED), ("expired", REACHED), ("timeout", UNREACHED),
        ("client_key", UNASKED), ("wrong_host", "captive"), ("protocol", "captive"),
        ("anything new", UNREACHED),
    ):  # fmt: skip
        assert verdict_of(TlsFailed("x", cause)) == verdict
    assert verdict_of(LinkDown()) == UNREACHED


class _Faint(bearer.Bearer):
    """A modem that hears its network and cannot say how well (+CSQ: 99,99)."""

    kind = "mobile"
    levels = ("bearer", "radio", "modem")

    def __init__(self) -> None:
        self.resets: list[str] = []

    async def status(self) -> bearer.BearerStatus:
        return bearer.BearerStatus(DEGRADED, "mobile", 0, "")

    async def start(self, timeout_ms: int) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def reset(self, level: str, timeout_ms: int) -> None:
        self.resets.append(level)


def test_a_faint_link_that_nobody_can_probe_yet_is_left_alone() -> None:
    async def main() -> None:
        modem = _Faint()
        net = Net("mobile", 0)
        supervisor = LinkSupervisor([Way("mobile", modem, net.link, None)])
        supervisor.start()
        await _settle(600_000)
        assert _states(supervisor) == [UP]
        assert modem.resets == []
        await supervisor.stop()

    run(main())


def test_metered_standby_is_asked_rarely() -> None:
    async def main() -> None:
        nets = [Net("cable", 0), Net("wifi", 1), Net("mobile", 2, metered=True)]
        supervisor = LinkSupervisor([net.way for net in nets])
        supervisor.start()
        await _settle(60_000)
        before = [len(net.ends) for net in nets]
        await _settle(3_600_000 - 200_000)
        asked = [len(net.ends) - count for net, count in zip(nets, before, strict=True)]
        assert 200 <= asked[0] <= 240 and 50 <= asked[1] <= 60 and 10 <= asked[2] <= 12
        await supervisor.stop()

    run(main())


def test_a_cold_link_is_started_only_when_it_is_needed() -> None:
    async def main() -> None:
        rig = ModemRig()
        cable, mobile = Net("cable", 0), Net("mobile", 1, metered=True, warm=False)
        mobile.way.bearer = rig.modem
        supervisor = LinkSupervisor([cable.way, mobile.way])
        supervisor.start()
        await _settle(300_000)
        assert rig.chip.log == [] and mobile.way.state == DOWN
        cable.chip.link(False)
        await _settle(60_000)
        assert supervisor.active is mobile.way and mobile.way.state == UP
        cable.chip.link(True)
        await _settle(400_000)
        assert supervisor.active is cable.way
        assert (mobile.way.state, mobile.way.cause) == (DOWN, "stopped")
        assert rig.far[-1].closed
        await supervisor.stop()

    run(main())


def test_steps_are_few_and_carry_their_times() -> None:
    async def main() -> None:
        heard: list[Step] = []
        net = Net("cable", 0)
        supervisor = LinkSupervisor([net.way], on_step=heard.append)
        supervisor.start()
        for _ in range(40):
            await _settle(20_000)
            net.chip.link(not net.chip.up)
        assert len(supervisor.steps) <= supervising.STEPS < len(heard)
        downs = [step for step in heard if step.what == DOWN]
        assert downs and all(step.cause == "no_carrier" for step in downs)
        assert all(step.took_ms >= 0 and step.result for step in heard)
        assert "cable down because of no_carrier: was" in repr(downs[0])
        await supervisor.stop()

    run(main())


def test_a_watch_outlives_a_fault_and_a_mistake_is_heard_of() -> None:
    async def main() -> None:
        net = Net("cable", 0)
        faults: list[Exception] = [TillError("no such thing"), ZeroDivisionError("a mistake")]

        async def probe(link: NetworkLink, timeout_ms: int) -> str:
            if faults:
                raise faults.pop(0)
            return REACHED

        net.way.probe = probe
        supervisor = LinkSupervisor([net.way])
        supervisor.start()
        await _settle(1000)
        assert [step.result for step in supervisor.steps if step.what == "fault"] == [
            "no such thing"
        ]
        await _settle(20_000)
        with pytest.raises(ZeroDivisionError):
            await supervisor.stop()
        supervisor.start()
        await _settle(20_000)
        assert net.way.state == UP
        await supervisor.stop()

    run(main())


def test_an_open_payment_holds_the_resets_back() -> None:
    async def main() -> None:
        rig = ModemRig()
        net = Net("mobile", 0)
        net.way.bearer = rig.modem
        supervisor = LinkSupervisor([net.way])
        supervisor.start()
        await _settle(30_000)
        stream = await supervisor.connect(HOST, 443, _config(), 10_000)
        net.context = None
        rig.chip.faults.data_dead = True
        await _settle(40_000)
        assert net.way.state == DOWN
        assert not any(step.what in bearer.LEVELS for step in supervisor.steps)
        await stream.close()
        await _settle(10_000)
        assert any(step.what == "bearer" for step in supervisor.steps)
        # One that never ends holds them back for a while only.
        net.context = pki().context()
        rig.chip.faults.data_dead = False
        await _settle(120_000)
        assert net.way.state == UP
        del supervisor.steps[:]
        await supervisor.connect(HOST, 443, _config(), 10_000)
        net.context = None
        await _settle(30_000 + supervising.GRACE_MS)
        assert any(step.what == "bearer" for step in supervisor.steps)
        await supervisor.stop()

    run(main())


def test_the_terminal_is_restarted_only_when_nothing_carries() -> None:
    async def main() -> None:
        rig = ModemRig()
        mobile, cable = Net("mobile", 1), Net("cable", 0)
        mobile.way.bearer = rig.modem
        supervisor = LinkSupervisor([mobile.way, cable.way])
        asked: list[str] = []

        async def reboot(cause: str) -> bool:
            asked.append(cause)
            return False

        supervisor.restart_by(reboot)
        supervisor.start()
        await _settle(60_000)
        assert _states(supervisor) == [UP, UP]
        rig.chip.faults.data_dead = True
        rig.chip.faults.cured_by = frozenset()
        mobile.context = None
        await _settle(300_000)
        rungs = [step for step in supervisor.steps if step.what == "reboot"]
        assert rungs and rungs[-1].result == "not now" and asked == []
        cable.chip.link(False)
        await _settle(900_000)
        assert asked == ["no_carrier"] * len(asked) and asked
        await supervisor.stop()

    run(main())


class _Board:
    """The devices of a terminal that has links and nothing else."""

    def __init__(self, supervisor: LinkSupervisor) -> None:
        self.network = supervisor
        self.failures: list[object] = []

    def __getattr__(self, kind: str) -> None:
        return None


SECRET = {"ssid": "Shop", "key": "shop key 1"}


async def _examined(supervisor: LinkSupervisor, **links: Any) -> list[doctor.Finding]:
    """The network's, then those of the ``links`` of the board file."""
    board = {"built": 0, "network": {"driver": "links"}, "link": links, "bus": {"usb0": SECRET}}
    return await doctor.examine(_Board(supervisor), board, ("network",))


def test_the_doctor_waits_for_links_and_names_each_with_its_cause() -> None:
    async def main() -> None:
        rig, cable = ModemRig(), Net("cable", 0)
        mobile = Way("mobile", rig.modem, cable.link, None, 1)
        rig.chip.sim = "absent"
        supervisor = LinkSupervisor([cable.way, mobile])
        supervisor.start()
        (finding,) = await _examined(supervisor)
        assert (finding.state, finding.says) == ("ok", "cable up, mobile no_sim")
        await supervisor.stop()
        alone = LinkSupervisor([Way("mobile", rig.modem, cable.link, None)])
        alone.start()
        (finding,) = await _examined(alone)
        assert (finding.state, finding.text_key) == ("warn", "error.sim")
        assert finding.cause == "mobile no_sim"
        assert finding.table()["words"]["en"]["do"]
        await alone.stop()

    run(main())


def test_the_doctor_tells_each_link_by_driver_interface_and_state() -> None:
    async def main() -> None:
        rig, cable, cold = ModemRig(), Net("cable", 0), Net("spare", 2, warm=False)
        cable.way.bearer.interface = "eth0"
        mobile = Way("mobile", rig.modem, cable.link, None, 1)
        rig.chip.sim = "absent"
        supervisor = LinkSupervisor([cable.way, mobile, cold.way])
        supervisor.start()
        network, *links = await _examined(
            supervisor,
            cable={"driver": "cable", "interface": "eth0"},
            mobile={"driver": "at_modem", "bus": "usb0", "apn": "internet"},
            spare={"driver": "cable"},
            gone={"driver": "nm_wifi", "interface": "wlan0"},
        )
        await supervisor.stop()
        assert network.state == "ok"
        tables = {one.name: one.table() for one in links}
        assert list(tables) == ["cable", "gone", "mobile", "spare"]
        assert {name: table["state"] for name, table in tables.items()} == {
            "cable": "ok", "gone": "fail", "mobile": "warn", "spare": "ok",
        }  # fmt: skip
        assert tables["cable"]["interface"] == "eth0" and tables["cable"]["says"] == "up, 4/4"
        assert tables["mobile"]["driver"] == "at_modem" and tables["mobile"]["cause"] == "no_sim"
        assert tables["mobile"]["buses"] == [{"name": "usb0", "ssid": "Shop"}], "no key"
        assert tables["spare"]["says"] == "rests until it is needed"
        words = [tables[name]["words"] for name in ("mobile", "gone")]
        assert words[0]["en"]["device"] == "Mobile" and words[0]["en"]["problem"] == "No SIM card"
        assert all({"device", "problem", "do"} <= set(said["zh"]) for said in words)

    run(main())


def test_a_portal_is_told_from_a_dead_link() -> None:
    async def main() -> None:
        net = Net("wifi", 0)

        async def portal(link: NetworkLink, timeout_ms: int) -> str:
            return "captive"

        net.way.probe = portal
        supervisor = LinkSupervisor([net.way])
        supervisor.start()
        (finding,) = await _examined(supervisor)
        assert (finding.text_key, finding.cause) == ("error.captive", "wifi captive")
        assert set(finding.table()["words"]["zh"]) >= {"problem", "do"}
        await supervisor.stop()

    run(main())
