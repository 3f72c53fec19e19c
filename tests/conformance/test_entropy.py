"""Conformance of hal.entropy: what every random source must do."""

from collections.abc import Callable

import pytest

from firmware.buses.wire import BusError, Wire
from firmware.drivers import entropy_test
from firmware.drivers.entropy_linux import LinuxEntropy
from firmware.drivers.entropy_mpy import MpyEntropy
from firmware.drivers.trng_wire import WireTrng
from firmware.hal.entropy import Entropy, EntropyError
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.trng import Trng
from tests.support.virtual_time import run


class ChipWire(Wire):
    """One chip on a wire."""

    def __init__(self, chip: Trng) -> None:
        self.chip = chip
        self.spoil: Callable[[bytes], bytes] = lambda answer: answer

    def transfer(self, bus: str, op: int, payload: bytes) -> tuple[bytes, int]:
        assert bus == "trng"
        try:
            answer, busy = self.chip.transfer(op, payload)
        except ChipError as error:
            raise BusError(str(error)) from error
        return self.spoil(answer), busy


@pytest.fixture(params=["linux", "mpy", "wire", "wire seeded"])
def source(request: pytest.FixtureRequest) -> Entropy:
    if request.param == "linux":
        return LinuxEntropy()
    if request.param == "mpy":
        return MpyEntropy()
    return WireTrng(ChipWire(Trng(None if request.param == "wire" else 5)))


def test_random_gives_what_was_asked(source: Entropy) -> None:
    for count in (1, 2, 16, 127, 128, 129, 255, 256):
        assert len(source.random(count)) == count
    assert source.random(32) != source.random(32)
    for count in (0, -1, 257):
        with pytest.raises(ValueError):
            source.random(count)


def test_a_sound_source_passes(source: Entropy) -> None:
    run(source.self_test())


def test_genuine_is_told_by_the_chip() -> None:
    genuine = WireTrng(ChipWire(Trng()))
    assert not genuine.genuine  # it has not spoken
    run(genuine.self_test())
    assert genuine.genuine and LinuxEntropy().genuine
    seeded = WireTrng(ChipWire(Trng(1)))
    run(seeded.self_test())
    assert not seeded.genuine


def test_a_source_once_doubted_stays_so() -> None:
    wire = ChipWire(Trng(1))
    source = WireTrng(wire)
    source.random(1)
    wire.chip = Trng()
    source.random(1)
    assert not source.genuine


def test_stuck_mute_and_malformed_chips_are_named() -> None:
    chip = Trng()
    wire = ChipWire(chip)
    source = WireTrng(wire)
    chip.stuck = 0xA5
    with pytest.raises(EntropyError, match="repeats"):
        run(source.self_test())
    chip.stuck = None
    chip.mute = True
    with pytest.raises(EntropyError, match="random chip"):
        source.random(8)
    chip.mute = False
    for spoil in (
        lambda answer: b"",
        lambda answer: answer[:-1],
        lambda answer: answer + b"\x00",
        lambda answer: b"\x02" + answer[1:],
    ):
        wire.spoil = spoil
        with pytest.raises(EntropyError, match="malformed"):
            source.random(8)


def test_an_unseeded_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(count: int, flags: int) -> bytes:
        raise BlockingIOError("not seeded")

    monkeypatch.setattr("os.getrandom", blocked)
    with pytest.raises(EntropyError, match="not seeded"):
        LinuxEntropy().random(8)
    monkeypatch.setattr("os.getrandom", lambda count, flags: b"x")
    with pytest.raises(EntropyError, match="1 bytes of 8"):
        LinuxEntropy().random(8)


def test_the_start_up_test_itself() -> None:
    varied = bytes(i * 7 % 256 for i in range(1024))
    entropy_test.check(varied)
    with pytest.raises(EntropyError, match="1024 samples"):
        entropy_test.check(varied[:-1])
    entropy_test.check(varied[:500] + b"\x55" * 4 + varied[504:])
    with pytest.raises(EntropyError, match="repeats"):
        entropy_test.check(varied[:500] + b"\x55" * 5 + varied[505:])
    often = bytearray(varied)
    for i in range(512, 1024, 22):  # 24 of the window's first sample: still by chance
        often[i] = often[512]
    count = bytes(often[512:]).count(often[512])
    with pytest.raises(EntropyError, match="favours"):
        entropy_test.check(bytes(often))
    assert count >= entropy_test.PROPORTION
