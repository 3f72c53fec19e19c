"""The live trace: APDUs and messages as entries that a person can read.

Entries are dicts ``{"kind", "title", "text", "fields": [[name, value], ...]}``;
kinds are "apdu", "iso", "emv" (what the kernel tells of itself) and "note".
Secrets are masked here, at the source: PIN data and names never appear, PAN
and track keep six and four digits (rules of money, 12 and 16). ``EntryScrub`` is
the second net: it knows the deck's numbers and lets none of them through.
"""

from collections.abc import Callable, Iterable
from typing import Any

from firmware.payment.emv import dictionary, dol, tlv
from host_tools.decoders import bits, cvm
from host_tools.decoders.common import BadInput, Scrub, mask_pan, mask_track
from host_tools.emulator.tap_words import (
    INSTRUCTIONS,
    MESSAGES,
    place_of,
    status_word,
)

Entry = dict[str, Any]
Rows = list[list[str]]

#: Track 2 data as compressed digits.
TRACKS = (0x57, 0x9F6B)
#: Cardholder's name, track 1, discretionary data, PIN data; and the ICC
#: certificates, from which anybody with the CA's public key recovers the PAN.
HIDDEN = {
    0x56: "track 1",
    0x99: "PIN data",
    0x5F20: "name",
    0x9F0B: "name",
    0x9F1F: "track data",
    0x9F20: "track data",
    0x9F2D: "holds the PAN",
    0x9F46: "holds the PAN",
}
#: Objects explained bit by bit.
_WORDS = {0x95: "tvr", 0x9B: "tsi", 0x82: "aip"}
_DOLS = (0x9F38, 0x8C, 0x8D, 0x9F49)
GET_RESPONSE, SELECT, VERIFY = 0xC0, 0xA4, 0x20
GPO, GENERATE_AC, INTERNAL, CHALLENGE = 0xA8, 0xAE, 0x88, 0x84


class EntryScrub(Scrub):
    """For the trace's entries."""

    def entry(self, entry: Entry) -> Entry:
        """An entry without the numbers."""
        return {
            **entry,
            "title": self.text(entry["title"]),
            "text": self.text(entry["text"]),
            "fields": [[self.text(name), self.text(value)] for name, value in entry["fields"]],
        }


def mask_value(tag: int, value: bytes) -> str:
    """A data object's value for the trace."""
    if tag in HIDDEN:
        return f"({len(value)} bytes, hidden: {HIDDEN[tag]})"
    text = value.hex().upper()
    if tag == 0x5A:
        return mask_pan(text.rstrip("F"))
    return mask_track(text) if tag in TRACKS else text


def _named(tag: int, depth: int = 0) -> str:
    return "  " * depth + f"{tag:02X} {dictionary.name(tag)}".rstrip()


def _meaning(tag: int, value: bytes, depth: int) -> Rows:
    """What the value says, as further rows."""
    lead = "  " * (depth + 1)
    try:
        if tag in _WORDS:
            found = bits.decode(_WORDS[tag], value.hex())["bits"]
            return [
                [f"{lead}byte {item['byte']} bit {item['bit']}", item["name"]] for item in found
            ]
        if tag == 0x9F34:
            lines = cvm.render(cvm.decode(value.hex()))
            return [[lead.rstrip() or " ", line.strip()] for line in lines[1:]]
        if tag in _DOLS:
            names = [_named(part) for part, _ in dol.parse(value)]
            return [[lead + "asks for", ", ".join(names)]]
    except (BadInput, tlv.TlvError):
        return [[lead.rstrip() or " ", "(malformed)"]]
    if tag in (0x50, 0x9F12, 0x84) and value and all(0x20 <= byte < 0x7F for byte in value):
        return [[lead.rstrip() or " ", value.decode("ascii")]]
    return []


def _object(tag: int, value: bytes, depth: int = 0) -> Rows:
    return [[_named(tag, depth), mask_value(tag, value)], *_meaning(tag, value, depth)]


def _rows(nodes: "Iterable[tlv.Node]", depth: int = 0) -> Rows:
    rows: Rows = []
    for node in nodes:
        if node.children is not None:
            rows.append([_named(node.tag, depth), ""])
            rows += _rows(node.children, depth + 1)
        else:
            rows += _object(node.tag, node.value, depth)
    return rows


def _flat(nodes: "Iterable[tlv.Node]") -> "Iterable[tlv.Node]":
    for node in nodes:
        yield node
        yield from _flat(node.children or ())


