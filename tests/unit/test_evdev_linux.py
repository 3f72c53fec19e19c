"""Keypad, scanner and swipe reader over python-evdev reading real event streams."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware import aio
from firmware.buses.evdev_linux import EvdevInput, EvdevMissing
from firmware.buses.input_events import LOST, InputGone
from firmware.buses.wire import BusError
from firmware.drivers.key_device import KeyDevice
from firmware.drivers.key_lines import KeyLines
from firmware.drivers.line_scanner import MOST, LineScanner
from firmware.hal.keypad import KeypadGone
from firmware.hal.scanner import ScannerMissing, ScanRefused
from host_tools.emulator.chips.hid_keys import HidKeys
from tests.support import event_pipes
from tests.support.event_pipes import EV_KEY, EV_SYN, SYN_DROPPED, Kernel, PipeDevice

Main = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    if event_pipes.why_not():
        pytest.skip(event_pipes.why_not())
    made = Kernel(tmp_path, monkeypatch)
    yield made
    for device in list(made.devices.values()):
        device.close()


def run(main: Main) -> None:
    """On the real clock: the descriptors are real. Nothing here measures time."""
    aio.run(aio.deadline(30000, main(), "the test"))


def scanner_at(kernel: Kernel, name: str = "event0", port: str = "usb-1.1") -> PipeDevice:
    return PipeDevice(kernel, name, 0x0C2E, 0x0B61, port + "/input0")


def typed(device: PipeDevice, text: str) -> None:
    """What a keyboard scanner sends for ``text``."""
    chip = HidKeys(lambda: 0, pace_us=0)
    for char in text:
        chip.type(char)
        answer = chip.transfer(1, b"")[0]
        for at in range(0, len(answer), 4):
            code = int.from_bytes(answer[at + 1 : at + 3], "big")
            device.send((EV_KEY, code, answer[at + 3]), (EV_SYN, 0, 0))


def test_a_scanner_is_known_by_vendor_and_product_and_grabbed(kernel: Kernel) -> None:
    async def main() -> None:
        human = PipeDevice(kernel, "event0", 0x046D, 0xC31C, "usb-1.3/input0")
        gun = scanner_at(kernel, "event1")
        bus = EvdevInput(["0C2E:0b61"], str(kernel.folder))
        scanner = LineScanner(KeyLines(bus, MOST))
        assert bus.missing() == []
        assert gun.grabbed_by is not None and human.grabbed_by is None
        typed(human, "people\n")
        typed(gun, "6901234567892\n")
        assert (await scanner.read()).text == "6901234567892"
        await bus.close()

    run(main)


def test_a_grabbed_device_is_nobody_elses_and_is_named(kernel: Kernel) -> None:
    async def main() -> None:
        scanner_at(kernel)
        first = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        second = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        assert first.missing() == []
        (missing,) = second.missing()
        assert missing.startswith("0c2e:0b61 (another program holds it: ")
        with pytest.raises(InputGone, match="another program holds it"):
            await second.read()
        await first.close()
        await aio.sleep_ms(1000)  # it is looked for twice a second
        assert second.missing() == []
        await second.close()
        await second.close()

    run(main)


def test_a_device_is_known_by_its_path(kernel: Kernel, tmp_path: Path) -> None:
    async def main() -> None:
        gun = scanner_at(kernel, "event4")
        links = tmp_path / "by-id"
        links.mkdir()
        link = links / "usb-Maker_Scanner-event-kbd"
        link.symlink_to("../event4")
        bus = EvdevInput([str(link), str(links / "absent")], str(kernel.folder))
        assert bus.missing() == [str(links / "absent")]
        with pytest.raises(InputGone) as caught:
            await bus.read()
        assert caught.value.source == 1
        gun.type(30)
        assert (await bus.read())[0] == (0, 30, 1)
        await bus.close()

    run(main)


def test_unplugged_in_the_middle_of_a_code_and_plugged_in_again(kernel: Kernel) -> None:
    async def main() -> None:
        gun = scanner_at(kernel)
        bus = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        scanner = LineScanner(KeyLines(bus, MOST))
        for _ in range(3):
            typed(gun, "69012")
            name, _ = await aio.first(("scan", scanner.read()), timeout_ms=50)
            assert name == "timeout"
            gun.unplug()
            with pytest.raises(ScannerMissing):
                await scanner.read()
            assert bus.missing() == ["0c2e:0b61"]
            gun.plug()
            while bus.missing():
                await aio.sleep_ms(20)
            typed(gun, "whole\n")
            assert (await scanner.read()).text == "whole"
        await scanner.close()

    run(main)


def test_two_scanners_of_one_make_at_once(kernel: Kernel) -> None:
    async def main() -> None:
        one, two = scanner_at(kernel), scanner_at(kernel, "event1", "usb-1.2")
        bus = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        scanner = LineScanner(KeyLines(bus, MOST))
        for left, right in zip("Left-123\n", "RIGHT:45\n", strict=True):
            typed(one, left)
            typed(two, right)
        got = [await scanner.read(), await scanner.read()]
        assert sorted((scan.source, scan.text) for scan in got) == [
            (0, "Left-123"),
            (1, "RIGHT:45"),
        ]
        one.unplug()
        with pytest.raises(ScannerMissing):
            await scanner.read()
        two.unplug()
        with pytest.raises(ScannerMissing):
            await scanner.read()
        two.plug()  # each has its number by its plug, whichever comes first
        while bus.missing():
            await aio.sleep_ms(20)
        typed(two, "two\n")
        scan = await scanner.read()
        assert (scan.source, scan.text) == (1, "two")
        await bus.close()

    run(main)


def test_every_key_node_of_a_device_is_taken_and_leaves_with_it(kernel: Kernel) -> None:
    async def main() -> None:
        keys = scanner_at(kernel)
        more = PipeDevice(kernel, "event1", 0x0C2E, 0x0B61, "usb-1.1/input1")
        mouse = PipeDevice(kernel, "event2", 0x0C2E, 0x0B61, "usb-1.1/input2", keys=False)
        bus = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        assert keys.grabbed_by is not None and more.grabbed_by is not None
        assert mouse.grabbed_by is None
        more.type(163)
        assert (await bus.read())[0] == (0, 163, 1)
        keys.unplug()
        more.unplug()
        while True:
            try:
                await bus.read()
            except InputGone as gone:
                assert gone.source == 0
                assert "no keys" not in str(gone)
                break
        await aio.sleep_ms(100)
        name, _ = await aio.first(("read", bus.read()), timeout_ms=700)
        assert name == "timeout"  # told once
        await bus.close()

    run(main)


def test_lost_events_spoil_the_code_and_not_the_next(kernel: Kernel) -> None:
    async def main() -> None:
        gun = scanner_at(kernel)
        scanner = LineScanner(KeyLines(EvdevInput(["0c2e:0b61"], str(kernel.folder)), MOST))
        typed(gun, "690")
        gun.send((EV_SYN, SYN_DROPPED, 0), (4, 4, 458756), (EV_SYN, 0, 0))
        typed(gun, "892\nnext\n")
        with pytest.raises(ScanRefused) as caught:
            await scanner.read()
        assert caught.value.cause == "keys"
        assert (await scanner.read()).text == "next"
        await scanner.close()

    run(main)


def test_a_device_that_types_for_ever_fills_nothing(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firmware.buses import evdev_linux

    monkeypatch.setattr(evdev_linux, "WAITING", 20)

    async def main() -> None:
        gun = scanner_at(kernel)
        bus = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        for _ in range(40):
            gun.type(30)
        await aio.sleep_ms(50)
        events = await bus.read()
        assert len(events) <= 21
        assert events[-1] == (0, LOST, 1)
        gun.type(31)
        dropped: list[tuple[int, int, int]] = []
        while (0, 31, 0) not in dropped:
            await aio.sleep_ms(5)
            dropped += bus.drop()
        assert [event for event in dropped if event[1] == 31] == [(0, 31, 1), (0, 31, 0)]
        assert bus.drop() == []
        await bus.close()
        with pytest.raises(BusError, match="let go"):
            await bus.read()

    run(main)


CODES = {79: "1", 80: "2", 81: "3", 75: "4", 96: "enter", 1: "cancel"}


def test_a_keypad_that_is_not_there_yet_is_named_and_taken_up_when_it_comes(
    kernel: Kernel,
) -> None:
    async def main() -> None:
        bus = EvdevInput(["1a2c:0e24", "/dev/input/by-path/none"], str(kernel.folder))
        keypad = KeyDevice(bus, CODES)
        missing = "no input device 1a2c:0e24, /dev/input/by-path/none"
        for _ in range(2):
            with pytest.raises(KeypadGone, match=missing):
                await keypad.check()
        for _ in range(2):
            with pytest.raises(KeypadGone):
                await keypad.read()
        block = PipeDevice(kernel, "event0", 0x1A2C, 0x0E24, "usb-1.4/input0")
        while len(bus.missing()) > 1:
            await aio.sleep_ms(20)
        block.type(79)
        assert await keypad.read() == "1"
        keypad.stop()
        await bus.close()
        nowhere = EvdevInput(["1a2c:0e24"], str(kernel.folder / "none"))
        assert nowhere.missing() == ["1a2c:0e24"]
        await nowhere.close()

    run(main)


def test_a_path_that_is_no_input_device_is_named(kernel: Kernel, tmp_path: Path) -> None:
    async def main() -> None:
        plain = tmp_path / "plain"
        plain.write_bytes(b"")
        pad = PipeDevice(kernel, "event3", 1, 2, "usb", keys=False)
        bus = EvdevInput([str(plain), str(pad.path)], str(kernel.folder))
        said = bus.missing()
        assert said[0].startswith(f"{plain} (") and "ioctl" in said[0]
        assert said[1] == f"{pad.path} (it has no keys)"
        await bus.close()

    run(main)


def test_no_evdev_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evdev", None)
    with pytest.raises(EvdevMissing, match=r"opentill\[hid\]"):
        EvdevInput(["1:2"])


def test_the_key_codes_of_board_files_are_the_kernels() -> None:
    if event_pipes.why_not():
        pytest.skip(event_pipes.why_not())
    from evdev import ecodes

    from host_tools.key_codes import CODES

    assert {name: ecodes.ecodes.get(name) for name in CODES} == CODES


def test_a_flood_of_one_device_costs_another_no_key_and_hides_no_unplugging(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firmware.buses import evdev_linux

    monkeypatch.setattr(evdev_linux, "WAITING", 6)

    async def main() -> None:
        guns = [scanner_at(kernel, f"event{i}", f"usb-1.{i}") for i in range(3)]
        bus = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        guns[0].type(2, 3, 4)
        await aio.sleep_ms(20)
        guns[1].unplug()
        await aio.sleep_ms(20)
        for _ in range(5):
            guns[2].type(30)
            await aio.sleep_ms(5)
        assert await bus.read() == [(0, code, value) for code in (2, 3, 4) for value in (1, 0)]
        with pytest.raises(InputGone) as caught:
            await bus.read()
        assert caught.value.source == 1
        assert await bus.read() == [(2, LOST, 1)]
        guns[2].type(31)
        assert (await bus.read())[0] == (2, 31, 1)
        await bus.close()

    run(main)


def test_a_plug_that_flaps_while_nobody_reads_is_told_once(kernel: Kernel) -> None:
    async def main() -> None:
        gun = scanner_at(kernel)
        bus = EvdevInput(["0c2e:0b61"], str(kernel.folder))
        for keys in ((), (), (30,), ()):
            gun.type(*keys)
            await aio.sleep_ms(20)
            gun.unplug()
            while not bus.missing():
                await aio.sleep_ms(1)
            gun.plug()
            while bus.missing():
                await aio.sleep_ms(20)
        told: list[object] = []
        for _ in range(3):
            try:
                told += await bus.read()
            except InputGone as gone:
                told.append(gone.source)
        assert told == [0, (0, 30, 1), (0, 30, 0), 0]  # once before the keys and once after
        name, _ = await aio.first(("more", bus.read()), timeout_ms=100)
        assert name == "timeout"
        await bus.close()

    run(main)


def test_keys_held_when_events_are_lost_count_as_let_go(kernel: Kernel) -> None:
    """Their releases may be among what was lost: a scanner's Shift, a keypad's arrow."""

    async def main() -> None:
        gun = scanner_at(kernel)
        scanner = LineScanner(KeyLines(EvdevInput(["0c2e:0b61"], str(kernel.folder)), MOST))
        gun.send((EV_KEY, 42, 1), (EV_SYN, 0, 0), (EV_SYN, SYN_DROPPED, 0))
        # What stands between the loss and the next report is a part of a report.
        gun.send((EV_KEY, 29, 1), (EV_SYN, 0, 0))
        typed(gun, "1\n12\n")
        with pytest.raises(ScanRefused) as caught:
            await scanner.read()
        assert caught.value.cause == "keys"
        assert (await scanner.read()).text == "12"
        await scanner.close()
        block = PipeDevice(kernel, "event5", 0x1A2C, 0x0E24, "usb-1.4/input0")
        bus = EvdevInput(["1a2c:0e24"], str(kernel.folder))
        keypad = KeyDevice(bus, {103: "up", 79: "1"})
        keypad.start()
        block.send((EV_KEY, 103, 1), (EV_SYN, 0, 0), (EV_SYN, SYN_DROPPED, 0), (EV_SYN, 0, 0))
        assert await keypad.read() == "up"
        block.type(79)
        assert await keypad.read() == "1"
        assert keypad.held() == []
        keypad.stop()
        await bus.close()

    run(main)
