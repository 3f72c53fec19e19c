"""Scanner (hal.scanner) that gives lines: on a serial port or as a keyboard."""

from firmware.buses.wire import BusError
from firmware.hal.scanner import LONGEST, Scan, Scanner, ScannerMissing, ScanRefused
from firmware.text.symbology import SEPARATOR, from_aim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.drivers.lines import Lines

#: Longest line: the longest text and its AIM identifier.
MOST = LONGEST + 3


class LineScanner(Scanner):
    """``aim``: the scanner puts the AIM symbology identifier before each code; then
    the symbology is known and check digits are verified."""

    def __init__(self, lines: "Lines", aim: bool = False) -> None:
        self._lines = lines
        self._aim = aim

    async def read(self) -> Scan:
        """Wait for the next scan. ScannerMissing, ScanRefused."""
        try:
            source, trouble, line = await self._lines.next()
        except BusError as error:
            raise ScannerMissing(str(error)) from None
        if trouble:
            raise ScanRefused(trouble)
        try:
            text = bytes(line).decode().rstrip("\r\n")
        except UnicodeError:
            raise ScanRefused("text", "the code is not UTF-8") from None
        for char in text:
            if (char < " " and char != SEPARATOR) or "\x7f" <= char < "\xa0":
                raise ScanRefused("text", "the code has control characters")
        symbology = ""
        if self._aim:
            try:
                symbology, text = from_aim(text)
            except ValueError as error:
                raise ScanRefused("check", str(error)) from None
        if not text or len(text) > LONGEST:
            raise ScanRefused("long" if text else "cut")
        return Scan(text, symbology, source)

    async def check(self) -> None:
        """Ask whether every scanner is there. ScannerMissing."""
        try:
            await self._lines.check()
        except BusError as error:
            raise ScannerMissing(str(error)) from None

    def flush(self) -> None:
        """Forget scans not yet read."""
        self._lines.flush()

    async def close(self) -> None:
        """Let go of the scanner."""
        await self._lines.close()
