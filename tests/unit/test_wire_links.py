"""The links of software chips: Wi-Fi on the wire, and TCP in a virtual modem's call."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from firmware import aio, board_loader
from firmware.board_links import Links
from firmware.buses.data_line import DataLine
from firmware.buses.raw_net import NothingSent
from firmware.buses.wire import BusError
from firmware.buses.wire_call import PART, Deframer, WireCall, framed
from firmware.buses.wire_wlan import WireWlan
from firmware.buses.wlan import WlanError
from firmware.drivers.wlan import WlanBearer
from firmware.hal import bearer
from firmware.hal.bearer import BearerMute, NoAddress, NoService, PasswordRefused
from firmware.services import link_report
from firmware.services.link_supervisor import Way
from host_tools import board_file
from host_tools.emulator.chips.call_network import CallNetwork
from host_tools.emulator.chips.wlan_radio import OPEN, AccessPoint
from host_tools.emulator.rack import Rack
from tests.support.memory_files import MemoryFiles
from tests.support.modem_rig import now_us
from tests.support.virtual_time import run

HOST, PORT = "bank.test", 4433


class Far:
    """A host that gives back what it gets, in capitals."""

    def __init__(self) -> None:
        self.got = b""
        self.closed = False
        self.hung_up = False

    def feed(self, data: bytes) -> None:
        self.got += data
        self._back = getattr(self, "_back", b"") + data.upper()

    def take(self) -> bytes:
        data, self._back = getattr(self, "_back", b""), b""
        return data

    def close(self) -> None:
        self.hung_up = True


class Bench:
    """The board with three links, its chips, and who stands behind them."""

    def __init__(self) -> None:
        self.board = board_file.read(board_file.find("virtual-links"))
        self.rack = Rack(now_us, 1, self.board)
        self.far: list[Far] = []
        self.rack.net.dial = self._dial
        self.way: dict[str, Way] = {}

    def _dial(self, host: str, port: int) -> "Far | None":
        if (host, port) != (HOST, PORT):
            return None
        self.far.append(Far())
        return self.far[-1]

    @property
    def shop(self) -> AccessPoint:
        return self.rack.radio.air[0]

    async def links(self) -> Links:
        """The supervisor as the firmware makes it of the board file, not watching."""
        compiled = board_file.compiled(self.board, "0.0.0", 1_700_000_000)
        given = {"display": object(), "files": MemoryFiles()}
        devices = await board_loader.build(compiled, self.rack, "/no/such", given)
        assert [one for one in devices.failures if one[0] == "network"] == []
        network = devices.network
        assert isinstance(network, Links)
        await network.stop()
        self.way = {way.name: way for way in network.ways}
        return network

    def net(self, name: str) -> Any:
        """The network of a link, below its TLS."""
        return self.way[name].link._net  # type: ignore[attr-defined]


def tell(story: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        await story(Bench())

    run(main())


async def echo(net: Any, said: bytes = b"hello") -> bytes:
    """What comes back through a new connection."""
    connection = await aio.deadline(8000, net.connect(HOST, PORT))
    try:
        await connection.write(said)
        got = b""
        while len(got) < len(said):
            got += await aio.deadline(8000, connection.read(100))
        return got
    finally:
        connection.close()


# ---- the board ------------------------------------------------------------------------


def test_each_link_of_the_board_carries_by_itself() -> None:
    async def story(b: Bench) -> None:
        network = await b.links()
        assert [(way.name, way.bearer.kind, way.metered) for way in network.ways] == [
            ("cable", "ethernet", False), ("wifi", "wifi", False), ("mobile", "mobile", True),
        ]  # fmt: skip
        for way in network.ways:
            await way.bearer.start(60_000)
            assert (await way.bearer.status()).state == bearer.UP, way.name
        b.rack.net.link(False)
        with pytest.raises(BusError):
            await echo(b.net("cable"))
        assert await echo(b.net("wifi")) == b"HELLO"
        b.shop.on = False
        assert b.rack.modem.sent_bytes < 100  # nothing but the greeting went by the modem
        assert await echo(b.net("mobile"), b"x" * 3000) == b"X" * 3000
        assert b.rack.modem.sent_bytes > 3000
        for way in network.ways:
            await way.bearer.stop()
        with pytest.raises(BusError):
            await echo(b.net("mobile"))

    tell(story)


# ---- Wi-Fi ----------------------------------------------------------------------------


def wifi(b: Bench, key: str = "shop key 1", ssid: str = "Shop") -> WlanBearer:
    return WlanBearer(WireWlan(b.rack, "wlan", "wlan_net", ssid, key))


def test_wifi_names_what_keeps_it_out() -> None:
    async def story(b: Bench) -> None:
        with pytest.raises(PasswordRefused):
            await wifi(b, "another key").start(20_000)
        with pytest.raises(NoService):
            await wifi(b, ssid="Elsewhere").start(20_000)
        b.shop.gives_address = False
        link = wifi(b)
        with pytest.raises(NoAddress):
            await link.start(8_000)
        assert (await link.status()).cause == "no_address"
        b.shop.gives_address = True
        await link.start(20_000)
        status = await link.status()
        assert (status.state, status.operator, status.address) == ("up", "Shop", "192.168.4.20")
        assert status.bars == 3
        b.rack.radio.mute = True
        assert (await link.status()).cause == "mute"
        with pytest.raises(BearerMute):
            await link.reset("radio", 20_000)

    tell(story)


def test_wifi_finds_networks_and_joins_another() -> None:
    async def story(b: Bench) -> None:
        b.rack.radio.air += [
            AccessPoint("Free", security=OPEN, dbm=-88), AccessPoint("Shop", "x" * 8, dbm=-90),
            AccessPoint("Hidden", "y" * 8, hidden=True),
        ]  # fmt: skip
        link = wifi(b)
        seen = [(one.name, one.security, one.bars, one.known) for one in await link.scan(5000)]
        assert seen == [("Shop", "wpa2+wpa3", 3, True), ("Free", "open", 0, False)]
        await link.join(b"Free", "open", "", 20_000)
        assert (await link.status()).operator == "Free"

    tell(story)


def test_half_an_answer_of_the_radio_is_named() -> None:
    async def story(b: Bench) -> None:
        b.rack.radio.air[0].bssid = b"\x02"
        link = wifi(b)
        with pytest.raises(BearerMute, match="half an access point"):
            await link.scan(5000)
        wlan = WireWlan(b.rack, "wlan", "wlan_net", "Shop", "shop key 1")
        transfer = b.rack.transfer
        b.rack.transfer = lambda *a: (b"\x09" * 6, 0)  # type: ignore[method-assign]
        with pytest.raises(WlanError, match="valid state"):
            wlan.state()
        assert wlan.address() == ""
        b.rack.transfer = transfer  # type: ignore[method-assign]

    tell(story)


def test_a_lost_access_point_stalls_first_and_breaks_then() -> None:
    async def story(b: Bench) -> None:
        link = wifi(b)
        await link.start(20_000)
        net: Any = link._wlan
        held = await net.connect(HOST, PORT)
        b.shop.on = False
        await held.write(b"lost?")
        with pytest.raises(TimeoutError):
            await _within(1000, held.read(10))
        assert b.far[-1].got == b""
        b.shop.on = True  # back before the radio gave it up: sent again, as TCP does
        assert await aio.deadline(1000, held.read(10)) == b"LOST?"
        b.shop.on = False
        await aio.sleep_ms(1000)
        with pytest.raises(TimeoutError):
            await _within(1000, net.connect(HOST, PORT))
        await aio.sleep_ms(6000)
        assert (await link.status()).state == bearer.DOWN
        with pytest.raises(BusError):
            await held.write(b"more")
        assert b.far[0].hung_up

    tell(story)


def test_what_is_sent_while_nothing_gets_through_never_arrives() -> None:
    async def story(b: Bench) -> None:
        link = wifi(b)
        await link.start(20_000)
        net: Any = link._wlan
        held = await net.connect(HOST, PORT)
        b.rack.wlan_net.silent = True
        await held.write(b"a request")
        await aio.sleep_ms(30_000)
        assert (await link.status()).state == bearer.UP  # the radio knows nothing of it
        held.close()
        b.rack.wlan_net.silent = False
        await aio.sleep_ms(1000)
        assert (b.far[-1].got, b.far[-1].hung_up) == (b"", True)
        assert await echo(net) == b"HELLO"

    tell(story)


async def _within(ms: int, act: Any) -> Any:
    name, value = await aio.first(("value", act), timeout_ms=ms)
    if name == "timeout":
        raise TimeoutError
    return value


def test_a_changed_key_sends_the_station_away() -> None:
    async def story(b: Bench) -> None:
        link = wifi(b)
        await link.start(20_000)
        b.shop.key = "another key"
        assert (await link.status()).state == bearer.DOWN
        with pytest.raises(PasswordRefused):
            await link.start(20_000)

    tell(story)


# ---- the call -------------------------------------------------------------------------


class Line(DataLine):
    """A call's bytes between a carrier and a far end; ``spoil`` changes what goes out,
    ``lost`` says what does not come in."""

    def __init__(self, far: CallNetwork) -> None:
        self.far = far
        self.over = False
        self.deaf = False
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self.lost: Callable[[bytes], bool] = lambda data: False

    async def read(self, most: int) -> bytes:
        while not self.over:
            data = b"" if self.deaf else self.far.take()
            if data and not self.lost(data):
                return data
            await aio.sleep_ms(5)
        return b""

    async def write(self, data: bytes) -> None:
        if self.over:
            raise BusError("the call has ended")
        if not self.deaf:
            self.far.feed(self.spoil(data))


async def called(b: Bench) -> tuple[WireCall, Line]:
    line = Line(CallNetwork(b._dial))
    call = WireCall()
    assert await call.up(line) == "10.64.0.7"
    return call, line


def test_connections_of_a_call_keep_their_bytes_apart() -> None:
    async def story(b: Bench) -> None:
        call, _ = await called(b)
        every = [bytes((at,)) * 2000 for at in (0x7E, 0x7D, 0x11, 0x41)]
        found = await aio.gather(*[echo(call, said) for said in every])
        assert found == [said.upper() for said in every]
        await aio.sleep_ms(50)
        assert [far.hung_up for far in b.far] == [True] * 4
        with pytest.raises(BusError, match=r"no connection to other\.test"):
            await call.connect("other.test", PORT)
        await call.down()

    tell(story)


def test_the_far_ends_last_words_come_before_its_end() -> None:
    async def story(b: Bench) -> None:
        call, _ = await called(b)
        held = await call.connect(HOST, PORT)
        await held.write(b"bye")
        b.far[-1].closed = True
        assert await aio.deadline(1000, held.read(10)) == b"BYE"
        assert await aio.deadline(1000, held.read(10)) == b""
        with pytest.raises(NothingSent):
            await held.write(b"more")
        await call.down()

    tell(story)


def test_a_damaged_frame_breaks_its_connection_and_no_other() -> None:
    async def story(b: Bench) -> None:
        call, line = await called(b)
        held, other = await call.connect(HOST, PORT), await call.connect(HOST, PORT)
        line.spoil = lambda data: data[:-4] + bytes((data[-4] ^ 1,)) + data[-3:]
        await held.write(b"spoilt")
        line.spoil = lambda data: data
        await held.write(b"more")
        with pytest.raises(BusError, match="broken at the far end"):
            await aio.deadline(1000, held.read(10))
        assert b.far[0].got == b""
        await other.write(b"well")
        assert await aio.deadline(1000, other.read(10)) == b"WELL"
        line.lost = lambda data: True
        await other.write(b"lost")
        await aio.sleep_ms(50)
        line.lost = lambda data: False
        await other.write(b"more")
        with pytest.raises(BusError, match="lost a part"):
            await aio.deadline(1000, other.read(10))
        await call.down()

    tell(story)


def test_a_call_that_ends_or_says_nothing_is_named() -> None:
    async def story(b: Bench) -> None:
        call, line = await called(b)
        held = await call.connect(HOST, PORT)
        line.over = True
        with pytest.raises(BusError, match="the call ended"):
            await aio.deadline(1000, held.read(10))
        assert call.lost() == "the call ended"
        assert (await call.link(), call.address()) == ((False, 0), "")
        for act in (held.write(b"x"), call.connect(HOST, PORT)):
            with pytest.raises(BusError):
                await act
        deaf = Line(CallNetwork(b._dial))
        deaf.deaf = True
        with pytest.raises(BusError, match="says nothing"):
            await aio.deadline(12_000, call.up(deaf))
        assert call.lost() == ""
        with pytest.raises(ValueError, match="too long"):
            call.login("user", "p" * PART)

    tell(story)


def test_frames_come_whole_however_they_are_split() -> None:
    packets = [bytes((2, 1, n)) + bytes(range(n * 7, n * 7 + 60)) for n in range(20)]
    stream = b"".join(framed(packet) for packet in packets)
    for step in (1, 3, 7, 500):
        deframer = Deframer()
        got = []
        for at in range(0, len(stream), step):
            got += deframer.feed(stream[at : at + step])
        assert got == packets
    noise = b"\x41" * 5000 + b"\x7e" + stream[:10] + b"\x7e"
    assert Deframer().feed(noise + framed(b"\x00\x00\x00")) == [b"\x00\x00\x00"]


# ---- what the links tell --------------------------------------------------------------


def test_the_links_tell_what_they_do_and_which_one_carries() -> None:
    async def story(b: Bench) -> None:
        compiled = board_file.compiled(b.board, "0.0.0", 1_700_000_000)
        given = {"display": object(), "files": MemoryFiles()}
        devices = await board_loader.build(compiled, b.rack, "/no/such", given)
        told: list[dict[str, Any]] = []
        tasks = link_report.begin(devices, told.append)
        assert told[0]["step"] is None
        assert [one["state"] for one in told[0]["links"]] == ["down"] * 3
        await aio.sleep_ms(20_000)
        assert told[-1]["active"] == "cable"
        assert [one["state"] for one in told[-1]["links"]] == ["up"] * 3
        b.rack.net.link(False)
        await aio.sleep_ms(20_000)
        assert told[-1]["active"] == "wifi"
        assert told[-1]["links"][0] == {
            "name": "cable", "kind": "ethernet", "state": "down", "cause": "no_carrier", "bars": 0
        }  # fmt: skip
        steps = [(one["step"]["link"], one["step"]["what"]) for one in told if one["step"]]
        assert ("wifi", "carry") in steps
        # Why a link is down may change without a step.
        b.shop.key = "another key"
        await aio.sleep_ms(60_000)
        assert told[-1]["active"] == "mobile"
        wifi = told[-1]["links"][1]
        assert (wifi["state"], wifi["cause"]) == ("down", "denied")
        count = len(told)
        await aio.sleep_ms(2000)
        assert len(told) == count  # nothing new is not told
        for task in tasks:
            task.cancel()
        await devices.network.stop()

    tell(story)
