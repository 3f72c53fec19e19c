"""Contract: barcode scanner.

A scan is a text and, where the scanner says it, the symbology that it was
read from. What the text means (a product, a payer's code) is decided by the
screen that waits for it together with its length, never here.
"""

from firmware.errors import TillError

#: Symbologies by name; "" is a code whose symbology nobody told.
SYMBOLOGIES = (
    "ean13", "ean8", "upca", "upce", "code128", "gs1_128", "code39", "itf",
    "qr", "gs1_qr", "datamatrix", "gs1_datamatrix", "pdf417", "aztec", "other",
)  # fmt: skip
#: Longest text, in bytes as scanned: the largest QR code holds 4296 characters (ISO/IEC 18004).
LONGEST = 4296


class ScannerError(TillError):
    """The scanner failed, or what it sent cannot be used; nothing of it was kept."""

    text_key = "error.scanner"


class ScannerMissing(ScannerError):
    """The scanner does not answer or was unplugged; a later read may find it back."""


class ScanRefused(ScannerError):
    """A code arrived and was refused: scan it again.

    ``cause``: "long", "cut" (the scanner stopped in the middle), "check" (a
    check digit is wrong), "text" (not UTF-8, or control characters), "keys"
    (keys that no layout knows).
    """

    text_key = "error.scan"

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(detail or "scan refused: " + cause)
        self.cause = cause


class Scan:
    """One scanned code.

    ``text``: 1 to LONGEST bytes of UTF-8, without the scanner's prefix, suffix
    and symbology identifier; GS1's separator is U+001D, no other control
    character is left. ``symbology``: of SYMBOLOGIES if the scanner said it,
    else "". ``source``: which scanner of the board, from 0.
    """

    def __init__(self, text: str, symbology: str, source: int) -> None:
        self.text = text
        self.symbology = symbology
        self.source = source


class Scanner:
    """One or more scanners of a board; each scan is reported once, whole."""

    async def check(self) -> None:
        """Ask whether every scanner of the board is there and nobody else holds it;
        nothing that was scanned is lost. ScannerMissing, as long as one is not."""
        raise NotImplementedError

    async def read(self) -> Scan:
        """Wait for the next scan. Cancelling it loses nothing.

        Raises ScannerMissing once when a scanner goes away, ScanRefused for
        a code that cannot be used; the next read waits for the next scan.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Forget scans not yet read, and one that is arriving."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the scanner. Never raises, may be called twice."""
        raise NotImplementedError
