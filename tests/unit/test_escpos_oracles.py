"""ESC/POS judged by others: python-escpos writes to our printer, CPython's
codecs, python-escpos' constants and zxing-cpp read what our encoder made."""

import io
from collections.abc import Iterator

import pytest
import zxingcpp
from escpos import constants
from escpos.printer import Dummy
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from firmware import aio
from firmware.buses.wire_bus import WireSerial
from firmware.drivers.escpos import EscposPrinter
from firmware.drivers.escpos_encode import Profile, encode
from firmware.drivers.escpos_text import CP858, TextCodec, clean
from firmware.hal.printer import Printer
from host_tools.emulator.chips.escpos_head import Head
from host_tools.emulator.chips.paper import Paper
from host_tools.emulator.rack import Rack
from tests.support import rig
from tests.support.virtual_time import run


def _feed(data: bytes, charset: str = "gb18030", dots: int = 384) -> Head:
    """What a printer without pace makes of ``data``."""
    from host_tools.emulator.chips.escpos_parser import next_command

    head = Head(Paper(dots), charset)
    rest = data
    while (found := next_command(rest)) is not None:
        command, arguments, length = found
        head.execute(command, arguments)
        rest = rest[length:]
    assert rest == b""
    return head


def _ours(document: list[tuple[object, ...]], profile: Profile | None = None) -> bytes:
    return b"".join(data for data, _ in encode(document, profile or Profile()))


# Their writer, our printer


@pytest.fixture
def theirs() -> Iterator[Dummy]:
    printer = Dummy()
    yield printer
    printer.close()


def test_their_text_and_styles(theirs: Dummy) -> None:
    theirs.hw("INIT")
    theirs.set(align="center", bold=True, double_height=True, double_width=True)
    theirs.text("SHOP\n")
    theirs.set_with_default()
    theirs.text("plain line\n")
    theirs.ln(2)
    theirs.cut()
    head = _feed(theirs.output)
    assert head.paper.lines[0].strip() == "SHOP"
    assert head.paper.lines[1] == "plain line"
    assert len(head.paper.cuts) == 1
    assert head.unknown == []


def test_their_native_qr(theirs: Dummy) -> None:
    theirs.qr("https://opentill.example/pay?id=42", native=True, size=5)
    head = _feed(theirs.output)
    found = zxingcpp.read_barcodes(head.paper.image())
    assert [symbol.text for symbol in found] == ["https://opentill.example/pay?id=42"]


@pytest.mark.parametrize("impl", ["bitImageRaster", "graphics", "bitImageColumn"])
def test_their_images(theirs: Dummy, impl: str) -> None:
    picture = Image.new("1", (96, 48), 1)
    for x in range(96):
        for y in range(48):
            if (x // 7 + y // 5) % 2:
                picture.putpixel((x, y), 0)
    theirs.image(picture, impl=impl, center=False)
    head = _feed(theirs.output)
    image = head.paper.image().crop((0, 0, 96, 48)).convert("1")
    want, got = picture.tobytes(), image.tobytes()
    if impl != "bitImageColumn":  # which adds line spacing between its strips
        assert got == want
    else:
        assert head.paper.image().histogram()[0] == picture.convert("L").histogram()[0]
    assert head.unknown == []


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [("EAN13", "690123456789", "6901234567892"), ("EAN8", "9638507", "96385074"),
     ("UPC-A", "03600029145", "036000291452"), ("CODE39", "TILL 1", "TILL 1"),
     ("ITF", "12345678", "12345678"), ("CODE128", "{BOpenTill {{42}", "OpenTill {42}")],
)  # fmt: skip
def test_their_barcodes(theirs: Dummy, kind: str, code: str, text: str) -> None:
    theirs.barcode(code, kind, width=2, function_type="B", check=False)
    head = _feed(theirs.output)
    found = zxingcpp.read_barcodes(head.paper.image())
    assert [symbol.text.lstrip("0") for symbol in found] == [text.lstrip("0")]


# Our encoder, their reader


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [("ean13", "690123456789", "6901234567892"), ("ean8", "96385074", "96385074"),
     ("upca", "036000291452", "036000291452"), ("code39", "TILL-7", "TILL-7"),
     ("itf", "00123456", "00123456"), ("code128", "RRN{1}a", "RRN{1}a"),
     ("code128", "123456789012", "123456789012")],
)  # fmt: skip
def test_our_barcodes_are_read(kind: str, data: str, text: str) -> None:
    head = _feed(_ours([("barcode", kind, data)]))
    found = zxingcpp.read_barcodes(head.paper.image())
    assert [symbol.text.lstrip("0") for symbol in found] == [text.lstrip("0")]


@pytest.mark.parametrize("length", [1, 14, 15, 100, 400, 666])
def test_our_native_qr_is_read_at_level_m(length: int) -> None:
    text = ("https://opentill.example/" + "x" * length)[:length]
    head = _feed(_ours([("qr", text)]))
    found = zxingcpp.read_barcodes(head.paper.image())
    assert [symbol.text for symbol in found] == [text]
    assert found[0].ec_level == "M"


@pytest.mark.parametrize("length", [1, 60, 400])
def test_a_qr_code_as_a_picture_is_read_too(length: int) -> None:
    text = ("https://opentill.example/" + "y" * length)[:length]
    head = _feed(_ours([("qr", text)], Profile(qr="raster")))
    assert not any(line.startswith("[QR") for line in head.paper.lines)
    found = zxingcpp.read_barcodes(head.paper.image())
    assert [symbol.text for symbol in found] == [text]


