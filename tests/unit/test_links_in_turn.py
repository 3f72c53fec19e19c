"""Links of a microcontroller, of which one is up at a time: Wi-Fi and a modem with PPP at their
virtual chips, connections by whoever holds the stack's way out."""

from collections.abc import Callable
from typing import Any

import pytest

from firmware import aio
from firmware.buses import tcp_mpy
from firmware.buses.ppp_mpy import MpyPpp
from firmware.buses.serial_mpy import MpySerial
from firmware.buses.wire import BusError
from firmware.buses.wlan_mpy import MpyWlan
from firmware.drivers.at_modem import AtModem
from firmware.drivers.wlan import WlanBearer
from firmware.hal.bearer import DOWN, UP, Bearer
from firmware.hal.network import LinkDown, LinkStatus, NetworkLink, Stream, TlsConfig
from firmware.services.link_probe import REACHED, UNREACHED
from firmware.services.link_supervisor import Way
from firmware.services.links_in_turn import TURN_MS, LinksInTurn
from firmware.services.recovery_ladder import RUNGS
from host_tools.emulator.chips import wlan_radio
from host_tools.emulator.chips.ppp_network import PppNetwork
from host_tools.emulator.chips.wlan_radio import AccessPoint
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.mcu import installed
from tests.support.virtual_time import run

TLS = TlsConfig([], "bank.test", [], b"", "")
KEY = "correct horse"


class Open(Stream):
    """A connection that nothing is said on."""

    async def close(self) -> None:
        pass


class Through(NetworkLink):
    """What lwIP does with a connection: it goes where the way out leads, if anywhere."""

    def __init__(self, bearer: Bearer, opened: list[str]) -> None:
        self.bearer = bearer
        self.opened = opened

    async def connect(self, host: str, port: int, tls: TlsConfig, timeout_ms: int) -> Stream:
        if (await self.bearer.status()).state == DOWN:
            raise LinkDown("no way out")
        self.opened.append(self.bearer.kind)
        return Open()

    async def status(self) -> LinkStatus:
        return LinkStatus(True, self.bearer.kind, 4)


class Board:
    """Both links, their chips, and the kinds of link that connections left by."""

    def __init__(self, rack: Rack, calls: list[PppNetwork], point: AccessPoint) -> None:
        self.rack, self.calls, self.point = rack, calls, point
        self.opened: list[str] = []
        wifi = WlanBearer(MpyWlan("Shop", KEY))
        port = MpySerial(0, 115200, 47, 48)
        mobile = AtModem(port, MpyPpp(port), "cmnet")
        self.wifi = Way("wifi", wifi, Through(wifi, self.opened), None)
        self.mobile = Way("mobile", mobile, Through(mobile, self.opened), None, 1, True, False)
        self.links = LinksInTurn([self.wifi, self.mobile])

    async def both_up(self) -> bool:
        states = [(await way.bearer.status()).state for way in (self.wifi, self.mobile)]
        return states.count(DOWN) == 0

    async def until(self, way: Way, state: str, most_ms: int) -> None:
        began = aio.ticks_ms()
        while way.state != state:
            assert aio.elapsed_ms(began) < most_ms, self.links.steps
            assert not await self.both_up()
            await aio.sleep_ms(200)


def on_a_board(story: Callable[[Board], Any], **shop: Any) -> None:
    async def main() -> None:
        rack = rig.rack()
        calls: list[PppNetwork] = []

        def dial() -> PppNetwork:
            calls.append(PppNetwork(aio.ticks_ms))
            return calls[-1]

        rack.modem.dial = dial
        point = AccessPoint("Shop", KEY, **shop)
        rack.radio.air = [point]
        with installed(rack, {"pins": "gpio", "wlan": "wlan", "uart0": "modem"}, "esp32"):
            board = Board(rack, calls, point)
            board.links.start()
            try:
                await story(board)
            finally:
                await board.links.stop()
            assert rack.radio.state()[0] != wlan_radio.UP and (not calls or not calls[-1].end.up)

    run(main())


async def connected(board: Board) -> str:
    """The kind of link that a connection leaves by now."""
    await (await board.links.connect("bank.test", 443, TLS, 20_000)).close()
    return board.opened[-1]


def test_wifi_carries_and_the_modem_is_not_dialled() -> None:
    async def story(board: Board) -> None:
        assert await connected(board) == "wifi"  # asked for before it had joined
        await aio.sleep_ms(600_000)
        assert board.links.active is board.wifi and board.wifi.state == UP
        assert board.calls == [] and board.rack.radio.joins == 1

    on_a_board(story)


