"""Conformance of hal.keypad: what every keypad driver must do."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Protocol

import pytest

from firmware import aio
from firmware.buses.wire import BusError
from firmware.buses.wire_bus import WirePins
from firmware.buses.wire_input import WireInput
from firmware.drivers import claimed_keys
from firmware.drivers.key_device import KeyDevice
from firmware.drivers.key_matrix import KeyMatrix
from firmware.drivers.pin_pad import PinPad
from firmware.drivers.pin_store import PinStore
from firmware.hal.keypad import Keypad, KeypadBusy, KeypadError, KeypadGone
from firmware.services import doctor, self_test
from host_tools.emulator.chips.hid_keys import HidKeys
from host_tools.emulator.rack import Rack
from tests.conformance.conftest import Nodes
from tests.conformance.test_scanner import Seat, _now_us
from tests.support import rig, virtual_time

run = partial(virtual_time.run, descriptors=True)


def _matrix() -> tuple[KeyMatrix, Rack]:
    data = rig.board()
    rack = rig.rack(data)
    pad = data["keypad"]
    return KeyMatrix(WirePins(rack, "gpio"), pad["rows"], pad["columns"], pad["keys"]), rack


class Fingers(Protocol):
    """Who presses the keys, by the names that the terminal gives them."""

    names: list[str]

    def tap(self, name: str, hold_us: int = 80_000, after_us: int = 0) -> int: ...

    def type(self, names: Iterable[str], hold_us: int = 80_000, gap_us: int = 80_000) -> int: ...

    def press(self, name: str) -> None: ...

    def release(self, name: str) -> None: ...


#: A number block: key codes of its digits, Enter, Backspace, Esc and arrows.
CODES = {
    79: "1", 80: "2", 81: "3", 75: "4", 76: "5", 77: "6", 71: "7", 72: "8", 73: "9", 82: "0",
    83: ".", 96: "enter", 14: "clear", 1: "cancel", 103: "up", 108: "down", 11: "00",
}  # fmt: skip


class BlockFingers:
    """On a number block."""

    def __init__(self, chip: HidKeys) -> None:
        self._chip = chip
        self._codes = {name: code for code, name in CODES.items()}
        self.names = list(self._codes)

    def tap(self, name: str, hold_us: int = 80_000, after_us: int = 0) -> int:
        self._chip.finger(self._codes[name], 1, after_us)
        self._chip.finger(self._codes[name], 0, after_us + hold_us)
        return after_us + hold_us

    def type(self, names: Iterable[str], hold_us: int = 80_000, gap_us: int = 80_000) -> int:
        at = 0
        for name in names:
            self.tap(name, hold_us, at)
            at += hold_us + gap_us
        return at

    def press(self, name: str) -> None:
        self._chip.finger(self._codes[name], 1, 0)
        for at in range(250_000, 35_000_000, 33_000):  # the kernel's own repeats
            self._chip.finger(self._codes[name], 2, at)

    def release(self, name: str) -> None:
        self._chip.release(self._codes[name])


def _matrix_keys() -> tuple[KeyMatrix, Fingers]:
    keypad, rack = _matrix()
    return keypad, rack.keys


def _device() -> tuple[KeyDevice, HidKeys]:
    chip = HidKeys(_now_us(), sources=2)
    return KeyDevice(WireInput(Seat(chip), "keys"), CODES), chip


def _evdev(nodes: Nodes) -> tuple[KeyDevice, HidKeys]:
    chip = HidKeys(_now_us(), sources=2)
    return KeyDevice(nodes(chip, 2), CODES), chip


Device = Callable[[], tuple[KeyDevice, HidKeys]]


def _chosen(request: pytest.FixtureRequest) -> Device:
    if request.param == "evdev":
        return partial(_evdev, request.getfixturevalue("nodes"))
    return _device


@pytest.fixture(params=["wire", "evdev"])
def device(request: pytest.FixtureRequest) -> Device:
    """Two keyboards on the virtual board's wire, or at event nodes of the kernel."""
    return _chosen(request)


Make = Callable[[], tuple[Keypad, Fingers]]


