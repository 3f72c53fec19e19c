"""Fonts, GB 18030, language tables, canvas, faces and raster on both interpreters."""

from firmware.text import data_file, faces, fonts, gb18030, raster
from firmware.text.canvas import Canvas, scaled
from firmware.text.texts import LANGUAGES, Texts


def _picture(width: int, rows: "list[bytes]") -> "list[str]":
    out = []
    for row in rows:
        bits = ""
        for byte in row:
            for i in range(8):
                bits += "#" if byte & 0x80 >> i else "."
        out.append(bits[:width])
    return out


def _rows(width: int, flat: bytes) -> "list[bytes]":
    stride = (width + 7) // 8
    return [flat[i : i + stride] for i in range(0, len(flat), stride)]


def test_glyphs_are_the_font_s() -> None:
    width, flat = fonts.open("latin16").glyph(ord("A"))
    assert _picture(width, _rows(width, flat)) == [
        "........", "........", "........", "........", "........", "...##...", "..#..#..",
        ".#....#.", ".#....#.", ".#....#.", ".######.", ".#....#.", ".#....#.", ".#....#.",
        "........", "........",
    ]  # fmt: skip
    width, flat = fonts.open("han16").glyph(ord("一"))
    ink = [row.count("#") for row in _picture(width, _rows(width, flat))]
    assert width == 16
    assert len(ink) == 16
    assert max(ink) >= 13  # the character one is a single stroke across
    assert sum(1 for count in ink if count) <= 4


def test_fonts_have_what_a_till_needs() -> None:
    for name in ("latin8", "latin10", "latin16", "latin20"):
        font = fonts.open(name)
        for char in "AZaz09¥£€$éü…":
            assert font.has(ord(char)), (name, char)
    han = fonts.open("han16")
    for char in "收银终端交易成功￥，。：？":
        assert han.has(ord(char)), char
    assert not han.has(0x1F600)
    assert not han.has(0x4DB5)


def test_a_missing_glyph_is_a_visible_box() -> None:
    width, flat = fonts.open("latin16").glyph(0x0E01)
    rows = _picture(width, _rows(width, flat))
    assert rows[1] == ".######."
    assert rows[14] == ".######."
    assert rows[7] == ".#....#."
    face = faces.Face("latin16")
    assert face.missing("A一\u0e01\U0001f600") == "\u0e01\U0001f600"
    assert face.width("\u0e01") == 8
    assert face.width("\U0001f600") == 16


def test_the_cache_of_glyphs_is_bounded() -> None:
    han = fonts.open("han16")
    for point in range(0x4E00, 0x4E00 + 600):
        han.strips(point)
    assert len(han._cache) <= 128


def test_a_bad_data_file_is_named() -> None:
    for name, magic in (("none.bin", b"OTF1"), ("en.bin", b"OTF1")):
        try:
            data_file.DataFile(name, magic)
            raise AssertionError("opened")
        except data_file.DataFileError as error:
            assert name in str(error)
    good = data_file.DataFile("en.bin", b"OTT1")
    try:
        good.read(10_000_000, 4)
        raise AssertionError("read past the end")
    except data_file.DataFileError as error:
        assert "truncated" in str(error)
    good.close()
    good.close()


def test_gb18030_both_ways() -> None:
    for text, code in (
        ("A", b"A"),
        ("中", b"\xd6\xd0"),
        ("￥", b"\xa3\xa4"),
        ("€", b"\xa2\xe3"),
        ("¥", b"\x81\x30\x84\x36"),
        ("镕", b"\xe9F"),
        ("\U00020000", b"\x95\x32\x82\x36"),
        ("\U0010ffff", b"\xe3\x32\x9a\x35"),
    ):
        assert gb18030.encode(text) == code, text
        assert gb18030.decode(code) == text, text
    assert gb18030.encode("银联 UnionPay") == b"\xd2\xf8\xc1\xaa UnionPay"
    assert gb18030.is_double_byte("中")
    assert not gb18030.is_double_byte("¥")


def test_what_is_not_gb18030_is_named_with_its_place() -> None:
    for data, offset in (
        (b"\x80", 0), (b"A\xff\x40", 1), (b"\xd6", 0), (b"\x81\x30", 0), (b"\x81\x30\x81", 0),
        (b"ok\x81\x7f", 2), (b"\xe3\x32\x9a\x36", 0), (b"\x84\x31\xa4\x40", 0),
    ):  # fmt: skip
        try:
            gb18030.decode(data)
            raise AssertionError(data)
        except gb18030.Gb18030Error as error:
            assert error.offset == offset, data


def test_texts() -> None:
    for code, _ in LANGUAGES:
        texts = Texts(code)
        assert texts.language == code
        assert texts.has("result.approved")
        assert not texts.has("result.approve")
        assert not texts.has("")
        assert texts.get("no.such.key") == "[no.such.key]"
        shown = texts.get("app.confirm", label="{label}{x}", other=1)
        assert "{label}{x}" in shown
        assert texts.code_key("51") == "host.51"
        assert texts.code_key("Z9") == "host.other"
        assert texts.get("app.confirm").count("{label}") == 1
        texts.close()
    english = Texts("en")
    assert english.get("sale.pin.wrong_left", tries=2) == "Wrong PIN 2 left"
    english.close()
    try:
        Texts("xx")
        raise AssertionError("xx")
    except data_file.DataFileError:
        pass


