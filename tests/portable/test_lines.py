"""Scanner and swipe texts, check digits and keyboard lines, on both interpreters."""

from firmware.buses.input_events import InputEvents, InputGone
from firmware.drivers import key_layout, stripe_tracks
from firmware.drivers.key_lines import KeyLines
from firmware.drivers.line_scanner import MOST, LineScanner
from firmware.drivers.line_stripe import LineStripe
from firmware.drivers.lines import LineBuffer
from firmware.hal.scanner import ScannerMissing, ScanRefused
from firmware.hal.stripe import BadSwipe
from firmware.text import symbology
from tests.portable.virtual_run import run


def refused(function, *args):
    try:
        function(*args)
    except ValueError as error:
        return str(error)
    raise AssertionError("not refused")


def test_check_digits():
    for good in ("6901234567892", "96385074", "036000291452", "15400141288763", "00"):
        assert symbology.checked(good)
        wrong = good[:-1] + str((int(good[-1]) + 1) % 10)
        assert not symbology.checked(wrong)
    for bad in ("", "0", "69012345678x2", "６９０１２３４５６７８９２"):
        assert not symbology.checked(bad)
    assert symbology.expand_upce("04252614") == "042100005264"
    for short, whole in (("01234505", "012000003455"), ("01234531", "012300000451")):
        assert symbology.expand_upce(short)[:11] == whole[:11]
    assert symbology.could_be("6901234567892") == "ean13"
    assert symbology.could_be("04252614") == "upce"
    assert symbology.could_be("96385074") == "ean8"
    for other in ("130123456789012345", "6901234567891", "04252615", "hello"):
        assert symbology.could_be(other) == ""
    for bad in ("34252614", "0425261", "04252615"):
        refused(symbology.expand_upce, bad)


def test_gs1_elements():
    text = "0109506000134352" + "17301231" + "10AB" + symbology.SEPARATOR + "3103001750" + "21X"
    assert symbology.gs1_elements(text) == [
        ("01", "09506000134352"),
        ("17", "301231"),
        ("10", "AB"),
        ("3103", "001750"),
        ("21", "X"),
    ]
    for bad in ("", "A", "01095060001343", "0109506000134353", "10", "10" + "A" * 91, "1", "310"):
        refused(symbology.gs1_elements, bad)
    refused(symbology.gs1_elements, ("21X" + symbology.SEPARATOR) * 40)


def test_a_line_buffer_is_wiped():
    buffer = LineBuffer(5)
    for byte in b"abc\r":
        done = buffer.put(byte)
    assert done
    assert buffer.take() == ("", bytearray(b"abc"))
    assert not any(buffer._bytes) and buffer.empty()
    for byte in b"abcde":
        assert not buffer.put(byte)
    assert buffer.put(102)
    assert buffer.take() == ("long", bytearray())
    for byte in b"ghi\r":  # the rest of it
        assert not buffer.put(byte)
    assert buffer.empty()


class Typed(InputEvents):
    """Events that were typed before; then the keyboard goes."""

    def __init__(self, events):
        self.events = events

    async def read(self):
        if not self.events:
            raise InputGone(0, "unplugged")
        event = self.events.pop(0)
        return [event]

    def drop(self):
        self.events = []


def _events(text):
    keys = key_layout.table("us")
    codes = {}
    for code in keys:
        if code < 59:
            codes[keys[code][1]] = (code, True)
            codes[keys[code][0]] = (code, False)
    codes["\n"] = (28, False)
    events = []
    for char in text:
        code, shifted = codes[char]
        if shifted:
            events.append((0, 42, 1))
        events += [(0, code, 1), (0, code, 0)]
        if shifted:
            events.append((0, 42, 0))
    return Typed(events)


def test_a_keyboard_scanner():
    async def main():
        scanner = LineScanner(KeyLines(_events("]E06901234567892\n]C0aB!\n]E0x\nrest"), MOST), True)
        scan = await scanner.read()
        assert (scan.symbology, scan.text) == ("ean13", "6901234567892")
        scan = await scanner.read()
        assert (scan.symbology, scan.text) == ("code128", "aB!")
        for kind in (ScanRefused, ScannerMissing):
            try:
                await scanner.read()
                raise AssertionError("no error")
            except kind:
                pass

    run(main())


def test_a_keyboard_swipe_reader():
    track = "6222020000000000000=30122010000"

    async def main():
        lines = KeyLines(_events("%E?;" + track + "?\n;" + track + "1?x\n"), stripe_tracks.MOST)
        reader = LineStripe(lines)
        swipe = await reader.read()
        assert bytes(swipe.track2) == track.encode()
        assert swipe.pan() == b"6222020000000000000" and swipe.expiry() == "3012"
        assert swipe.service_code() == "201" and repr(swipe) == "Swipe(tracks 2)"
        swipe.wipe()
        assert not any(swipe.track2)
        try:
            await reader.read()
            raise AssertionError("no error")
        except BadSwipe as error:
            assert error.cause == "sentinel"

    run(main())


def test_a_check_character():
    line = bytearray(b";6222020000000000000=3012201?")
    total = 0
    for byte in line:
        total ^= byte - 0x30
    swipe = stripe_tracks.parse(line + bytearray((0x30 + total,)), True)
    assert bytes(swipe.track2) == b"6222020000000000000=3012201"
