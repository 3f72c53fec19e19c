"""Read application data (EMV 4.4 Book 3, 10.2)."""

from firmware.payment.emv import tlv
from firmware.payment.emv.dictionary import LENGTHS, NOT_FROM_CARD
from firmware.payment.emv.session import Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.session import Run, Session

#: Records read and bytes kept of one card; real cards stay under half of this.
MAX_RECORDS = 64
MAX_BYTES = 12288

#: Book 3, 7.2: without these there is no transaction.
MANDATORY = (0x5F24, 0x5A, 0x8C, 0x8D)

#: Book 3, 7.5: a wrong length ends the transaction. Objects of offline data
#: authentication are left to its own checks, which fail it instead.
_CHECKED = (
    0x57,
    0x5A,
    0x5F24,
    0x5F25,
    0x5F28,
    0x5F30,
    0x5F34,
    0x8E,
    0x9F07,
    0x9F08,
    0x9F0D,
    0x9F0E,
) + (0x9F0F, 0x9F14, 0x9F23, 0x9F42, 0x9F44)


def _bad(clause: str, text: str) -> Ended:
    return Ended("terminated", "card_data", clause, text)


def locations(afl: bytes) -> "list[tuple[int, int, bool]]":
    """(SFI, record, is ODA input) in order. Ended for an AFL that cannot be."""
    found: "list[tuple[int, int, bool]]" = []
    for at in range(0, len(afl), 4):
        sfi, first, last, signed = afl[at] >> 3, afl[at + 1], afl[at + 2], afl[at + 3]
        if afl[at] & 7 or not 1 <= sfi <= 30:
            raise _bad("B3 10.2 a", "AFL names no SFI of 1 to 30")
        if first == 0 or last < first:
            raise _bad("B3 10.2 b", "AFL has a record range that cannot be")
        if signed > last - first + 1:
            raise _bad("B3 10.2 c", "AFL signs more records than it names")
        if len(found) + last - first + 1 > MAX_RECORDS:
            raise _bad("house c", f"AFL names more than {MAX_RECORDS} records")
        for record in range(first, last + 1):
            found.append((sfi, record, record - first < signed))
    return found


def read(s: "Session") -> "Run[None]":
    """Read the AFL's records, keep their objects and the ODA input."""
    oda: "list[bytes]" = []
    total = 0
    for sfi, record, signed in locations(s.card[0x94]):
        data, sw = yield from s.send(bytes((0, 0xB2, record, sfi << 3 | 4, 0)))
        if sw != 0x9000:
            raise Ended("terminated", "record_missing", "B3 10.2 e", f"READ RECORD gave {sw:04X}")
        total += len(data)
        if total > MAX_BYTES:
            raise _bad("house c", f"records of more than {MAX_BYTES} bytes")
        if sfi <= 10:
            body = _store(s, data)
        else:
            # 10.3: the whole record goes in; one that is not template 70 fails ODA.
            body = data
            if signed and not _is_template_70(data):
                s.oda_data_valid = False
        if signed:
            oda.append(body)
    s.oda_data = b"".join(oda)
    _complete(s)


def _is_template_70(data: bytes) -> bool:
    try:
        nodes = tlv.parse(data)
    except tlv.TlvError:
        return False
    return len(nodes) == 1 and nodes[0].tag == 0x70


def _store(s: "Session", data: bytes) -> bytes:
    """Keep the objects of a record of SFI 1 to 10; its content octets."""
    nodes = tlv.parse(data)
    if len(nodes) != 1 or nodes[0].tag != 0x70 or nodes[0].children is None:
        raise _bad("B3 10.2 f", "a record of SFI 1 to 10 is not one template 70")
    for node in nodes[0].children:
        tag = node.tag
        if node.children is not None:
            continue  # unknown templates are ignored (7.5)
        if tag in NOT_FROM_CARD:
            s.trace.rule("B3 7.5 b", "the card may not set this object", tag=f"{tag:X}")
            continue
        if tag in s.card:
            raise _bad("B3 10.2 d", f"tag {tag:X} occurs twice")
        if tag in _CHECKED and node.value:
            least, most = LENGTHS[tag]
            if not least <= len(node.value) <= most:
                raise _bad("B3 7.5 a", f"tag {tag:X} has {len(node.value)} bytes")
        s.card[tag] = node.value
        number = pan(node.value) if tag == 0x5A else None
        if number is not None:
            s.trace.hide(number)
    return nodes[0].value


def _complete(s: "Session") -> None:
    """Drop empty objects, require the mandatory ones, check dates and PAN."""
    for tag in [tag for tag in s.card if not s.card[tag]]:
        del s.card[tag]  # 7.5: an empty object counts as absent
    for tag in MANDATORY:
        if tag not in s.card:
            raise Ended("terminated", "card_data", "B3 7.2 a", f"tag {tag:X} is missing")
    for tag in (0x5F24, 0x5F25):
        if tag in s.card and not _is_date(s.card[tag]):
            raise _bad("B3 7.5 c", f"tag {tag:X} is no date")
    number = pan(s.card[0x5A])
    if number is None:
        raise _bad("B3 7.5 d", "5A is no PAN")
    if 0x57 in s.card:
        track = s.card[0x57].hex()
        cut = track.find("d")
        if cut < 0 or track[:cut] != number:
            raise _bad("house d", "5A and 57 differ")


def pan(value: bytes) -> "str | None":
    """The digits of 5A, trailing F removed; None when it is not 8 to 19 digits."""
    digits = value.hex().rstrip("f")
    return digits if 8 <= len(digits) <= 19 and digits.isdigit() else None


def _is_date(value: bytes) -> bool:
    text = value.hex()
    return text.isdigit() and 1 <= int(text[2:4]) <= 12 and 1 <= int(text[4:6]) <= 31


def full_date(value: bytes) -> str:
    """YYMMDD as YYYYMMDD; years 00 to 49 are 20xx (Book 4, 6.7.3)."""
    text = value.hex()
    return ("20" if text < "50" else "19") + text
