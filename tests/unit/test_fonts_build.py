"""The font builder, the GB 18030 map against CPython's codec, and the committed files."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.text import fonts, gb18030
from host_tools import fonts_build
from host_tools.errors import UserError
from host_tools.pcf import PcfFont, PcfGlyph


def test_every_character_of_the_basic_plane() -> None:
    for point in range(0x10000):
        if 0xD800 <= point <= 0xDFFF:
            continue
        code = chr(point).encode("gb18030")
        assert gb18030.encode_char(point) == code, hex(point)
        assert gb18030.decode(code) == chr(point), hex(point)


@given(st.text())
def test_any_text_round_trips(text: str) -> None:
    assert gb18030.encode(text) == text.encode("gb18030")
    assert gb18030.decode(gb18030.encode(text)) == text


@given(st.binary(max_size=12))
def test_any_bytes_decode_as_the_codec_says(data: bytes) -> None:
    try:
        expected: str | None = data.decode("gb18030")
    except UnicodeDecodeError:
        expected = None
    try:
        ours: str | None = gb18030.decode(data)
    except gb18030.Gb18030Error:
        ours = None
    assert ours == expected


def test_the_committed_map_is_what_the_builder_makes() -> None:
    assert (fonts_build.DATA / "gb18030.bin").read_bytes() == fonts_build.build_gb18030()


def test_gb2312_is_complete() -> None:
    han = fonts.open("han16")
    missing = []
    for row in range(16, 88):  # levels 1 and 2
        for cell in range(1, 95):
            if row == 55 and cell > 89:  # the end of level 1 is not full
                continue
            char = bytes((row + 0xA0, cell + 0xA0)).decode("gb2312")
            if not han.has(ord(char)):
                missing.append(char)
    assert missing == []


def test_pack_glyph_places_on_the_baseline() -> None:
    packed = fonts_build.pack_glyph(PcfGlyph(1, 2, 3, [0b10, 0b01, 0b11]), 4, 16, 10)
    lit = [(x, y) for y in range(16) for x in range(4) if packed[(y >> 3) * 4 + x] >> (y & 7) & 1]
    assert lit == [(1, 7), (2, 8), (1, 9), (2, 9)]
    with pytest.raises(UserError, match="leaves"):
        fonts_build.pack_glyph(PcfGlyph(3, 2, 3, [0b11]), 4, 16, 10)


def test_what_is_no_font_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pcf.gz"
    path.write_bytes(gzip.compress(b"not a font"))
    with pytest.raises(UserError, match="not a PCF font"):
        PcfFont(path)


def test_committed_fonts_are_what_the_builder_makes() -> None:
    folder = fonts_build.cache_folder() / "unpacked" / "usr" / "share" / "fonts" / "X11" / "misc"
    if not (folder / "guob16.pcf.gz").exists():
        pytest.skip("font packages are not in the cache: run `till catalogue fonts` first")
    for name in [*fonts_build.LATIN, *fonts_build.HAN]:
        made = fonts_build.build_font(folder, name)
        assert (fonts_build.DATA / f"{name}.bin").read_bytes() == made, name


def test_dots_are_dots_and_currencies_have_signs() -> None:
    """No cross of single pixels where a dot is meant; no box where an amount's sign is."""
    for name in fonts_build.LATIN:
        font = fonts.open(name)
        glyph = font.strips(ord("."))
        assert glyph is not None
        columns = [sum(glyph[x :: font.width]) for x in range(font.width)]
        lit = [column for column in columns if column]
        assert len(lit) >= 2, name
        assert len(set(lit)) == 1, name  # a full square
        for char in "$£¥€₩":
            assert font.has(ord(char)), (name, char)


@pytest.mark.parametrize("part", fonts_build.PARTS)
def test_latin_greek_and_cyrillic_names_have_glyphs(part: int) -> None:
    for name in fonts_build.LATIN:
        missing = [
            char
            for char in bytes(range(0xA0, 0x100)).decode(f"iso8859-{part}", "ignore")
            if char.isalpha() and not fonts.open(name).has(ord(char))
        ]
        assert missing == [], name
