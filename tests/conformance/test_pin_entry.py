"""Conformance of hal.pin_entry: what every PIN entry driver must do."""

from collections.abc import Callable

import pytest

from firmware import aio
from firmware.drivers.pin_pad import PinPad
from firmware.drivers.pin_store import PinStore
from firmware.hal.keypad import Keypad, KeypadBusy, KeypadError
from firmware.hal.pin_entry import PinCancelled, PinEntry, PinTimeout
from firmware.hal.vault import VaultError
from tests.support.virtual_time import run


class ScriptedKeypad(Keypad):
    """Keys at times (ms apart); keeps the contract's rules on claims."""

    def __init__(self, *presses: tuple[int, str]) -> None:
        self.presses = list(presses)
        self.token: object = None
        self.flushes = 0
        self.broken = False

    async def read(self) -> str:
        if self.token is not None:
            raise KeypadBusy("claimed")
        raise AssertionError("nobody reads ordinary keys here")

    def flush(self) -> None:
        self.flushes += 1

    def claim(self) -> object:
        if self.token is not None:
            raise KeypadBusy("claimed")
        self.token = object()
        return self.token

    async def read_claimed(self, token: object) -> str:
        assert token is self.token
        if self.broken:
            raise KeypadError("stuck")
        if not self.presses:
            await aio.sleep_ms(10**9)
        await aio.sleep_ms(self.presses[0][0])
        return self.presses.pop(0)[1]

    def release(self, token: object) -> None:
        assert token is self.token
        self.token = None


Make = Callable[[Keypad], tuple[PinEntry, PinStore]]


def _pad(keypad: Keypad) -> tuple[PinEntry, PinStore]:
    store = PinStore()
    return PinPad(keypad, store), store


@pytest.fixture(params=[_pad], ids=["pin_pad"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def _keys(text: str) -> list[tuple[int, str]]:
    names = {"E": "enter", "C": "clear", "X": "cancel", "Z": "00", "M": "menu", ".": "."}
    return [(100, names.get(c, c)) for c in text]


@pytest.mark.parametrize(
    ("typed", "digits", "counts"),
    [
        ("1234E", b"1234", [1, 2, 3, 4]),
        ("123456789012E", b"123456789012", list(range(1, 13))),
        ("1234567890123E", b"123456789012", list(range(1, 13))),
        ("12E34E", b"1234", [1, 2, 3, 4]),
        ("E1234E", b"1234", [1, 2, 3, 4]),
        ("99C1234E", b"1234", [1, 2, 0, 1, 2, 3, 4]),
        ("C1234E", b"1234", [0, 1, 2, 3, 4]),
        ("1Z2.3M4E", b"1234", [1, 2, 3, 4]),
        ("0000E", b"0000", [1, 2, 3, 4]),
    ],
)
def test_digits(make: Make, typed: str, digits: bytes, counts: list[int]) -> None:
    async def main() -> None:
        keypad = ScriptedKeypad(*_keys(typed))
        entry, store = make(keypad)
        seen: list[int] = []
        handle = await entry.enter(seen.append)
        assert handle is not None and handle.length == len(digits)
        assert store.digits(handle) == digits
        assert seen == counts
        assert keypad.token is None
        assert not any(c in repr(vars(handle)) for c in ("1234", "0000"))

    run(main())


def test_bounds_of_the_card(make: Make) -> None:
    async def main() -> None:
        entry, store = make(ScriptedKeypad(*_keys("1234E56E")))
        handle = await entry.enter(lambda n: None, minimum=6, maximum=6)
        assert handle is not None and store.digits(handle) == b"123456"
        for minimum, maximum in ((3, 12), (4, 13), (8, 7), (0, 4)):
            keypad = ScriptedKeypad()
            entry, _ = make(keypad)
            with pytest.raises(ValueError):
                await entry.enter(lambda n: None, minimum=minimum, maximum=maximum)
            assert keypad.token is None

    run(main())


def test_bypass(make: Make) -> None:
    async def main() -> None:
        entry, _ = make(ScriptedKeypad(*_keys("E")))
        assert await entry.enter(lambda n: None, bypass=True) is None
        entry, store = make(ScriptedKeypad(*_keys("1E234E")))  # a digit stands: no bypass
        handle = await entry.enter(lambda n: None, bypass=True)
        assert handle is not None and store.digits(handle) == b"1234"
        entry, _ = make(ScriptedKeypad(*_keys("12CE")))
        assert await entry.enter(lambda n: None, bypass=True) is None

    run(main())


def test_cancel_and_time_out_keep_nothing(make: Make) -> None:
    async def main() -> None:
        keypad = ScriptedKeypad(*_keys("123X"))
        entry, _ = make(keypad)
        with pytest.raises(PinCancelled):
            await entry.enter(lambda n: None)
        assert keypad.token is None

        keypad = ScriptedKeypad((29_000, "1"), (29_000, "2"), (29_000, "3"), (30_001, "4"))
        entry, _ = make(keypad)
        start = aio.ticks_ms()
        with pytest.raises(PinTimeout):
            await entry.enter(lambda n: None)
        assert aio.elapsed_ms(start) == 3 * 29_000 + 30_000  # anew from each key
        assert keypad.token is None

    run(main())


def test_the_keypad_is_taken_meanwhile(make: Make) -> None:
    async def main() -> None:
        keypad = ScriptedKeypad((500, "1"), (500, "cancel"))
        entry, _ = make(keypad)
        task = aio.spawn("pin", entry.enter(lambda n: None))
        await aio.sleep_ms(100)
        with pytest.raises(KeypadBusy):
            await keypad.read()
        with pytest.raises(KeypadBusy):
            await entry.enter(lambda n: None)
        with pytest.raises(PinCancelled):
            await task.join()

    run(main())


def test_cancelling_the_flow_releases_the_keypad(make: Make) -> None:
    async def main() -> None:
        keypad = ScriptedKeypad(*_keys("12"))
        entry, _ = make(keypad)
        name, _ = await aio.first(("pin", entry.enter(lambda n: None)), timeout_ms=1000)
        assert name == "timeout" and keypad.token is None
        keypad.broken = True
        with pytest.raises(KeypadError):
            await entry.enter(lambda n: None)
        assert keypad.token is None

    run(main())


@pytest.mark.parametrize("last", ["enter", "cancel"])
def test_the_pads_own_buffer_is_wiped(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytearray] = []

    def watched(size: int) -> bytearray:
        made.append(bytearray(size))
        return made[-1]

    monkeypatch.setattr("firmware.drivers.pin_pad.bytearray", watched, raising=False)

    async def main() -> None:
        store = PinStore()
        seen: list[bytes] = []
        pad = PinPad(ScriptedKeypad(*_keys("1234"), (100, last)), store)
        try:
            handle = await pad.enter(lambda n: seen.append(bytes(made[0])))
        except PinCancelled:
            handle = None
        assert seen[3] == b"1234" + bytes(8)
        assert made == [bytearray(12)]
        assert (handle is not None) == (last == "enter")
        if handle is not None:
            assert store.digits(handle) == b"1234"

    run(main())


def test_the_store_wipes_what_it_drops() -> None:
    store = PinStore()
    kept = [bytearray(b"1234") for _ in range(5)]
    handles = [store.keep(digits) for digits in kept]
    assert kept[0] == bytes(4)  # more than four at a time: the oldest is gone
    store.drop(handles[1])
    store.drop(handles[1])
    assert kept[1] == bytes(4) and kept[2] == b"1234"
    with pytest.raises(VaultError):
        store.digits(handles[1])
    store.drop_all()
    assert all(digits == bytes(4) for digits in kept)
