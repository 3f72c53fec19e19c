"""Conformance of hal.keypad: what every keypad driver must do."""

import asyncio
from collections.abc import Callable

import pytest

from firmware import aio
from firmware.buses.wire_bus import WirePins
from firmware.drivers import key_matrix
from firmware.drivers.key_matrix import KeyMatrix
from firmware.hal.keypad import Keypad, KeypadBusy, KeypadError
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run


def _matrix() -> tuple[KeyMatrix, Rack]:
    data = rig.board()
    rack = rig.rack(data)
    pad = data["keypad"]
    return KeyMatrix(WirePins(rack, "gpio"), pad["rows"], pad["columns"], pad["keys"]), rack


Make = Callable[[], tuple[Keypad, Rack]]


@pytest.fixture(params=[_matrix], ids=["key_matrix"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


async def _nothing(keypad: Keypad, ms: int) -> None:
    name, _ = await aio.first(("key", keypad.read()), timeout_ms=ms)
    assert name == "timeout"


def test_each_press_is_reported_once_by_name(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        for name in rack.keys.names:
            rack.keys.tap(name)
            assert await keypad.read() == name
            await _nothing(keypad, 200)

    run(main())


def test_fast_typing_keeps_its_order(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        typed = list("1234567890") + ["00", "enter", "enter"]
        rack.keys.type(typed, hold_us=40_000, gap_us=40_000)
        assert [await keypad.read() for _ in typed] == typed
        await _nothing(keypad, 300)

    run(main())


def test_bounce_of_any_seed_is_one_press() -> None:
    async def main(seed: int) -> None:
        data = rig.board()
        rack = rig.rack(data, seed)
        rack.keys.bounce_us = 15_000
        pad = data["keypad"]
        keypad = KeyMatrix(WirePins(rack, "gpio"), pad["rows"], pad["columns"], pad["keys"])
        for at in (seed * 777, 100_000 + seed * 1333):
            rack.keys.tap("5", 60_000, at)
        assert [await keypad.read(), await keypad.read()] == ["5", "5"]
        await _nothing(keypad, 300)

    for seed in range(30):
        run(main(seed))


def test_keys_pressed_while_nobody_reads_are_kept_and_flush_forgets_them(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        await _nothing(keypad, 50)  # the scan runs from the first read on
        rack.keys.type(["1", "2"])
        await aio.sleep_ms(500)
        assert await keypad.read() == "1"
        keypad.flush()
        await _nothing(keypad, 200)

    run(main())


def test_a_cancelled_read_loses_no_press(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        rack.keys.tap("7", after_us=100_000)
        for _ in range(20):
            name, key = await aio.first(("key", keypad.read()), timeout_ms=7)
            if name == "key":
                break
        assert (name, key) == ("key", "7")

    run(main())


def test_a_claim_takes_the_keypad_and_gives_it_back(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        rack.keys.tap("1")
        await _nothing(keypad, 5)
        await aio.sleep_ms(100)
        waiting = aio.spawn("reader", keypad.read())
        await aio.sleep_ms(0)
        assert await waiting.join() == "1"
        waiting = aio.spawn("reader", keypad.read())
        await aio.sleep_ms(10)
        token = keypad.claim()
        with pytest.raises(KeypadBusy):
            await waiting.join()
        with pytest.raises(KeypadBusy):
            await keypad.read()
        with pytest.raises(KeypadBusy):
            keypad.claim()
        for wrong in (object(), None):
            with pytest.raises(KeypadBusy):
                await keypad.read_claimed(wrong)
            with pytest.raises(KeypadBusy):
                keypad.release(wrong)
        rack.keys.tap("4")
        assert await keypad.read_claimed(token) == "4"
        rack.keys.tap("9")
        await aio.sleep_ms(200)
        keypad.release(token)
        await _nothing(keypad, 200)  # the 9 belonged to the claim
        with pytest.raises(KeypadBusy):
            await keypad.read_claimed(token)
        rack.keys.tap("2")
        assert await keypad.read() == "2"

    run(main())


def test_presses_before_a_claim_are_not_the_claims(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        await _nothing(keypad, 20)
        rack.keys.tap("8")
        await aio.sleep_ms(200)
        token = keypad.claim()
        name, _ = await aio.first(("key", keypad.read_claimed(token)), timeout_ms=200)
        assert name == "timeout"

    run(main())


@pytest.mark.parametrize(("key", "repeats"), [("down", True), ("5", False), ("enter", False)])
def test_only_keys_that_move_repeat_while_held(make: Make, key: str, repeats: bool) -> None:
    async def main() -> None:
        keypad, rack = make()
        rack.keys.press(key)
        assert await keypad.read() == key
        if repeats:
            assert [await keypad.read() for _ in range(5)] == [key] * 5
        else:
            await _nothing(keypad, 2000)
        rack.keys.release(key)
        await aio.sleep_ms(100)
        keypad.flush()
        await _nothing(keypad, 1000)

    run(main())


def test_two_keys_at_once_are_both_reported(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        rack.keys.press("1")
        rack.keys.press("5")
        assert sorted([await keypad.read(), await keypad.read()]) == ["1", "5"]
        rack.keys.release("1")
        rack.keys.tap("9")
        assert await keypad.read() == "9"
        assert rack.pins.shorts == []

    run(main())


@pytest.mark.parametrize("corner", ["1", "2", "4", "5"])
def test_a_ghost_is_never_reported(make: Make, corner: str) -> None:
    async def main() -> None:
        keypad, rack = make()
        others = [name for name in ("1", "2", "4", "5") if name != corner]
        for name in others[:2]:
            rack.keys.press(name)
            assert await keypad.read() == name
        rack.keys.press(others[2])  # now the fourth corner appears by physics
        await _nothing(keypad, 500)
        rack.keys.release(others[0])
        assert await keypad.read() == others[2]  # the doubt is over, the real key counts
        assert rack.pins.shorts == []

    run(main())


def test_a_stuck_key_is_named_once_and_the_others_work(make: Make) -> None:
    async def main() -> None:
        keypad, rack = make()
        rack.keys.press("3")
        assert await keypad.read() == "3"
        with pytest.raises(KeypadError, match="key 3 is stuck"):
            await keypad.read()
        rack.keys.tap("7")
        assert await keypad.read() == "7"
        rack.keys.release("3")
        await aio.sleep_ms(100)
        rack.keys.tap("3")
        assert await keypad.read() == "3"

    run(main())


def test_a_dead_bus_is_named_and_the_keypad_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        keypad, rack = _matrix()
        rack.pins.count = 0
        with pytest.raises(KeypadError, match="no pin"):
            await keypad.read()
        rack.pins.count = 64
        rack.keys.tap("6")
        assert await keypad.read() == "6"

    run(main())


def test_no_more_than_a_bounded_number_of_presses_waits() -> None:
    async def main() -> None:
        keypad, rack = _matrix()
        await _nothing(keypad, 10)
        rack.keys.type(["1"] * 40, hold_us=40_000, gap_us=40_000)
        await asyncio.sleep(5)
        for _ in range(key_matrix.WAITING):
            assert await keypad.read() == "1"
        await _nothing(keypad, 200)

    run(main())


def test_a_map_that_does_not_fit_is_refused() -> None:
    async def main() -> None:
        pins = WirePins(rig.rack(), "gpio")
        with pytest.raises(ValueError, match="rows and columns"):
            KeyMatrix(pins, [0, 1], [5], [["1"]])
        with pytest.raises(ValueError, match="no key is named"):
            KeyMatrix(pins, [0], [5], [["ok"]])

    run(main())
