"""Contract: receipt printer.

A document is a list of plain tuples, so that receipts can be built, stored,
compared and shown without a printer:

``("text", s, style)``    one line; ``style`` is a string of letters: ``b`` bold,
                          ``h`` double height, ``w`` double width, ``c`` centred,
                          ``r`` right, ``u`` underlined, ``i`` inverse; "" is plain left.
                          Too long a line is wrapped by the driver at its columns.
``("pair", left, right, style)`` left and right on one line, wrapped if needed
``("rule",)``             a line across the paper
``("feed", n)``           n text lines of paper, 0 to 20
``("barcode", kind, s)``  kind: "code128", "ean13", "ean8", "upca", "code39", "itf"
``("qr", s)``             a QR code, error correction M
``("image", width, rows)`` one-bit raster, rows of ``(width + 7) // 8`` bytes, MSB left
``("cut",)``              cut, or feed to the tear bar where there is no cutter

Width is counted in columns: a Latin character is one, a Chinese one two.
"""

from firmware.errors import TillError


class PrinterError(TillError):
    """Printing did not complete.

    ``done``: how many of the document's items are surely on paper, 0 when
    nothing is known; what follows them may be printed in part or whole.
    """

    text_key = "error.printer"

    def __init__(self, detail: str = "", done: int = 0) -> None:
        super().__init__(detail)
        self.done = done


class PaperOut(PrinterError):
    """No paper."""

    text_key = "error.printer_paper"


class CoverOpen(PrinterError):
    """The cover is open."""

    text_key = "error.printer_cover"


class PrinterHot(PrinterError):
    """The head is too hot; it cools by itself."""

    text_key = "error.printer_hot"


class PrinterMissing(PrinterError):
    """The printer does not answer."""

    text_key = "error.printer_missing"


class PrinterForeign(PrinterMissing):
    """What answers is no printer that the driver understands: another service at the
    address, another kind of printer, a line at another speed."""

    text_key = "error.printer_foreign"


class PrinterStatus:
    """What the printer said of itself, each a bool."""

    def __init__(
        self, paper_out: bool, paper_low: bool, cover_open: bool, hot: bool, error: bool
    ) -> None:
        self.paper_out = paper_out
        self.paper_low = paper_low
        self.cover_open = cover_open
        self.hot = hot
        self.error = error


class Printer:
    """Prints documents on a paper roll.

    ``fed_mm``: millimetres of paper that surely moved, ``cuts``: cuts surely made by
    a cutter, both since the driver began.
    """

    columns = 32
    dots = 384
    fed_mm = 0
    cuts = 0

    async def status(self) -> PrinterStatus:
        """Ask the printer. Raises PrinterMissing when it does not answer in time,
        PrinterForeign when something else does."""
        raise NotImplementedError

    async def print(self, document: "list[tuple[object, ...]]") -> None:
        """Print and return when the paper has moved out, not when bytes were sent.

        Raises PaperOut, CoverOpen, PrinterHot, PrinterMissing; ValueError for
        a malformed document, before anything is printed.
        """
        raise NotImplementedError
