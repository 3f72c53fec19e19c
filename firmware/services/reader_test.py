"""Tries the readers: what arrived is named and masked, for who installs a terminal.

A tap is answered by SELECT PPSE, an inserted card by its answer to reset, a
swipe by its tracks, a scan by its symbology. Of an account number the last four
digits are told, of a scan the last four characters, and nothing of it is kept.
"""

from firmware import aio
from firmware.crypto import wipe
from firmware.errors import TillError
from firmware.payment.emv import tlv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Lines = list[tuple[str, str]]

#: Readers in the order in which they are shown.
KINDS = ("contactless", "card_reader", "stripe", "scanner")
#: A reader that failed is asked again after so long.
AGAIN_MS = 2000
#: SELECT of the Proximity Payment System Environment (EMV Contactless Book B).
PPSE = b"\x00\xa4\x04\x00\x0e2PAY.SYS.DDF01\x00"
#: Directory entry, application identifier and label in its answer.
_ENTRY, _AID, _LABEL = 0x61, 0x4F, 0x50
#: Bytes of a value in one line of the smallest panel.
_PART = 8


class ReaderTest:
    """One visit to the page that tries them."""

    def __init__(self, devices: "Any") -> None:
        self._devices = devices
        self.kinds = [kind for kind in KINDS if getattr(devices, kind) is not None]
        #: What each said last, its first line with its name.
        self._said: "dict[str, Lines]" = {}
        self._latest = ""
        #: Readers whose card is to go before the next one counts.
        self._holds: "list[str]" = []
        self._failed: "list[str]" = []

    def begin(self) -> None:
        """What was swiped or scanned before is for nobody."""
        for kind in ("stripe", "scanner"):
            if kind in self.kinds:
                getattr(self._devices, kind).flush()

    async def end(self) -> None:
        """Let go of every card. Never raises a TillError: who fails was named."""
        for kind in self.kinds:
            try:
                if kind == "contactless":
                    await self._devices.contactless.release()
                elif kind == "card_reader":
                    await self._devices.card_reader.power_off()
            except TillError:
                pass

    def lines(self) -> "Lines":
        """(text key or text, text key or value): what came last whole, of the other
        readers a line each: how it went, or what to do."""
        out = list(self._said.get(self._latest, ()))
        for kind in self.kinds:
            if kind != self._latest:
                said = self._said.get(kind)
                out.append(said[0] if said else (_name(kind), "readers." + kind))
        return out

    async def seen(self, kind: str) -> str:
        """Wait for what comes to this reader. Cancelling it loses nothing.

        "ok", "fail", or "" when it fails as it did before: nothing new to show.
        """
        if kind in self._failed:
            await aio.sleep_ms(AGAIN_MS)
            self._failed.remove(kind)
        try:
            lines = [(_name(kind), "boot.state.ok")] + await _ASK[kind](self)
        except TillError as error:
            self._failed.append(kind)
            cause = getattr(error, "cause", "") or error.__class__.__name__
            lines = [(_name(kind), "boot.state.fail"), ("readers.cause", str(cause))]
            if self._said.get(kind) == lines:
                return ""
            self._tell(kind, lines)
            return "fail"
        self._tell(kind, lines)
        return "ok"

    def _tell(self, kind: str, lines: "Lines") -> None:
        self._said[kind] = lines
        self._latest = kind

    async def _tap(self) -> "Lines":
        reader = self._devices.contactless
        if "contactless" in self._holds:
            await reader.wait_removed()
            self._holds.remove("contactless")
        channel = await reader.wait_tap()
        answer, sw, took_us = await channel.transmit(PPSE)
        self._holds.append("contactless")
        lines: "Lines" = [("readers.type", channel.kind or "?")] + _hex("ATS", channel.atr)
        lines.append(("PPSE", f"{sw:04X}" + "  " + str(took_us // 1000) + " ms"))
        for aid, label in _applications(answer):
            lines += _hex("AID", aid)
            if label:
                lines.append(("", label))
        return lines

    async def _insert(self) -> "Lines":
        reader = self._devices.card_reader
        if "card_reader" in self._holds:
            await reader.wait_removed()
            self._holds.remove("card_reader")
        await reader.wait_present()
        try:
            channel = await reader.power_on()
            await reader.power_off()
        except TillError:
            self._holds.append("card_reader")
            raise
        self._holds.append("card_reader")
        return _hex("ATR", channel.atr)

    async def _swipe(self) -> "Lines":
        swipe = await self._devices.stripe.read()
        try:
            tracks = (swipe.track1, swipe.track2, swipe.track3)
            there = [str(i + 1) for i in range(3) if tracks[i] is not None]
            number = swipe.pan()
            last = bytes(number[-4:]).decode()
            size = len(number)
            wipe(number)
        finally:
            swipe.wipe()
        return [("readers.tracks", " ".join(there)), ("readers.number", _tail(size, last))]

    async def _scan(self) -> "Lines":
        scan = await self._devices.scanner.read()
        last = "".join([char if " " <= char <= "~" else "?" for char in scan.text[-4:]])
        return [
            ("readers.code", scan.symbology or "?"),
            ("readers.length", str(len(scan.text))),
            ("readers.text", _tail(len(scan.text), last)),
        ]


_ASK: "Any" = {
    "contactless": ReaderTest._tap,
    "card_reader": ReaderTest._insert,
    "stripe": ReaderTest._swipe,
    "scanner": ReaderTest._scan,
}


def _name(kind: str) -> str:
    return "boot.device." + kind


def _tail(size: int, last: str) -> str:
    """The end of something secret, no more than half of it."""
    return "..." + (last if size >= 2 * len(last) else "")


def _hex(name: str, value: bytes) -> "Lines":
    """A value in lines of its own that fit every panel."""
    lines = []
    for at in range(0, len(value), _PART):
        lines.append((name if at == 0 else "", value[at : at + _PART].hex().upper()))
    return lines


def _applications(answer: bytes) -> "list[tuple[bytes, str]]":
    """(AID, label) of each directory entry; none of an answer that is no TLV."""
    found = []
    try:
        todo = tlv.parse(answer)
        while todo:
            node = todo.pop(0)
            if node.tag != _ENTRY:
                todo = list(node.children or ()) + todo
                continue
            aid = tlv.find(node.children or (), _AID)
            label = tlv.find(node.children or (), _LABEL)
            text = bytes(label.value) if label is not None else b""
            printable = bytes([byte for byte in text if 0x20 <= byte < 0x7F])
            if aid is not None:
                found.append((bytes(aid.value), printable.decode()[:16]))
    except tlv.TlvError:
        pass
    return found
