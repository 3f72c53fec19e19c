"""The MicroPython buses over the proxies of ``machine``, on virtual time: the bytes go to the
same virtual chips as everywhere; and what they say when something is wrong."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware import aio, board_loader
from firmware.buses.display_spi import SpiDisplay
from firmware.buses.i2c_mpy import MpyI2c
from firmware.buses.pins import IN, IN_PULLUP, OUT
from firmware.buses.pins_mpy import MpyPins
from firmware.buses.serial_mpy import SEND, MpySerial
from firmware.buses.spi_mpy import MpySpi
from firmware.buses.usb_mpy import MpyUsbSerial
from firmware.buses.wire import BusError
from firmware.drivers.entropy_mpy import MpyEntropy
from firmware.drivers.pc_serial import PcSerial
from firmware.drivers.rtc_mpy import MpyRtc
from firmware.drivers.watchdog_mpy import MpyWatchdog
from firmware.hal.clock import ClockError
from firmware.hal.display import DisplayError
from firmware.hal.entropy import EntropyError
from firmware.hal.power import PowerError
from firmware.hal.printer import PrinterMissing
from firmware.hal.watchdog import WatchdogError
from firmware.services.heartbeat import Heartbeat
from host_tools.emulator import deck, mpy_seats
from host_tools.emulator.chips.errors import ChipError
from host_tools.emulator.chips.panel_buses import I2cPanel
from host_tools.emulator.mpy import mcu
from host_tools.emulator.rack import DEFAULT_TIME, Rack
from tests.support import rig
from tests.support.mcu import installed
from tests.support.virtual_time import run

PPSE = bytes.fromhex("00A404000E") + b"2PAY.SYS.DDF01" + b"\x00"
BOARDS = {"rp2350-pico2w": "rp2", "esp32-s3": "esp32"}
EACH = pytest.mark.parametrize("name", BOARDS)
#: Peripheral and pins as on the boards: (port, scl, sda) and (port, baud, tx, rx).
I2C = {"rp2": (1, 3, 2), "esp32": (0, 9, 8)}
UART = {"rp2": (0, 115200, 0, 1), "esp32": (1, 115200, 17, 18)}


@contextmanager
def chip(name: str, changes: dict[str, Any] | None = None) -> Iterator[tuple[Any, Rack, str]]:
    """A board with its proxies: (compiled board, rack, port)."""
    board = rig.board(name)
    board.update(changes or {})
    rack = rig.rack(board)
    with installed(rack, mpy_seats.seats(board), BOARDS[name]):
        yield board, rack, BOARDS[name]


@EACH
def test_every_device_of_the_board_starts_and_works(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        with chip(name) as (board, rack, _):
            devices = await board_loader.build(board, None, str(tmp_path))
            assert devices.failures == []
            for kind in board_loader.KINDS:
                assert (getattr(devices, kind) is not None) == (kind in board), kind
            assert devices.capabilities.has_printer and devices.capabilities.has_card_reader
            assert not devices.capabilities.emulated
            frame = bytes(range(256)) * 4
            await devices.display.show(frame)
            assert rack.display.frame() == frame
            assert rack.display.unknown == [] or rack.display.controller == "sh1106"
            await devices.indicators.lamp("ok", True)
            assert rack.lamps.state() == {"ready": False, "busy": False, "ok": True, "error": False}
            await devices.indicators.sound("card")
            await aio.sleep_ms(10)
            assert rack.lamps.frequency == 2000
            await aio.sleep_ms(100)
            assert rack.lamps.frequency == 0
            assert DEFAULT_TIME <= await devices.clock.now() <= DEFAULT_TIME + 1
            assert DEFAULT_TIME <= await MpyRtc().now() <= DEFAULT_TIME + 1, "TLS goes by it"
            await devices.clock.set(DEFAULT_TIME + 86_400)
            assert await devices.clock.now() == await MpyRtc().now() == DEFAULT_TIME + 86_400
            assert (await devices.power.status()).percent == 84
            assert not await devices.tamper.open()
            rack.tamper.set(False)
            assert await devices.tamper.open()
            rack.keys.tap("enter", 300_000)
            assert await devices.keypad.read() == "enter"
            assert not await devices.card_reader.present()
            if devices.contactless is not None:
                rack.nfc.put(deck.load().cards["approve"].make_card())
                channel = await devices.contactless.wait_tap(5000)
                assert (await channel.transmit(PPSE))[1] == 0x9000
                await devices.contactless.release()
            await devices.printer.print(rig.DOCUMENT)
            assert rack.printer.paper.lines[0].strip() == "OpenTill 商店"
            assert rack.printer.overruns == 0
            await devices.entropy.self_test()
            assert devices.entropy.genuine

    run(main())


@EACH
def test_another_device_at_the_address_is_a_named_failure(name: str, tmp_path: Path) -> None:
    """Clock and gauge at each other's address."""

    async def main() -> None:
        for kind, other, named in (("clock", "power", ClockError), ("power", "clock", PowerError)):
            with chip(name) as (board, _, _):
                board[kind]["address"] = board[other]["address"]
                devices = await board_loader.build(board, None, str(tmp_path))
                ((failed, _, error),) = devices.failures
                assert failed == kind and isinstance(error, named)
                assert "another chip answers at its address" in str(error)

    run(main())