def test_the_modem_carries_when_the_access_point_is_lost_and_gives_way_when_it_is_back() -> None:
    async def story(board: Board) -> None:
        await board.until(board.wifi, UP, 10_000)
        board.point.on = False
        await board.until(board.mobile, UP, 90_000)
        assert await connected(board) == "mobile"
        assert len(board.calls) == 1 and board.calls[0].end.up
        board.point.on = True
        stream = await board.links.connect("bank.test", 443, TLS, 20_000)
        await aio.sleep_ms(2 * TURN_MS)
        assert board.calls[0].end.up, "a payment's connection was taken from it"
        await stream.close()
        await board.until(board.wifi, UP, 60_000)
        assert board.calls[0].closed
        assert await connected(board) == "wifi"
        # The radio was switched off and on: PPP had left the stack without a way out.
        assert [step.what for step in board.links.steps].count("start") == 3

    on_a_board(story)


@pytest.mark.parametrize(
    ("shop", "cause"),
    [({"key": "another one"}, "denied"), ({"gives_address": False}, "no_carrier")],
)
def test_wifi_that_does_not_carry_leaves_it_to_the_modem(shop: dict[str, Any], cause: str) -> None:
    async def story(board: Board) -> None:
        for name, value in shop.items():
            setattr(board.point, name, value)
        await board.until(board.mobile, UP, 90_000)
        assert board.wifi.cause == cause
        assert await connected(board) == "mobile"
        await aio.sleep_ms(4 * TURN_MS)
        # Given its turn again and again, ever more rarely, and the modem comes back each time.
        assert 2 <= len(board.calls) <= 4
        await board.until(board.mobile, UP, 90_000)

    on_a_board(story)


def test_faint_wifi_carries_while_nobody_knows_better() -> None:
    async def story(board: Board) -> None:
        assert await connected(board) == "wifi"
        await aio.sleep_ms(60_000)
        assert board.wifi.state == UP and board.wifi.bars == 0 and board.calls == []

    on_a_board(story, dbm=-94)


def test_both_dead_end_in_resets_and_in_whichever_is_back() -> None:
    async def story(board: Board) -> None:
        board.point.on = False
        board.rack.modem.faults.mute = True
        with pytest.raises(LinkDown):
            await board.links.connect("bank.test", 443, TLS, 20_000)
        await aio.sleep_ms(600_000)
        told = [(step.link, step.what) for step in board.links.steps]
        assert ("wifi", "radio") in told
        board.rack.modem.faults.mute = False
        await board.until(board.mobile, UP, 600_000)
        assert await connected(board) == "mobile"

    on_a_board(story)


@pytest.mark.parametrize("fault", ["mute", "data_dead"])
def test_a_modem_that_dies_while_it_carries_is_restarted_for_within_five_minutes(
    fault: str,
) -> None:
    """It carries because Wi-Fi is away: that is tried once more, then the modem's ladder."""

    async def story(board: Board) -> None:
        faults, asked = board.rack.modem.faults, aio.Event()

        async def probe(link: NetworkLink, timeout_ms: int) -> str:
            if getattr(faults, fault):
                await aio.sleep_ms(timeout_ms)
                return UNREACHED
            return REACHED

        async def reboot(cause: str) -> bool:
            asked.set()
            return False

        board.links.restart_by(reboot)
        board.mobile.probe = board.mobile.beacon = probe
        board.point.on = False
        await board.until(board.mobile, UP, 90_000)
        faults.cured_by = frozenset()
        setattr(faults, fault, True)
        struck = aio.ticks_ms()
        del board.links.steps[:]
        await asked.wait()
        assert aio.elapsed_ms(struck) + dict(RUNGS)["reboot"] <= 300_000
        told = [step.what for step in board.links.steps if step.link == "mobile"]
        setattr(faults, fault, False)
        await board.until(board.mobile, UP, 600_000)
        assert ("modem" in told) == (fault == "data_dead")

    on_a_board(story)


def test_a_call_that_the_network_ends_gives_way_to_wifi() -> None:
    async def story(board: Board) -> None:
        board.point.on = False
        await board.until(board.mobile, UP, 90_000)
        assert await connected(board) == "mobile"
        board.point.on = True
        board.calls[-1].end.hang_up()
        await board.until(board.wifi, UP, 60_000)
        assert await connected(board) == "wifi"

    on_a_board(story)


def test_a_stack_without_sockets_or_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> None:
        raise OSError(23)

    async def main() -> None:
        with monkeypatch.context() as patch:  # the loop has sockets of its own
            patch.setattr(tcp_mpy.socket, "socket", none_left)
            with pytest.raises(BusError, match="no socket: error 23"):
                await tcp_mpy.TcpMpy().connect("127.0.0.1", 443)

    run(main())