@pytest.fixture(params=["key_matrix", "key_device", "evdev"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "key_matrix":
        return _matrix_keys
    chosen = _chosen(request)

    def build() -> tuple[Keypad, Fingers]:
        keypad, chip = chosen()
        return keypad, BlockFingers(chip)

    return build


async def _nothing(keypad: Keypad, ms: int) -> None:
    name, _ = await aio.first(("key", keypad.read()), timeout_ms=ms)
    assert name == "timeout"


def test_each_press_is_reported_once_by_name(make: Make) -> None:
    async def main() -> None:
        keypad, keys = make()
        for name in keys.names:
            keys.tap(name)
            assert await keypad.read() == name
            await _nothing(keypad, 200)

    run(main())


def test_fast_typing_keeps_its_order(make: Make) -> None:
    async def main() -> None:
        keypad, keys = make()
        typed = list("1234567890") + ["00", "enter", "enter"]
        keys.type(typed, hold_us=40_000, gap_us=40_000)
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
        keypad, keys = make()
        await _nothing(keypad, 50)  # the scan runs from the first read on
        keys.type(["1", "2"])
        await aio.sleep_ms(500)
        assert await keypad.read() == "1"
        keypad.flush()
        await _nothing(keypad, 200)

    run(main())


def test_a_cancelled_read_loses_no_press(make: Make) -> None:
    async def main() -> None:
        keypad, keys = make()
        keys.tap("7", after_us=100_000)
        for _ in range(20):
            name, key = await aio.first(("key", keypad.read()), timeout_ms=7)
            if name == "key":
                break
        assert (name, key) == ("key", "7")

    run(main())


def test_a_claim_takes_the_keypad_and_gives_it_back(make: Make) -> None:
    async def main() -> None:
        keypad, keys = make()
        await _nothing(keypad, 5)
        keys.tap("1")
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
        keys.tap("4")
        assert await keypad.read_claimed(token) == "4"
        keys.tap("9")
        await aio.sleep_ms(200)
        keypad.release(token)
        await _nothing(keypad, 200)  # the 9 belonged to the claim
        with pytest.raises(KeypadBusy):
            await keypad.read_claimed(token)
        keys.tap("2")
        assert await keypad.read() == "2"

    run(main())


def test_presses_before_a_claim_are_not_the_claims(make: Make) -> None:
    async def main() -> None:
        keypad, keys = make()
        await _nothing(keypad, 20)
        keys.tap("8")
        await aio.sleep_ms(200)
        token = keypad.claim()
        name, _ = await aio.first(("key", keypad.read_claimed(token)), timeout_ms=200)
        assert name == "timeout"

    run(main())


@pytest.mark.parametrize(("key", "repeats"), [("down", True), ("5", False), ("enter", False)])
def test_only_keys_that_move_repeat_while_held(make: Make, key: str, repeats: bool) -> None:
    async def main() -> None:
        keypad, keys = make()
        keys.press(key)
        assert await keypad.read() == key
        if repeats:
            assert [await keypad.read() for _ in range(5)] == [key] * 5
        else:
            await _nothing(keypad, 2000)
        keys.release(key)
        await aio.sleep_ms(100)
        keypad.flush()
        await _nothing(keypad, 1000)

    run(main())


def test_two_keys_at_once_are_both_reported() -> None:
    async def main() -> None:
        keypad, rack = _matrix()
        rack.keys.press("1")
        rack.keys.press("5")
        assert sorted([await keypad.read(), await keypad.read()]) == ["1", "5"]
        rack.keys.release("1")
        rack.keys.tap("9")
        assert await keypad.read() == "9"
        assert rack.pins.shorts == []

    run(main())


@pytest.mark.parametrize("corner", ["1", "2", "4", "5"])
def test_a_ghost_is_never_reported(corner: str) -> None:
    async def main() -> None:
        keypad, rack = _matrix()
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
        keypad, keys = make()
        keys.press("3")
        assert await keypad.read() == "3"
        with pytest.raises(KeypadError, match="key 3 is stuck"):
            await keypad.read()
        keys.tap("7")
        assert await keypad.read() == "7"
        keys.release("3")
        await aio.sleep_ms(100)
        keys.tap("3")
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
        for _ in range(claimed_keys.WAITING):
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


def test_a_keyboard_that_is_unplugged_is_named_once_and_heard_again(device: Device) -> None:
    async def main() -> None:
        keypad, chip = device()
        keys = BlockFingers(chip)
        keys.type(["1", "2"])
        assert await keypad.read() == "1"
        keys.press("5")
        assert await keypad.read() == "5"
        chip.unplug()
        with pytest.raises(KeypadGone):
            await keypad.read()
        await _nothing(keypad, 60_000)  # nothing is stuck, nothing repeats
        chip.plug()
        await aio.sleep_ms(1000)  # a system looks for it now and then
        keys.tap("7")
        assert await keypad.read() == "7"

    run(main())


def test_a_check_says_whether_it_is_there_and_loses_no_press(make: Make) -> None:
    async def main() -> None:
        keypad, keys = make()
        keys.tap("1")
        for _ in range(3):
            await keypad.check()
        assert await keypad.read() == "1"

    run(main())


def test_a_keyboard_that_comes_late_is_heard_from_then_on(device: Device) -> None:
    async def main() -> None:
        keypad, chip = device()
        keys = BlockFingers(chip)
        chip.unplug()
        await aio.sleep_ms(10)
        for _ in range(2):
            with pytest.raises(KeypadGone, match="no input device "):
                await keypad.check()
        with pytest.raises(KeypadGone):
            await keypad.read()
        result = await _tested(keypad)
        assert (result.state, result.text_key) == ("fail", "error.keypad_gone")
        assert doctor.advice(result.detail) == "doctor.absent"
        chip.plug()
        await aio.sleep_ms(1000)
        keys.tap("7")
        assert await keypad.read() == "7"
        assert (await _tested(keypad)).state == "ok"

    run(main())


async def _tested(keypad: Keypad) -> self_test.Result:
    """What the self-test says of it."""

    async def heard(result: self_test.Result) -> None:
        pass

    devices = SimpleNamespace(keypad=keypad, failures=[])
    return (await self_test.run(devices, 0, heard, ("keypad",)))[0]


def test_a_keyboard_unplugged_during_pin_entry_ends_it_and_leaves_no_digit(device: Device) -> None:
    async def main() -> None:
        keypad, chip = device()
        keys, store = BlockFingers(chip), PinStore()
        counts: list[int] = []
        pad = PinPad(keypad, store)
        entry = aio.spawn("pin", pad.enter(counts.append))
        keys.type(["1", "2", "3"])
        await aio.sleep_ms(1000)
        buffers = _digits_in(entry)
        assert [bytes(buffer[:3]) for buffer in buffers] == [b"123"]
        chip.unplug()
        with pytest.raises(KeypadGone):
            await entry.join()
        assert counts == [1, 2, 3]
        assert not any(buffers[0])
        assert store._pins == []
        chip.plug()
        await aio.sleep_ms(1000)
        keys.type(["9", "8", "7", "6", "enter"])
        handle = await pad.enter(counts.append)  # the keypad was given back, and is empty
        assert handle is not None
        assert store.digits(handle) == b"9876"

    run(main())


def _digits_in(task: aio.Task) -> list[bytearray]:
    """The bytearrays that a waiting coroutine holds."""
    return [v for v in task._coro.cr_frame.f_locals.values() if isinstance(v, bytearray)]


def test_two_keyboards_are_one_keypad(device: Device) -> None:
    async def main() -> None:
        keypad, chip = device()
        chip.finger(79, 1, 0, source=0)
        chip.finger(80, 1, 10_000, source=1)
        assert [await keypad.read(), await keypad.read()] == ["1", "2"]
        chip.unplug(source=1)
        with pytest.raises(KeypadGone):
            await keypad.read()
        assert keypad.held() == ["1"]

    run(main())


def test_keys_without_a_name_and_devices_that_are_not_there() -> None:
    class Absent(WireInput):
        def missing(self) -> list[str]:
            return ["1a2c:0e24"]

    async def main() -> None:
        keypad, chip = _device()
        chip.press(30)
        await _nothing(keypad, 500)
        bus = WireInput(Seat(chip), "keys")
        with pytest.raises(ValueError, match="no key is named ok"):
            KeyDevice(bus, {28: "ok"})
        absent = KeyDevice(Absent(Seat(chip), "keys"), CODES)
        with pytest.raises(KeypadGone, match="no input device 1a2c:0e24"):
            await absent.check()

    run(main())


def test_an_input_bus_that_fails_is_named_once_and_comes_back() -> None:
    async def main() -> None:
        keypad, chip = _device()
        seat = keypad._events._wire  # type: ignore[attr-defined]  # the wire below the bus
        whole = seat.transfer

        def broken(bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
            raise BusError("no wire")

        seat.transfer = broken
        with pytest.raises(KeypadError, match="no wire"):
            await keypad.read()
        await _nothing(keypad, 5000)
        seat.transfer = whole
        BlockFingers(chip).tap("3")
        assert await keypad.read() == "3"

    run(main())