@EACH
def test_nobody_at_the_address_is_a_named_failure(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        with chip(name) as (board, rack, port):
            board["clock"]["address"] = 0x51
            rack.display.mute = True
            devices = await board_loader.build(board, None, str(tmp_path))
            assert [(kind, str(error)) for kind, _, error in devices.failures] == [
                ("display", "display: i2c " + str(I2C[port][0]) + ", address 0x3c: no acknowledge"),
                ("clock", "i2c " + str(I2C[port][0]) + ", address 0x51: no acknowledge"),
            ]
            assert isinstance(devices.failures[0][2], DisplayError)
            assert isinstance(devices.failures[1][2], ClockError)

    run(main())


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: MpyI2c(2, 3, 2), "i2c 2: I2C(2) doesn't exist"),
    (lambda: MpyI2c(0, 3, 2), "i2c 0: bad SCL pin"),
    (lambda: MpyI2c(1, 3, 99), "i2c 1: invalid pin"),
    (lambda: MpySerial(0, 9600, 4, 5), "uart 0: bad TX pin"),
    (lambda: MpySerial(7, 9600, 0, 1), "uart 7: UART(7) doesn't exist"),
    (lambda: MpySpi(0, 18, 19, 17, 20, 1_000_000), "spi 0: bad MISO pin"),
    (lambda: MpyPins().read(31), "pin 31: invalid pin"),
    (lambda: MpyPins().mode(99, OUT), "pin 99: invalid pin"),
    (lambda: MpyPins().pwm(20, 3, 50), "pin 20: freq too small"),
]


@pytest.mark.parametrize(("act", "text"), WRONG, ids=[text for _, text in WRONG])
def test_what_the_chip_has_not_is_named(act: Callable[[], object], text: str) -> None:
    async def main() -> None:
        with chip("rp2350-pico2w"), pytest.raises(BusError) as caught:
            act()
        assert str(caught.value) == text

    run(main())


def test_pins_read_drive_and_sing() -> None:
    async def main() -> None:
        with chip("rp2350-pico2w") as (_, rack, _port):
            pins = MpyPins()
            pins.mode(15, IN_PULLUP)
            assert pins.read(15) == 1
            pins.mode(15, IN)
            assert pins.read(15) == 0
            pins.mode(15, OUT)
            pins.write(15, 1)
            assert rack.pins.output(15) == 1
            pins.mode(15, OUT)
            assert rack.pins.output(15) == 0, "an output begins low"
            pins.pwm(15, 2400, 50)
            assert rack.pins.waves[15] == (2400, 50)
            pins.pwm(15, 400, 25)
            assert rack.pins.waves[15] == (400, 25)
            pins.pwm(15, 0, 0)
            pins.pwm(15, 0, 0)
            assert 15 not in rack.pins.waves and rack.pins.output(15) == 0
            pins.pwm(15, 400, 50)
            pins.mode(15, IN)
            assert 15 not in rack.pins.waves
            with pytest.raises(ValueError, match="no pin mode"):
                pins.mode(15, 9)

    run(main())