def test_our_commands_are_theirs() -> None:
    data = _ours([("text", "x", "bc"), ("text", "y", "hw"), ("cut",)], Profile(cutter=True))
    assert data.startswith(constants.HW_INIT)
    assert constants.TXT_STYLE["bold"][True] in data
    assert constants.TXT_STYLE["align"]["center"] in data
    assert constants.TXT_STYLE["align"]["left"] in data
    assert constants.GS + b"V" in data
    assert constants.SET_FONT(b"\x00")[:2] == b"\x1bM"
    assert constants.RT_STATUS == b"\x10\x04"


def test_code_page_858_is_cpythons() -> None:
    assert CP858.encode("cp858") == bytes(range(0x80, 0x100))


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="gb2312"), min_size=1, max_size=40))
def test_gb18030_text_is_cpythons(text: str) -> None:
    codec = TextCodec("gb18030", latin=False)
    text = clean(text)
    if not codec.has(text):
        return
    data = codec.encode(text).replace(b"\x1c&", b"").replace(b"\x1c.", b"")
    assert data.decode("gb18030") == text


def test_a_printer_of_gbk_is_sent_what_gbk_has() -> None:
    """GB 18030 has more two-byte codes, the euro's among them: such a printer leaves a gap."""
    codec = TextCodec("gbk", latin=False)
    for point in (*range(0x80, 0x4E10), *range(0x9FA0, 0xAC00), *range(0xE000, 0x10000)):
        char = chr(point)
        if char in "¥£¢":  # as their full-width forms
            continue
        try:
            data = char.encode("gbk")
        except UnicodeEncodeError:
            data = b""
        assert codec.has(char) == bool(data), hex(point)
        if data:
            assert codec.encode(char) == b"\x1c&" + data + b"\x1c."
    assert TextCodec("gb18030", latin=False).has("€")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["gb18030", "gbk", "utf8", "raster"]))
def test_no_text_can_send_commands(text: str, chinese: str) -> None:
    """Whatever a host calls a shop: line feeds and Chinese mode are ours, nothing else."""
    profile = Profile(chinese=chinese)
    codec = profile.codec
    for line in clean(text).split("\n"):
        if codec.has(line):
            data = codec.encode(line).replace(b"\x1c&", b"").replace(b"\x1c.", b"")
            assert not any(byte < 0x20 or byte == 0x7F for byte in data)
    charset = {"utf8": "utf-8", "raster": ""}.get(chinese, chinese)
    head = _feed(_ours([("text", text, ""), ("pair", text, "9.99", "b")], profile), charset)
    assert head.unknown == []


@pytest.mark.parametrize("style", ["", "w", "h", "bwh", "u", "i", "c", "r"])
@settings(max_examples=40, deadline=None)
@given(text=st.text(st.sampled_from("abc ABC123中文收据金额，。"), min_size=1, max_size=120))
def test_no_line_is_wider_than_the_paper(style: str, text: str) -> None:
    head = _feed(_ours([("text", text, style)]))
    limit = 16 if "w" in style else 32
    printed = "".join(line.strip() for line in head.paper.lines)
    assert printed.replace(" ", "") == text.replace(" ", "")
    for line in head.paper.lines:
        assert sum(2 if ord(c) > 0x2E80 else 1 for c in line.strip()) <= limit


@pytest.mark.parametrize("profile", ["gb18030", "gbk", "utf8"])
def test_chinese_by_profile(profile: str) -> None:
    charset = {"utf8": "utf-8"}.get(profile, profile)
    head = _feed(_ours([("text", "金额 ¥12.50 谢谢", "")], Profile(chinese=profile)), charset)
    assert head.paper.lines == ["金额 ¥12.50 谢谢"]


def test_chinese_without_a_chinese_printer_is_a_picture() -> None:
    head = _feed(
        _ours([("text", "金额 12", ""), ("text", "plain", "")], Profile(chinese="raster")), ""
    )
    assert head.paper.lines[0].startswith("[image")
    assert head.paper.lines[-1] == "plain"
    native = _feed(_ours([("text", "金额 12", "")]))
    assert len(head.paper.rows) == len(native.paper.rows) + 30  # and as far apart as its own

    def dark(head: Head) -> int:
        return head.paper.image().crop((0, 0, 84, 24)).histogram()[0]

    assert abs(dark(head) - dark(native)) < 0.3 * dark(native)


def test_a_character_that_no_profile_has_is_a_picture_too() -> None:
    head = _feed(_ours([("text", "emoji \U0001f600", ""), ("text", "Ω 中", "")]))
    assert head.paper.lines[0].startswith("[image")


def test_the_paper_is_a_picture_file() -> None:
    async def main() -> Rack:
        rack = rig.rack()
        printer: Printer = EscposPrinter(WireSerial(rack, "printer", 115200), Profile())
        await printer.print(rig.DOCUMENT)
        await aio.sleep_ms(100)
        return rack

    rack = run(main())
    target = io.BytesIO()
    rack.printer.paper.image().save(target, "PNG")
    again = Image.open(io.BytesIO(target.getvalue()))
    assert again.size[0] == 384
    assert {symbol.text for symbol in zxingcpp.read_barcodes(again)} == {
        "RRN123456",
        "https://opentill.example/r/123456789",
    }
