"""What the kernel did and why: entries that become JSON lines.

A *masked* trace holds no PAN, track, name or PIN, nor anything they can be
recovered from (certificates hold the PAN); its verdicts are stored and cannot
be recomputed. A *full* trace can be replayed and is written only while every
key in the vault is a test key (rules of money, 16). VERIFY data is in neither.
"""

import json

from firmware.payment.emv import tlv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Objects that name the cardholder or the account, or from which either can be had.
SECRET_TAGS = frozenset(
    (0x56, 0x57, 0x5A, 0x5F20, 0x99, 0x9F0B, 0x9F1F, 0x9F20, 0x9F2D, 0x9F2E, 0x9F46, 0x9F48)
    + (0x9F5A, 0x9F61, 0x9F62, 0x9F6B, 0x5F50, 0x5F53, 0x5F54)
)
#: Commands whose data says nothing of the cardholder: SELECT, READ RECORD, GET DATA.
_OPEN_COMMANDS = (0xA4, 0xB2, 0xCA)
#: Enough for any transaction within the kernel's bounds; what is over is counted.
MAX_ENTRIES = 2048
#: Entries told at a time.
TOLD_AT_ONCE = 16


class Trace:
    """Collects entries (dicts of str, int, bool), at most ``limit``.

    ``full`` makes it replayable. A small board gives a small limit: 0 keeps
    nothing. With ``tell`` the entries leave, as JSON lines, at the end of each
    step and are not kept; a masked trace's first ones wait until the account
    number is known, for it may stand anywhere in them.
    """

    def __init__(
        self,
        full: bool = False,
        limit: int = MAX_ENTRIES,
        tell: "Callable[[list[str]], None] | None" = None,
    ) -> None:
        self.full = full
        self.limit = limit
        self._tell = tell
        self._hidden = ""
        self.entries: "list[dict[str, Any]]" = []
        self.dropped = 0

    def add(self, kind: str, **values: "Any") -> None:
        """Append one entry."""
        if len(self.entries) >= self.limit:
            self.dropped += 1
            return
        values["t"] = kind
        self.entries.append(values)

    def rule(self, clause: str, text: str = "", **values: "Any") -> None:
        """The clause that decided a branch. ``values`` must not be secret."""
        self.add("rule", rule=clause, text=text, **values)

    def bit(self, clause: str, word: str, bit: int, name: str) -> None:
        """A TVR or TSI bit was set, and by which clause."""
        if not self.limit:
            return
        shift = 0
        while not (bit >> shift) & 1:
            shift += 1
        self.add("bit", rule=clause, word=word, byte=bit >> 8, bit=shift + 1, name=name)

    def apdu(self, command: bytes, data: bytes, sw: int, elapsed_us: int) -> None:
        """One exchange."""
        if not self.limit:
            return
        if command[1:2] == b"\x20":
            shown = command[:4].hex()
        elif self.full or command[1] in _OPEN_COMMANDS:
            shown = command.hex()
        else:
            shown = command[:5].hex() + "*" * (len(command) > 5)
        answer = hexed(data) if self.full else self._without_pan(masked(data))
        self.add("apdu", c=shown.upper(), r=answer.upper(), sw=f"{sw:04X}", us=elapsed_us)

    def hide(self, pan: str) -> None:
        """From here on, and in what stands already, star these digits out.

        The tags that hold a PAN are masked anyway; a card may put it elsewhere.
        """
        self._hidden = "" if self.full else pan
        for entry in self.entries:
            if entry["t"] == "apdu":
                entry["r"] = self._without_pan(entry["r"])

    def _without_pan(self, shown: str) -> str:
        if not self._hidden:
            return shown
        return shown.replace(self._hidden, "*" * len(self._hidden))

    def lines(self) -> "list[str]":
        """The entries as JSON, one a line."""
        return [json.dumps(entry) for entry in self.entries]

    def step_ended(self, last: bool) -> None:
        """Tell what there is since the step before; all of it at the ``last``."""
        if self._tell is None or not (last or self.full or self._hidden):
            return
        lines = self.lines()
        self.entries = []
        for at in range(0, len(lines), TOLD_AT_ONCE):
            self._tell(lines[at : at + TOLD_AT_ONCE])


def hexed(data: bytes) -> str:
    """Hex digits; MicroPython's ``b"".hex()`` is no str."""
    return data.hex() if data else ""


def masked(data: bytes) -> str:
    """Hex of ``data`` with secret objects starred; only the length if it is no TLV."""
    try:
        nodes = tlv.parse(data)
    except tlv.TlvError:
        return f"({len(data)} bytes)"
    if data and not nodes:
        return f"({len(data)} bytes)"
    return "".join([_masked_node(node) for node in nodes])


def _masked_node(node: "tlv.Node") -> str:
    head = (tlv.encode_tag(node.tag) + tlv.encode_length(len(node.value))).hex()
    if node.tag in SECRET_TAGS:
        return head + "*" * (2 * len(node.value))
    if node.children is None:
        return head + hexed(node.value)
    return head + "".join([_masked_node(child) for child in node.children])