@pytest.mark.parametrize("port", ["rp2", "esp32"])
def test_i2c_answers_and_faults(port: str) -> None:
    async def main() -> None:
        rack = rig.rack()
        with installed(rack, {"pins": "gpio", f"i2c{I2C[port][0]}": "i2c"}, port):
            bus = MpyI2c(*I2C[port])
            assert bus.transfer(0x68, b"\x0e\x12", 0) == b""
            assert bus.transfer(0x68, b"\x0e", 1) == b"\x12"
            assert len(bus.transfer(0x68, b"", 300)) == 300
            # More than a register's address before the read: the pointer stands behind it.
            follows = bus.transfer(0x68, b"\x11", 1)
            assert follows != bytes(1)
            assert bus.transfer(0x68, b"\x0d\x00\x12\x00\x00", 1) == follows
            with pytest.raises(BusError, match=r"address 0x20: no acknowledge"):
                bus.transfer(0x20, b"\x00", 0)
            with pytest.raises(BusError, match=r"address 0x20: no acknowledge"):
                bus.transfer(0x20, b"\x00", 4)
            with pytest.raises(ValueError, match="writes or reads"):
                bus.transfer(0x68, b"", 0)
            assert bus.transfer(0x68, b"\x0e", 1) == b"\x12", "the failed write is forgotten"

    run(main())


def test_a_held_i2c_clock_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with chip("esp32-s3"):
            bus = MpyI2c(*I2C["esp32"])
            for number, words in ((116, "the clock is held"), (12, "12")):
                monkeypatch.setattr(mcu, "transfer", _failing(number))
                with pytest.raises(BusError, match=words):
                    bus.transfer(0x68, b"\x00", 1)

    run(main())


def _failing(number: int) -> Callable[..., bytes]:
    def transfer(*_: object) -> bytes:
        raise OSError(number)

    return transfer