def _dots(canvas: Canvas) -> "list[tuple[int, int]]":
    return [(x, y) for y in range(canvas.height) for x in range(canvas.width) if canvas.pixel(x, y)]


def test_canvas_fill_clips_and_crosses_pages() -> None:
    canvas = Canvas(16, 24)
    canvas.fill(-3, 5, 5, 12)
    assert _dots(canvas) == [(x, y) for y in range(5, 17) for x in range(2)]
    canvas.fill(0, 6, 16, 30, False)
    assert _dots(canvas) == [(0, 5), (1, 5)]
    canvas.clear()
    canvas.fill(14, 20, 50, 50)
    canvas.fill(40, 40, 5, 5)
    canvas.fill(0, 0, 0, 5)
    assert _dots(canvas) == [(x, y) for y in range(20, 24) for x in (14, 15)]
    canvas.invert(0, 0, 16, 24)
    assert len(_dots(canvas)) == 16 * 24 - 8


def test_canvas_blit_at_every_offset() -> None:
    # An L, 3 wide and 10 high: its column and its foot.
    strips = bytes((0xFF, 0, 0, 0x03, 0x02, 0x02))
    shape = [(0, i) for i in range(10)] + [(1, 9), (2, 9)]
    for y in range(-12, 26):
        for x in (-2, 0, 6, 7):
            canvas = Canvas(8, 24)
            canvas.blit(x, y, 3, 10, strips)
            wanted = [(x + a, y + b) for a, b in shape if 0 <= x + a < 8 and 0 <= y + b < 24]
            assert sorted(_dots(canvas)) == sorted(wanted), (x, y)
            canvas.fill(0, 0, 8, 24)
            canvas.blit(x, y, 3, 10, strips, False)
            assert len(_dots(canvas)) == 8 * 24 - len(wanted)


def test_a_canvas_of_an_impossible_size_is_refused() -> None:
    for width, height in ((0, 8), (8, 0), (8, 12)):
        try:
            Canvas(width, height)
            raise AssertionError((width, height))
        except ValueError:
            pass


def test_scaled() -> None:
    canvas = Canvas(8, 24)
    canvas.blit(0, 0, 6, 20, scaled(bytes((0xFF, 0, 0, 0x03, 0x02, 0x02)), 3, 10, 2))
    wanted = [(x, y) for y in range(20) for x in (0, 1)]
    wanted += [(x, y) for y in (18, 19) for x in (2, 3, 4, 5)]
    assert sorted(_dots(canvas)) == sorted(wanted)


def test_wrap() -> None:
    def wrap(text: str, limit: int) -> "list[str]":
        return faces.wrap(text, limit, faces.columns)

    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("", 5) == [""]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert wrap("请插入银行卡", 6) == ["请插入", "银行卡"]
    assert wrap("余额不足，请换卡", 8) == ["余额不", "足，请换", "卡"]
    assert wrap("卡号ABCDEF卡", 8) == ["卡号", "ABCDEF卡"]
    for text in ("a b  c", "付款 12.50 元，谢谢！", "（注意）x"):
        for limit in range(2, 12):
            lines = wrap(text, limit)
            assert "".join(lines).replace(" ", "") == text.replace(" ", "")
            assert all(faces.columns(line) <= limit for line in lines), (text, limit, lines)
    assert faces.Face("latin16").wrap("a\nb", 100) == ["a", "b"]


def test_chinese_and_latin_stand_on_one_baseline() -> None:
    face = faces.Face("latin10")
    assert face.metrics("Ag") == (10, 8)
    assert face.metrics("中g") == (16, 14)
    canvas = Canvas(32, 16)
    face.draw(canvas, 0, 0, "中L")
    lowest = max(y for x, y in _dots(canvas) if x >= 16)
    assert lowest == 13


def test_raster_agrees_with_the_printer_s_columns() -> None:
    for style, wide, tall in (("", 1, 1), ("b", 1, 1), ("w", 2, 1), ("h", 1, 2), ("wh", 2, 2)):
        width, rows = raster.line("金额 1.5", 1, style)
        assert width == 8 * 12 * wide, style
        assert len(rows) == 24 * tall, style
        assert all(len(row) == (width + 7) // 8 for row in rows)
    plain = raster.line("A1", 1)[1]
    double = raster.line("A1", 2)[1]
    assert len(double) == 2 * len(plain)
    small, large = _picture(24, plain), _picture(48, double)
    for y, row in enumerate(large):
        assert row == "".join(bit + bit for bit in small[y // 2])
    tall = _picture(24, raster.line("A1", 1, "h")[1])
    assert tall == [row for row in small for _ in (0, 1)]
    wide = _picture(48, raster.line("A1", 1, "w")[1])
    assert wide == ["".join(bit + bit for bit in row) for row in small]
    inverse = _picture(24, raster.line("A1", 1, "i")[1])
    swapped = ["".join("." if bit == "#" else "#" for bit in row) for row in small]
    assert inverse == swapped
    assert "#" * 24 in _picture(24, raster.line("A1", 1, "u")[1])
    try:
        raster.line("x", cell=4)
        raise AssertionError("cell")
    except ValueError:
        pass