class CardTap:
    """Follows one card: what a command means depends on what the card said before."""

    def __init__(self) -> None:
        self._asked = 0
        self._dols: dict[int, list[tuple[int, int]]] = {}
        self._cryptograms = 0

    def reset(self, answer: bytes) -> Entry:
        """A reset and its answer."""
        self.__init__()  # type: ignore[misc]
        return _entry("apdu", "RESET", "ATR " + answer.hex(" ").upper())

    def tapped(self, kind: str, serial: bytes) -> Entry:
        """A card in the field that is talked to: its type of ISO/IEC 14443, UID or PUPI."""
        self.__init__()  # type: ignore[misc]
        return _entry("apdu", "TAP", f"type {kind}  {serial.hex(' ').upper()}")

    def apdu(self, command: bytes, response: bytes, busy_us: int) -> Entry:
        """One command and its response."""
        if len(command) < 4 or len(response) < 2:
            return _entry("apdu", "APDU", "shorter than a header or a status word")
        ins, data, sw = command[1], response[:-2], response[-2:]
        name = INSTRUCTIONS.get(ins, f"INS {ins:02X}")
        place = place_of(command)
        if ins == GET_RESPONSE:
            place = "of " + INSTRUCTIONS.get(self._asked, f"INS {self._asked:02X}")
        else:
            self._asked = ins
        fields = [["header", command[:4].hex(" ").upper()], *self._command(ins, command)]
        fields += self._answer(data)
        fields.append(["status", f"{sw.hex().upper()} {status_word(sw)}".rstrip()])
        fields.append(["card time", f"{busy_us / 1000:.1f} ms"])
        text = f"{place}  " if place else ""
        text += f"{sw.hex().upper()}"
        if sw != b"\x90\x00":
            text = f"{text} {status_word(sw)}".rstrip()
        return _entry("apdu", name, text, fields)

    def _command(self, ins: int, command: bytes) -> Rows:
        body = command[5 : 5 + command[4]] if len(command) > 5 else b""
        if ins in (VERIFY, 0x24):
            return [["command data", "(PIN data, never shown)"]]
        if not body:
            return []
        if ins == SELECT:
            shown = f" {body.decode('ascii')}" if body[:5] in (b"1PAY.", b"2PAY.") else ""
            return [["command data", body.hex().upper() + shown]]
        if ins == GPO:
            inner = body[2:] if body[:1] == b"\x83" else body
            return self._by_dol(0x9F38, inner)
        if ins == GENERATE_AC:
            self._cryptograms += 1
            return self._by_dol(0x8C if self._cryptograms == 1 else 0x8D, inner=body)
        if ins == INTERNAL:
            return self._by_dol(0x9F49, body)
        return [["command data", f"({len(body)} bytes)"]]

    def _by_dol(self, tag: int, inner: bytes) -> Rows:
        """Command data divided as the card's own list says."""
        entries = self._dols.get(tag, [])
        if not inner or sum(length for _, length in entries) != len(inner):
            return [["command data", f"({len(inner)} bytes)"]]
        rows: Rows = [["command data by", _named(tag)]]
        at = 0
        for part, length in entries:
            rows += _object(part, inner[at : at + length], 1)
            at += length
        return rows

    def _answer(self, data: bytes) -> Rows:
        if not data:
            return []
        if self._asked in (CHALLENGE, VERIFY):
            return [["data", f"({len(data)} bytes)"]]
        try:
            nodes = list(tlv.parse(data))
        except tlv.TlvError:
            return [["data", f"({len(data)} bytes, not TLV)"]]
        for node in _flat(nodes):
            if node.tag in _DOLS:
                try:
                    self._dols[node.tag] = dol.parse(node.value)
                except tlv.TlvError:
                    self._dols.pop(node.tag, None)
        if len(nodes) == 1 and nodes[0].tag == 0x80:
            return self._format_1(nodes[0].value)
        return _rows(nodes)

    def _format_1(self, value: bytes) -> Rows:
        """Template 80 has no tags inside (EMV 4.4 Book 3, 6.5.5, 6.5.8, 6.5.9)."""
        parts: list[tuple[int, bytes]] = [(0x80, value)]
        if self._asked == GPO and len(value) > 2:
            parts = [(0x82, value[:2]), (0x94, value[2:])]
        elif self._asked == GENERATE_AC and len(value) >= 11:
            parts = [(0x9F27, value[:1]), (0x9F36, value[1:3]), (0x9F26, value[3:11])]
            if len(value) > 11:
                parts.append((0x9F10, value[11:]))
        rows: Rows = [[_named(0x80), ""]] if len(parts) > 1 else []
        for tag, part in parts:
            rows += _object(tag, part, 1 if len(parts) > 1 else 0)
        return rows