@pytest.mark.parametrize(
    "panel",
    [{"driver": "ssd1322", "width": 256, "height": 64},
     {"driver": "st7789", "width": 320, "height": 240, "ink": "ffb000", "paper": "000000"}],
    ids=lambda panel: panel["driver"],
)  # fmt: skip
def test_a_panel_on_spi(panel: dict[str, Any], tmp_path: Path) -> None:
    async def main() -> None:
        board = rig.board("rp2350-pico2w")
        board["bus"]["spi0"] = {
            "driver": "mpy_spi", "port": 0, "sck": 18, "mosi": 19, "miso": 16, "select": 17,
            "hz": 20_000_000,
        }  # fmt: skip
        board["bus"]["panel"] = {
            "driver": "spi_display", "bus": "spi0", "pins_bus": "gpio", "dc_pin": 26,
            "reset_pin": 27,
        }  # fmt: skip
        board["display"] = {**panel, "bus": "panel"}
        del board["indicators"]
        rack = rig.rack(board)
        with installed(rack, mpy_seats.seats(board), "rp2"):
            devices = await board_loader.build(board, None, str(tmp_path))
            assert devices.failures == []
            frame = bytes((i * 7) & 0xFF for i in range(panel["width"] * panel["height"] // 8))
            await devices.display.show(frame)
            assert rack.display.frame() == frame
            rack.display.mute = True
            await devices.display.power(False)  # SPI has no acknowledge
            assert rack.display.on

    run(main())


def test_a_broken_spi_peripheral_is_named() -> None:
    async def main() -> None:
        with chip("rp2350-pico2w") as (_, rack, _port):  # nothing leads to its SPI
            bus = MpySpi(0, 18, 19, 16, 17, 1_000_000, 3)
            with pytest.raises(BusError, match=r"^spi 0: 5"):
                bus.transfer(b"\x01\x02")
            assert rack.pins.output(17) == 1, "nobody stays selected"
            with pytest.raises(BusError, match=r"^display: spi 0: 5"):
                SpiDisplay(bus, MpyPins(), 26).command(0xAE)

    run(main())


def test_the_panels_side_of_i2c_knows_both_forms_of_control_byte() -> None:
    class Noted:
        def __init__(self) -> None:
            self.got: list[tuple[int, bytes]] = []

        def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
            self.got.append((op, payload))
            return b"", 0

    noted = Noted()
    panel = I2cPanel(noted)
    panel.exchange(b"\x80\xae\xc0\x55\x00\xa4\xa6", 0)
    panel.exchange(b"\x40\x01\x02", 0)
    panel.exchange(b"", 1)
    assert noted.got == [
        (1, b"\xae"), (2, b"\x55"), (1, b"\xa4\xa6"), (2, b"\x01\x02"), (1, b""),
    ]  # fmt: skip
    with pytest.raises(ChipError, match="no control byte"):
        panel.exchange(b"\x3f\x00", 0)


# ---- serial port ------------------------------------------------------------------------


@EACH
def test_the_serial_port_carries_both_ways_in_its_pace(name: str) -> None:
    async def main() -> None:
        rack, port = rig.rack(), BOARDS[name]
        seat = {"pins": "gpio", f"uart{UART[port][0]}": "pc"}
        with installed(rack, seat, port):
            serial = MpySerial(*UART[port])
            assert rack.pc.baud == 115200
            text = bytes(i & 0xFF for i in range(5000))
            began, at = aio.ticks_ms(), 0
            while at < len(text):
                taken = await serial.write(text[at:])
                assert taken <= SEND
                at += taken
                await aio.sleep_ms(5)
            # No faster than the line: what is over the buffer has left it.
            assert aio.elapsed_ms(began) >= (len(text) - SEND) * 10 // 116
            await aio.sleep_ms(200)
            assert rack.pc.take() == text
            rack.pc.feed(b"hello")
            assert await serial.read(3, 100) == b"hel"
            assert await serial.read(10) == b"lo"
            assert await serial.read(10, 50) == b""
            rack.pc.feed(b"x" * 40)
            await aio.sleep_ms(20)
            serial.drop_input()
            assert await serial.read(10, 0) == b""

    run(main())


def test_a_full_send_buffer_takes_nothing_more() -> None:
    async def main() -> None:
        with installed(rig.rack(), {"pins": "gpio", "uart0": "pc"}, "rp2"):
            serial = MpySerial(0, 1200, 0, 1)
            assert await serial.write(bytes(3000)) == SEND
            assert await serial.write(bytes(3000)) == 0
            await aio.sleep_ms(1000)  # 120 bytes leave in a second
            assert 100 <= await serial.write(bytes(3000)) <= 120

    run(main())


def test_a_cancelled_read_loses_nothing_and_a_stall_ends_in_time() -> None:
    async def main() -> None:
        rack = rig.rack()
        with installed(rack, {"pins": "gpio", "uart0": "pc"}, "rp2"):
            serial = MpySerial(0, 115200, 0, 1)
            task = asyncio.ensure_future(serial.read(100))
            await aio.sleep_ms(30)
            task.cancel()
            rack.pc.feed(b"late")
            await aio.sleep_ms(30)
            assert await serial.read(100, 0) == b"late"
            began = aio.ticks_ms()
            assert await serial.read(100, 700) == b""
            assert 700 <= aio.elapsed_ms(began) <= 701

    run(main())


def test_a_broken_peripheral_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        rack = rig.rack()
        with installed(rack, {"pins": "gpio", "uart0": "pc"}, "rp2"):
            serial = MpySerial(0, 115200, 0, 1)
            rack.pc.unplugged = True
            with pytest.raises(BusError, match="uart 0"):
                await serial.write(b"x")
            with pytest.raises(BusError, match="uart 0"):
                await serial.read(1, 100)
            with pytest.raises(BusError, match="uart 0"):
                serial.drop_input()
            await serial.close()
            await serial.close()
            with pytest.raises(BusError, match="closed"):
                await serial.write(b"x")
            with pytest.raises(BusError, match="closed"):
                await serial.read(1)

    run(main())


@EACH
def test_a_printer_that_stalls_is_named_in_time(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        with chip(name) as (board, _, port):
            # Nothing is soldered to the printer's UART: no UART can tell.
            silent = {k: v for k, v in mpy_seats.seats(board).items() if v != "printer"}
            with installed(rig.rack(board), silent, port):
                devices = await board_loader.build(board, None, str(tmp_path))
                assert devices.printer is not None
                began = aio.ticks_ms()
                with pytest.raises(PrinterMissing):
                    await devices.printer.print(rig.DOCUMENT)
                assert aio.elapsed_ms(began) < 30_000

    run(main())


# ---- USB ------------------------------------------------------------------------------------


def test_the_usb_port_carries_both_ways_and_tells_when_the_pc_goes() -> None:
    async def main() -> None:
        rack = rig.rack()
        with installed(rack, {"usb": "pc"}, "rp2"):
            port = MpyUsbSerial()
            text = bytes(i & 0xFF for i in range(6000))
            rack.pc.feed(b"hello")
            assert await port.read(3, 100) == b"hel"
            assert await port.read(10) == b"lo"
            assert await port.read(10, 50) == b""
            pipe = PcSerial(port)
            await pipe.write(text)
            await aio.sleep_ms(1000)
            assert rack.pc.take() == text
            rack.pc.feed(bytes(3000))
            await aio.sleep_ms(1000)
            port.drop_input()
            assert await port.read(10, 0) == b""
            waiting = aio.spawn("read", port.read(10))
            await aio.sleep_ms(50)
            rack.pc.unplugged = True
            await waiting.done.wait()
            assert isinstance(waiting.error, BusError) and "no PC" in str(waiting.error)
            with pytest.raises(BusError, match="no PC"):
                await port.write(b"x")
            assert await port.read(10, 100) == b"", "without a PC one is waited for"
            back = aio.spawn("read", port.read(10))
            await aio.sleep_ms(100)
            rack.pc.unplugged = False
            rack.pc.feed(b"again")
            await back.done.wait()
            assert back.result and b"again".startswith(back.result)
            await port.close()
            with pytest.raises(BusError, match="closed"):
                await port.read(1)

    run(main())


def test_an_image_without_the_package_has_no_usb_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usb", None)
    with pytest.raises(BusError, match="usb"):
        MpyUsbSerial()


# ---- what the chip has inside ------------------------------------------------------------


def test_the_watchdog_bites_who_does_not_feed_it() -> None:
    async def main() -> None:
        with chip("rp2350-pico2w") as (_, rack, _port):
            dog = MpyWatchdog(8000)
            with pytest.raises(WatchdogError, match="not started"):
                await dog.feed()
            await dog.stop()
            assert not await dog.bitten()
            await dog.start()
            await dog.start()  # as the heartbeat and the boot both do
            for _ in range(5):
                await aio.sleep_ms(7900)
                await dog.feed()
            assert rack.mcu.resets == 0
            with pytest.raises(WatchdogError, match="cannot be stopped"):
                await dog.stop()
            await aio.sleep_ms(8100)
            assert rack.mcu.resets == 1
            again = MpyWatchdog(8000)
            assert await again.bitten()
            rack.mcu.power_off()
            assert not await again.bitten()

    run(main())


def test_the_heartbeat_feeds_it_until_somebody_falls_silent() -> None:
    async def main() -> None:
        with chip("rp2350-pico2w") as (board, rack, _port):
            beat = Heartbeat(MpyWatchdog(board["watchdog"]["timeout_ms"]))
            beat.expect("keys", 3000)
            task = aio.spawn("heartbeat", beat.run())
            for _ in range(30):
                await aio.sleep_ms(1000)
                beat.sign("keys")
            assert rack.mcu.resets == 0
            await aio.sleep_ms(16_000)
            assert rack.mcu.resets == 1
            task.cancel()

    run(main())


def test_a_watchdog_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with chip("rp2350-pico2w"):
            for wrong in (999, 8389):
                with pytest.raises(ValueError, match="1000 to 8388"):
                    MpyWatchdog(wrong)
            dog = MpyWatchdog()
            monkeypatch.setattr(mcu, "transfer", _failing(5))
            with pytest.raises(WatchdogError):
                await dog.start()

    run(main())


def test_the_chips_calendar_says_when_it_was_not_set() -> None:
    async def main() -> None:
        with chip("rp2350-pico2w") as (_, rack, _port):
            clock = MpyRtc()
            with pytest.raises(ClockError, match="lost power"):
                await clock.now()
            for moment in (1_795_248_000, 1_835_395_199, 4_102_444_790):
                await clock.set(moment)
                assert await clock.now() == moment
                await aio.sleep_ms(3000)
                assert await clock.now() == moment + 3
            for wrong in (0, 4_102_444_800):
                with pytest.raises(ClockError, match="2025 to 2099"):
                    await clock.set(wrong)
            rack.mcu.power_off()
            with pytest.raises(ClockError, match="lost power"):
                await clock.now()

    run(main())


def test_the_generator_is_fed_by_the_radio_where_it_must_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        with chip("esp32-s3") as (_, rack, _port):
            source = MpyEntropy(radio=True)
            assert rack.radio.on
            await source.self_test()
            assert source.random(256) != source.random(256)
            for wrong in (0, 257):
                with pytest.raises(ValueError, match="1 to 256"):
                    source.random(wrong)
            rack.radio.mute = True
            with pytest.raises(EntropyError, match="radio"):
                MpyEntropy(radio=True)
            monkeypatch.setattr("os.urandom", lambda count: bytes(count))
            with pytest.raises(EntropyError, match="repeats"):
                await source.self_test()
            monkeypatch.setattr("os.urandom", lambda count: b"short")
            with pytest.raises(EntropyError, match="5 bytes of 8"):
                source.random(8)

    run(main())
