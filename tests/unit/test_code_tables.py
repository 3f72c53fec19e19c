"""Issuer code tables against CPython's codecs, and glyphs for what they give."""

import pytest

from firmware.payment.emv import code_tables
from firmware.text.faces import Face
from host_tools.acquirer.enrol import ADDITIONAL_CAPABILITIES
from host_tools.fonts_build import PARTS


@pytest.mark.parametrize("part", range(16))
def test_every_byte_is_what_the_codec_says(part: int) -> None:
    for byte in range(256):
        expected = ""
        if part in PARTS and (0x20 <= byte < 0x7F or byte >= 0xA0) and byte != 0xAD:
            expected = bytes([byte]).decode(f"iso8859-{part}", "ignore").replace("\xa0", " ")
        if part not in PARTS and 0x20 <= byte < 0x7F:
            expected = chr(byte)
        assert code_tables.decode(part, bytes([byte])) == expected, hex(byte)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("font", ["latin10", "latin16"])
def test_every_letter_has_a_glyph(part: int, font: str) -> None:
    upper = (code_tables.decode(part, bytes([byte])) for byte in range(0xA0, 0x100))
    assert Face(font).missing("".join(char for char in upper if char.isalpha())) == ""


def test_a_test_terminal_claims_the_tables_that_it_shows() -> None:
    claimed = [n for n in range(256) if code_tables.supports(ADDITIONAL_CAPABILITIES, n)]
    assert claimed == list(PARTS)
