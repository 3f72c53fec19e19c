"""Conformance of hal.stripe: what every swipe reader driver must do."""

from collections.abc import Callable
from functools import partial

import pytest

from firmware import aio
from firmware.buses.wire_bus import WireSerial
from firmware.buses.wire_input import WireInput
from firmware.drivers.key_lines import KeyLines
from firmware.drivers.line_stripe import LineStripe
from firmware.drivers.lines import SerialLines
from firmware.drivers.stripe_tracks import MOST
from firmware.hal.stripe import BadSwipe, StripeMissing, StripeReader
from host_tools.emulator.chips.hid_keys import HidKeys
from host_tools.emulator.chips.serial_line import SerialLine
from tests.conformance.conftest import Nodes
from tests.conformance.test_scanner import Gun, KeyGun, Seat, SerialGun, _now_us
from tests.support import virtual_time

run = partial(virtual_time.run, descriptors=True)
PAN = "6222020000000000000"
TRACK1 = f"B{PAN}^TEST CARD/OPENTILL ^30121010000000000000"
TRACK2 = f"{PAN}=30122010000000000"
TRACK3 = f"99{PAN}=1561560000000000000003000000114000000000000000000000==000000000000=0"
ALL = f"%{TRACK1}?;{TRACK2}?+{TRACK3}?"


def serial(lrc: bool = False, suffix: str = "enter", end: str = "\r") -> tuple[StripeReader, Gun]:
    chip = SerialLine(_now_us())
    lines = SerialLines(WireSerial(Seat(chip), "swipe", 9600), MOST, suffix)
    return LineStripe(lines, lrc), SerialGun(chip, end)


def keys(lrc: bool = False, suffix: str = "enter", end: str = "\n") -> tuple[StripeReader, Gun]:
    chip = HidKeys(_now_us())
    lines = KeyLines(WireInput(Seat(chip), "swipe"), MOST, suffix)
    return LineStripe(lines, lrc), KeyGun(chip, end)


def evdev(
    nodes: Nodes, lrc: bool = False, suffix: str = "enter", end: str = "\n"
) -> tuple[StripeReader, Gun]:
    chip = HidKeys(_now_us())
    return LineStripe(KeyLines(nodes(chip), MOST, suffix), lrc), KeyGun(chip, end)


Make = Callable[..., tuple[StripeReader, Gun]]


