"""Calendar, clock chip, ESC/POS encoder, wire frames and the board loader, on both interpreters."""

from firmware import board_loader
from firmware.buses.wire import BusError, Wire
from firmware.buses.wire_stream import decode_answer, encode_request
from firmware.drivers import calendar, escpos_encode, escpos_symbols, escpos_text
from firmware.drivers.ds3231 import Ds3231
from firmware.hal.clock import ClockError
from tests.portable.virtual_run import run


def raises(error, function, *args):
    try:
        function(*args)
    except error as caught:
        return str(caught)
    raise AssertionError("no error")


def test_calendar_there_and_back():
    assert calendar.unix_from_civil(1970, 1, 1, 0, 0, 0) == 0
    assert calendar.unix_from_civil(2000, 3, 1, 0, 0, 0) == 951868800
    assert calendar.civil_from_unix(1795248000) == (2026, 11, 21, 8, 0, 0, 5)
    for seconds in range(946684800, 4102444800, 86400 * 13 + 4321):
        year, month, day, hour, minute, second, weekday = calendar.civil_from_unix(seconds)
        assert calendar.unix_from_civil(year, month, day, hour, minute, second) == seconds
        assert 0 <= weekday <= 6
    for bad in ((2026, 2, 29, 0, 0, 0), (2026, 13, 1, 0, 0, 0), (2026, 1, 1, 24, 0, 0)):
        raises(ValueError, calendar.unix_from_civil, *bad)


class Registers:
    """A DS3231's registers as plain memory behind a pointer."""

    def __init__(self):
        self.data = bytearray(19)
        self.data[15] = 0x80

    def transfer(self, address, write, read):
        assert address == 0x68
        at = write[0]
        for byte in write[1:]:
            self.data[at] = byte
            at += 1
        return bytes(self.data[at : at + read])


def test_clock_chip():
    async def main():
        registers = Registers()
        clock = Ds3231(registers)
        try:
            await clock.now()
            raise AssertionError("no error")
        except ClockError as error:
            assert "lost power" in str(error)
        await clock.set(1795248059)
        assert registers.data[:7] == bytes((0x59, 0x00, 0x08, 6, 0x21, 0x11, 0x26))
        assert await clock.now() == 1795248059

    run(main())


def test_text_codec():
    codec = escpos_text.TextCodec("gb18030")
    assert codec.encode("A¥中") == b"A\xbe\x1c&\xd6\xd0\x1c."
    assert codec.columns("A¥中") == 4
    assert not codec.has("\u0401\U0001f600")
    assert escpos_text.TextCodec("gb18030", False).encode("£") == b"\x1c&\xa1\xea\x1c."
    assert escpos_text.TextCodec("utf8").encode("中¥") == "中¥".encode()
    assert escpos_text.clean("a\x1b@b\x7f\nc") == "a?@b?\nc"
    raises(ValueError, escpos_text.TextCodec, "big5")


def test_encoder():
    profile = escpos_encode.Profile()
    units = escpos_encode.encode([("pair", "Sum", "9.99", "b"), ("feed", 2), ("cut",)], profile)
    assert units[0] == escpos_encode.start()
    assert units[1][0] == b"\x1bE\x01Sum" + b" " * 25 + b"9.99\n\x1bE\x00"
    assert units[2:] == [(b"\x1bd\x02", 60), (b"\x1bd\x04", 120)]
    wrapped = escpos_encode.encode([("text", "word " * 20, "w")], profile)
    assert len(wrapped) == 1 + 7
    image = escpos_encode.encode([("image", 9, [b"\xff\x80"] * 50)], profile)
    assert [rows for _, rows in image] == [0, 24, 24, 2]
    text = raises(ValueError, escpos_encode.encode, [("feed", 1), ("feed", 99)], profile)
    assert text.startswith("document item 1: ")
    picture = escpos_encode.encode([("text", "中文", "")], escpos_encode.Profile(chinese="raster"))
    assert b"\x1dv0\x00" in picture[1][0]


def test_symbols():
    assert b"6901234567892" in escpos_symbols.barcode("ean13", "690123456789", 384)[0]
    width, rows = escpos_symbols.qr_picture("OPENTILL", 384)
    assert width == 29 * 6 and len(rows) == width
    assert escpos_symbols.barcode("code128", "1234", 384)[0][-7:-1] == b"I\x04{C\x0c\x22"
    assert escpos_symbols.barcode("itf", "12", 384)[0][-5:] == b"F\x0212\n"
    raises(ValueError, escpos_symbols.barcode, "ean13", "6901234567890", 384)
    raises(ValueError, escpos_symbols.qr_native, "", 384)


def test_wire_frames():
    frame = encode_request("i2c", 1, 258, b"xy")
    assert frame == b"\x00\x0f\x03i2c\x01" + b"\x00" * 6 + b"\x01\x02xy"
    assert decode_answer(b"\x00\x00\x00\x00\x07ok") == (b"ok", 7)
    assert raises(BusError, decode_answer, b"\x01\x00\x00\x00\x00why") == "why"
    raises(BusError, decode_answer, b"\x00\x00")
    raises(BusError, decode_answer, b"\x02\x00\x00\x00\x00")


class Dead(Wire):
    """A wire on which nothing answers."""

    def transfer(self, bus, op, payload):
        raise BusError("nothing answers on " + bus)


BOARD = {
    "bus": {
        "panel": {"driver": "wire_display", "wire": "panel"},
        "gpio": {"driver": "wire_pins", "wire": "gpio"},
    },
    "keypad": {"driver": "key_matrix", "bus": "gpio", "rows": [0], "columns": [1], "keys": [["1"]]},
    "tamper": {"driver": "tamper_pin", "bus": "other", "pin": 2},
    "clock": {"driver": "sundial"},
    "indicators": {"driver": "lamps"},
    "pin_entry": {"driver": "pin_pad"},
    "trust": {"test": True},
    "emulated": True,
}


def test_a_device_that_cannot_start_is_a_named_failure():
    async def main():
        devices = await board_loader.build(BOARD, Dead(), "")
        failures = {}
        for kind, driver, error in devices.failures:
            failures[kind] = driver + ": " + str(error)
            assert getattr(devices, kind) is None
        assert failures["keypad"] == "key_matrix: nothing answers on gpio"
        assert failures["tamper"] == "tamper_pin: the board has no bus other"
        known = "ds3231, linux_rtc, mpy_rtc, system"
        assert "no driver 'sundial'; there are " + known in failures["clock"]
        assert "setting bus is missing" in failures["indicators"].replace("'", "")
        assert failures["pin_entry"] == "pin_pad: needs the keypad, which did not start"
        assert devices.printer is None and not devices.capabilities.has_printer
        assert devices.capabilities.emulated and devices.capabilities.test_trust
        assert devices.capabilities.keys == ["1"]
        without = await board_loader.build(BOARD, None, "", {"clock": "given"})
        assert without.clock == "given"
        texts = [str(error) for _, _, error in without.failures]
        assert "the board is on a wire and none was given" in texts

    run(main())
