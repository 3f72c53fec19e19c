"""QR codes, judged by segno and zxing-cpp."""

import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from firmware.text import qr


def _qr_image(size: int, rows: list[bytearray], scale: int = 4) -> Image.Image:
    image = Image.new("L", (size, size), 255)
    image.putdata([0 if bit else 255 for row in rows for bit in row])
    return image.resize((size * scale, size * scale), Image.Resampling.NEAREST)


@pytest.mark.parametrize("version", range(1, 21))
def test_every_version_and_mask_equals_segno(version: int) -> None:
    count = qr._capacity(version) - (2 if version < 10 else 3)
    data = bytes((7 * i + version) & 0xFF for i in range(count))
    for mask in range(8) if version in (1, 2, 7, 14) else (version % 8,):
        theirs = segno.make(data, error="m", boost_error=False, mask=mask, mode="byte", micro=False)
        assert theirs.version == version
        assert [bytes(row) for row in qr.encode(data, mask)] == [bytes(r) for r in theirs.matrix]


# Not of a length whose terminator ends on a byte: there segno adds a zero byte
# that ISO/IEC 18004, 7.4.9 and 7.4.10 do not ask for (readers accept either).
@pytest.mark.parametrize("text", ["A", "HTTPS://PAY.EXAMPLE/T/123", "0123456789ABC $%*+-./:" * 9])
def test_alphanumeric_equals_segno(text: str) -> None:
    theirs = segno.make(
        text, error="m", boost_error=False, mask=3, mode="alphanumeric", micro=False
    )
    assert [bytes(row) for row in qr.encode(text, 3)] == [bytes(r) for r in theirs.matrix]


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        min_size=1, max_size=120, alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"])
    )
)
def test_zxing_reads_what_we_draw(text: str) -> None:
    size, rows = qr.picture(text)
    found = zxingcpp.read_barcodes(_qr_image(size, rows), formats=zxingcpp.BarcodeFormat.QRCode)
    assert len(found) == 1
    assert found[0].bytes == text.encode()


def test_qr_limits() -> None:
    with pytest.raises(ValueError, match="empty"):
        qr.encode("")
    assert len(qr.encode(b"x" * 666)) == 97
    with pytest.raises(ValueError, match="too long"):
        qr.encode(b"x" * 667)