@pytest.fixture(params=[serial, keys, evdev], ids=["serial", "keys", "evdev"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return partial(made, request.getfixturevalue("nodes")) if made is evdev else made


def lrc(track: str) -> str:
    """The check character of ``track`` with its sentinels, column by column (ISO/IEC 7811-2)."""
    bits, base = (6, 0x20) if track[0] == "%" else (4, 0x30)
    start = ord(";") if track[0] == "+" else ord(track[0])
    rows = [start - base, *(ord(char) - base for char in track[1:])]
    value = sum(1 << bit for bit in range(bits) if sum(row >> bit & 1 for row in rows) % 2)
    return chr(base + value)


async def _nothing(reader: StripeReader, ms: int) -> None:
    name, _ = await aio.first(("swipe", reader.read()), timeout_ms=ms)
    assert name == "timeout"


@pytest.mark.parametrize(
    ("sent", "there"),
    [
        (ALL, (TRACK1, TRACK2, TRACK3)),
        (f";{TRACK2}?", (None, TRACK2, None)),
        (f"%{TRACK1}?", (TRACK1, None, None)),
        (f"%{TRACK1}?;{TRACK2}?", (TRACK1, TRACK2, None)),
        (f"%{TRACK1}?;E?+E?", (TRACK1, None, None)),
        (f"%E?;{TRACK2}?+E?", (None, TRACK2, None)),
        (f"%?;{TRACK2}?+?", (None, TRACK2, None)),
        (f";{TRACK2}?;{TRACK3}?", (None, TRACK2, TRACK3)),
        (f";{PAN}==000?", (None, f"{PAN}==000", None)),
        (f";{PAN}=3012=?", (None, f"{PAN}=3012=", None)),
    ],
)
def test_tracks_arrive_once_and_without_sentinels(
    make: Make, sent: str, there: tuple[str | None, ...]
) -> None:
    async def main() -> None:
        reader, gun = make()
        gun.scan(sent)
        swipe = await reader.read()
        tracks = (swipe.track1, swipe.track2, swipe.track3)
        assert tuple(t if t is None else t.decode() for t in tracks) == there
        assert swipe.pan() == PAN.encode()
        await _nothing(reader, 2000)

    run(main())


@pytest.mark.parametrize("with_one", [True, False])
def test_expiry_and_service_code(make: Make, with_one: bool) -> None:
    async def main() -> None:
        reader, gun = make()
        for rest, expiry, service in [
            ("3012201", "3012", "201"), ("=201", "", "201"), ("3012=", "3012", ""), ("==", "", ""),
        ]:  # fmt: skip
            one = f"%B{PAN}^A/B^{rest.replace('=', '^')}00?"
            gun.scan(one if with_one else f";{PAN}={rest}00?")
            swipe = await reader.read()
            assert (swipe.expiry(), swipe.service_code()) == (expiry, service)

    run(main())


def test_the_suffix_may_be_missing_and_each_track_may_have_a_line() -> None:
    async def main() -> None:
        reader, gun = serial(suffix="none", end="\r\n")
        gun.scan(f"%{TRACK1}?\r\n;{TRACK2}?\r\n+{TRACK3}?")
        swipe = await reader.read()
        assert (swipe.track1, swipe.track2, swipe.track3) == (
            TRACK1.encode(),
            TRACK2.encode(),
            TRACK3.encode(),
        )

    run(main())


def _with_lrc(*tracks: str) -> str:
    return "".join(track + lrc(track) for track in tracks)


def test_the_check_character_is_verified(make: Make) -> None:
    tracks = (f"%{TRACK1}?", f";{TRACK2}?", f"+{TRACK3}?")

    async def main() -> None:
        reader, gun = make(lrc=True)
        gun.scan(_with_lrc(*tracks))
        swipe = await reader.read()
        assert swipe.track3 == TRACK3.encode()
        for i, track in enumerate(tracks):
            wrong = list(tracks)
            wrong[i] = track[:-2] + chr(ord(track[-2]) ^ 1) + "?"  # the other data bit
            sent = "".join(w + lrc(t) for w, t in zip(wrong, tracks, strict=True))
            gun.scan(sent)
            with pytest.raises(BadSwipe) as caught:
                await reader.read()
            assert (caught.value.cause, caught.value.track) == ("lrc", i + 1)
        gun.scan(f";{TRACK2}?")
        with pytest.raises(BadSwipe, match="lrc"):
            await reader.read()
        gun.scan("%E?0" + _with_lrc(tracks[1]))
        assert (await reader.read()).track2 == TRACK2.encode()
        # every check character, those that look like sentinels too
        for i in range(32):
            track = f";{PAN}=3012201{i:05}?"
            gun.scan(_with_lrc(f"%{TRACK1}?", track))
            assert (await reader.read()).pan() == PAN.encode()

    run(main())


BAD = [
    ("%E?;E?+E?", "unread"),
    (f"+{TRACK3}?", "unread"),
    ("hello", "sentinel"),
    (f";{TRACK2}", "sentinel"),
    (f"{TRACK2}?", "sentinel"),
    (f";{TRACK2}?%{TRACK1}?", "sentinel"),
    (f"%{TRACK1}?%{TRACK1}?", "sentinel"),
    (f";{TRACK2}0000?", "long"),
    (f"%{TRACK1}{'0' * 40}?", "long"),
    (f";{TRACK2[:-1]}A?", "characters"),
    (f"%{TRACK1}a?", "characters"),
    (f";{PAN[:-1]}4=30122010000?", "luhn"),
    (f"%B{PAN[:-1]}4^A/B^3012201?", "luhn"),
    (";1234567=3012201?", "layout"),
    (f";{PAN}0=3012201?", "layout"),
    (f";{PAN}=3013201?", "layout"),
    (f";{PAN}=3000201?", "layout"),
    (f";{PAN}=301?", "layout"),
    (f";{PAN}=301220?", "layout"),
    (f";{PAN}?", "layout"),
    (f"%A{PAN}^A/B^3012201?", "layout"),
    (f"%B{PAN}^A/B3012201?", "layout"),
    (f"%B{PAN}^{'N' * 27}^3012201?", "layout"),
    (f";{TRACK2}?+{'0' * 40}?", "layout"),
    ("%B4000000000000002^A/B^3012201?;" + TRACK2 + "?", "tracks"),
    (f";{TRACK2}?+994000000000000002=156?", "tracks"),
]


@pytest.mark.parametrize(("sent", "cause"), BAD)
def test_a_bad_swipe_is_named_without_its_data_and_the_next_counts(
    make: Make, sent: str, cause: str
) -> None:
    async def main() -> None:
        reader, gun = make()
        gun.scan(sent)
        gun.scan(ALL)
        with pytest.raises(BadSwipe) as caught:
            await reader.read()
        assert caught.value.cause == cause
        said = str(caught.value) + repr(caught.value)
        assert not any(sent[i : i + 6] in said for i in range(len(sent) - 5))
        assert (await reader.read()).track2 == TRACK2.encode()
        assert reader.swipes == 2

    run(main())


def test_too_long_a_line_and_a_reader_that_stops(make: Make) -> None:
    async def main() -> None:
        reader, gun = make()
        gun.scan("%" + "A" * 300)
        gun.scan(ALL)
        with pytest.raises(BadSwipe) as caught:
            await reader.read()
        assert caught.value.cause == "long"
        (await reader.read()).wipe()
        if isinstance(gun, SerialGun):
            gun.end = ""
            gun.scan(f";{TRACK2}")
            with pytest.raises(BadSwipe) as caught:
                await reader.read()
            assert caught.value.cause == "cut"

    run(main())


def test_a_wiped_swipe_holds_nothing_and_its_form_never_did(make: Make) -> None:
    async def main() -> None:
        reader, gun = make()
        gun.scan(ALL)
        swipe = await reader.read()
        assert repr(swipe) == str(swipe) == "Swipe(tracks 1 2 3)"
        tracks = (swipe.track1, swipe.track2, swipe.track3)
        swipe.wipe()
        swipe.wipe()
        for track in tracks:
            assert track is not None and not any(track)
        for ask in (swipe.pan, swipe.expiry, swipe.service_code):
            with pytest.raises(BadSwipe):
                ask()

    run(main())


def test_nothing_of_a_swipe_stays_in_the_driver(make: Make) -> None:
    """Every bytearray that the driver reaches, after a good swipe, a bad one and a flush."""

    async def main() -> None:
        reader, gun = make()
        for sent, act in [(ALL, "read"), (ALL + "x", "bad"), (ALL, "flush"), (ALL[:60], "close")]:
            gun.scan(sent)
            if act == "read":
                (await reader.read()).wipe()
            elif act == "bad":
                with pytest.raises(BadSwipe):
                    await reader.read()
            else:
                await _nothing(reader, 40)
                await aio.sleep_ms(1000)
                (reader.flush if act == "flush" else lambda: None)()
                if act == "close":
                    await reader.close()
            held = _buffers(reader)
            assert held
            assert not any(PAN.encode()[:6] in bytes(buffer) for buffer in held)

    run(main())


def _buffers(thing: object) -> list[bytearray]:
    found: list[bytearray] = []
    todo, seen = [thing], set()
    while todo:
        at = todo.pop()
        if id(at) in seen or not getattr(type(at), "__module__", "").startswith("firmware"):
            if isinstance(at, bytearray):
                found.append(at)
            elif isinstance(at, dict):
                todo += at.values()
            continue
        seen.add(id(at))
        todo += vars(at).values()
    return found


def test_a_cancelled_read_loses_nothing(make: Make) -> None:
    async def main() -> None:
        for step in range(1, 40, 5):
            reader, gun = make()
            gun.scan(ALL)
            name = "timeout"
            while name == "timeout":
                name, swipe = await aio.first(("swipe", reader.read()), timeout_ms=step)
            assert swipe.track3 == TRACK3.encode()

    run(main())


def test_unplugging_is_named_once_and_plugging_in_brings_it_back(make: Make) -> None:
    async def main() -> None:
        reader, gun = make()
        gun.scan(ALL)
        await _nothing(reader, 30)
        gun.unplug()
        with pytest.raises(StripeMissing):
            await reader.read()
        await _nothing(reader, 5000)
        gun.plug()
        await aio.sleep_ms(1000)
        reader.flush()
        gun.scan(ALL)
        assert (await reader.read()).pan() == PAN.encode()

    run(main())


def test_a_check_finds_it_there_or_not_and_loses_nothing(make: Make) -> None:
    async def main() -> None:
        reader, gun = make()
        await reader.check()
        gun.scan(ALL)
        await aio.sleep_ms(100)
        await reader.check()
        await reader.check()
        assert (await reader.read()).pan() == PAN.encode()
        gun.unplug()
        await aio.sleep_ms(10)
        for _ in range(2):
            with pytest.raises(StripeMissing):
                await reader.check()
        gun.plug()
        await aio.sleep_ms(1000)
        await reader.check()

    run(main())