class TappedChip:
    """A card at the antenna, whose exchanges are told. It is looked at many times a
    second; what is told of that is only a card that gets a command."""

    def __init__(self, chip: Any, tell: "Callable[[Entry], None]") -> None:
        self._chip = chip
        self._tell = tell
        self._told = False
        self._tap = CardTap()
        self.contactless: str = chip.contactless
        self.serial: bytes = chip.serial

    @property
    def torn(self) -> bool:
        """Whether a fault took it away."""
        return bool(self._chip.torn)

    def enter_field(self) -> bool:
        """Power and activate it; False when it does not answer."""
        self._told = False
        return bool(self._chip.enter_field())

    def exchange(self, command: bytes) -> tuple[bytes, int]:
        """(answer, busy us); b"" from a silent chip."""
        if not self._told:
            self._told = True
            self._tell(self._tap.tapped(self.contactless, self.serial))
        answer, busy_us = self._chip.exchange(command)
        self._tell(self._tap.apdu(command, answer, busy_us))
        return answer, busy_us

    def power_off(self) -> None:
        """The field is gone."""
        self._chip.power_off()


def _entry(kind: str, title: str, text: str = "", fields: Rows | None = None) -> Entry:
    return {"kind": kind, "title": title, "text": text, "fields": fields or []}


def apdu_entry(command: bytes, response: bytes, busy_us: int) -> Entry:
    """One command and its response, without what went before."""
    return CardTap().apdu(command, response, busy_us)


def _word(tag: int, text: str) -> Rows:
    try:
        return _object(tag, bytes.fromhex(text))
    except ValueError:
        return [[_named(tag), text]]


def kernel_entry(told: dict[str, Any]) -> Entry | None:
    """One entry of the kernel's own trace: a rule it followed, a bit it set, TVR and
    TSI after a phase, the outcome. None for an APDU, which is there already."""
    kind, clause = str(told.get("t")), str(told.get("rule", ""))
    rest = {name: value for name, value in told.items() if name not in ("t", "rule", "text")}
    fields = [[name, str(value)] for name, value in rest.items()]
    if kind == "bit":
        where = f"{told.get('word')} byte {told.get('byte')} bit {told.get('bit')}"
        return _entry("emv", where, f"{told.get('name')}  {clause}", [])
    if kind == "rule":
        return _entry("emv", "rule", f"{told.get('text')}  {clause}".strip(), fields)
    if kind == "stage":
        text = f"{told.get('name')}  TVR {told.get('tvr')}  TSI {told.get('tsi')}"
        rows = _word(0x95, str(told.get("tvr"))) + _word(0x9B, str(told.get("tsi")))
        return _entry("emv", "phase ended", text, rows)
    if kind == "outcome":
        text = f"{told.get('outcome')}: {told.get('reason')}  TVR {told.get('tvr')}"
        return _entry("emv", "outcome", text, [])
    return None


def note(title: str, text: str = "") -> Entry:
    """A line about the bench itself."""
    return _entry("note", title, text)


def message_entry(frame: bytes, direction: str) -> Entry:
    """One ISO 8583 frame with its length prefix, decoded field by field and masked."""
    from host_tools.decoders import iso8583

    try:
        decoded = iso8583.decode(frame.hex())
    except BadInput as error:
        return _entry("iso", direction, f"unreadable: {error.reason}")
    fields = decoded["fields"]
    rows = [["TPDU", str(decoded["tpdu"])], ["header", str(decoded["header"])]]
    for number, value in fields.items():
        name = f"{number} {iso8583.FIELD_NAMES.get(int(number), '')}".rstrip()
        parts = decoded["subfields"].get(number)
        if number == "55" and isinstance(parts, list):
            rows.append([name, f"({len(value) // 2} bytes)"])
            rows += _tree_rows(parts, 1)
            continue
        rows.append([name, str(value)])
        if isinstance(parts, dict):
            rows += [[f"    {part}", str(text)] for part, text in sorted(parts.items())]
    rows += [["warning", str(text)] for text in decoded.get("warnings", ())]
    words = [MESSAGES.get(decoded["mti"], "")]
    network = fields.get("60", "")[8:11] if decoded["mti"][:2] == "08" else ""
    words = [MESSAGES.get(decoded["mti"] + network, words[0])]
    if "4" in fields:
        words.append(f"{int(fields['4']) // 100}.{int(fields['4']) % 100:02d}")
    if "11" in fields:
        words.append("STAN " + fields["11"])
    if "39" in fields:
        words.append("code " + fields["39"])
    text = "  ".join(word for word in words if word)
    return _entry("iso", f"{decoded['mti']} {direction}", text, rows)


def _tree_rows(objects: list[dict[str, Any]], depth: int) -> Rows:
    rows: Rows = []
    for item in objects:
        tag = int(item["tag"], 16)
        if item["children"]:
            rows.append([_named(tag, depth), ""])
            rows += _tree_rows(item["children"], depth + 1)
            continue
        value = item["value"]
        if tag in HIDDEN or set(value) - set("0123456789ABCDEF"):
            rows.append([_named(tag, depth), value if tag not in HIDDEN else "(hidden)"])
        else:
            rows += _object(tag, bytes.fromhex(value), depth)
    return rows
