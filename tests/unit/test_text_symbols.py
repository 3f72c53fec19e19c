"""QR codes and barcodes, judged by segno and zxing-cpp."""

import pytest
import segno
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from firmware.text import barcode, qr

_FORMATS = {
    "code128": zxingcpp.BarcodeFormat.Code128,
    "code39": zxingcpp.BarcodeFormat.Code39,
    "itf": zxingcpp.BarcodeFormat.ITF,
    "ean13": zxingcpp.BarcodeFormat.EAN13,
    "ean8": zxingcpp.BarcodeFormat.EAN8,
    "upca": zxingcpp.BarcodeFormat.UPCA,
}


def _qr_image(size: int, rows: list[bytearray], scale: int = 4) -> Image.Image:
    image = Image.new("L", (size, size), 255)
    image.putdata([0 if bit else 255 for row in rows for bit in row])
    return image.resize((size * scale, size * scale), Image.Resampling.NEAREST)


def _bar_image(kind: str, text: str) -> Image.Image:
    width, rows = barcode.picture(kind, text, 4000, 60)
    image = Image.frombytes("1", (width, len(rows)), b"".join(rows)).convert("L")
    return image.point(lambda v: 255 - v)


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


def _read(kind: str, text: str) -> str:
    found = zxingcpp.read_barcodes(_bar_image(kind, text), formats=_FORMATS[kind])
    assert len(found) == 1, (kind, text, found)
    return str(found[0].text)


@settings(max_examples=60, deadline=None)
@given(
    st.text(min_size=1, max_size=24, alphabet=st.characters(min_codepoint=32, max_codepoint=126))
)
def test_code128(text: str) -> None:
    assert _read("code128", text) == text


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=2, max_size=20, alphabet="0123456789"))
def test_code128_digits(text: str) -> None:
    assert _read("code128", text) == text


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=16, alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. "))
def test_code39(text: str) -> None:
    # The dash keeps zxing from reading six characters as Code 32; "$/+%" would
    # start its full-ASCII pairs and have a test of their own.
    text = "-" + text.strip() + "-"
    assert _read("code39", text) == text


def test_code39_signs() -> None:
    assert _read("code39", "1$2/3+4%5") == "1$2/3+4%5"


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 10).flatmap(lambda n: st.text("0123456789", min_size=2 * n, max_size=2 * n)))
def test_itf(text: str) -> None:
    assert _read("itf", text) == text


@pytest.mark.parametrize(("kind", "count"), [("ean13", 12), ("ean8", 7), ("upca", 11)])
def test_ean_family(kind: str, count: int) -> None:
    for seed in range(20):
        digits = str((seed + 1) * 73939133 * 7919 % 10**count).rjust(count, "0")
        full = digits + barcode.check_digit(digits)
        assert _read(kind, digits).endswith(full)
        assert barcode.modules(kind, full) == barcode.modules(kind, digits)
        wrong = full[:-1] + str((int(full[-1]) + 1) % 10)
        with pytest.raises(ValueError, match="check digit"):
            barcode.modules(kind, wrong)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("code128", ""), ("code128", "é"), ("code39", "a"), ("code39", "*"), ("code39", ""),
        ("itf", "123"), ("itf", ""), ("itf", "1x"), ("ean13", "12"),
        ("ean8", "abcdefg"), ("xyz", "1"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_barcode_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError):
        barcode.modules(kind, text)


def test_a_barcode_wider_than_the_paper_is_refused() -> None:
    with pytest.raises(ValueError, match="wider"):
        barcode.picture("code128", "x" * 40, 384)
