"""Terminal action analysis and GENERATE AC (EMV 4.4 Book 3, 10.7 to 10.9; 6.5.5)."""

from firmware.crypto.hashes import sha1
from firmware.payment.emv import bits, oda, tlv
from firmware.payment.emv.certificates import OdaError
from firmware.payment.emv.dol import build, parse
from firmware.payment.emv.session import Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.session import Run, Session

AAC = 0x00
TC = 0x40
ARQC = 0x80
_NAMES = {AAC: "AAC", TC: "TC", ARQC: "ARQC"}

_ZERO = bytes(5)
_ONES = b"\xff\xff\xff\xff\xff"


def matches(s: "Session", tag: int, tac: bytes, absent: bytes) -> bool:
    """Whether a TVR bit stands in the issuer's or the terminal's action code."""
    iac = s.card.get(tag, absent)
    return any([s.tvr[index] & (iac[index] | tac[index]) for index in range(5)])


def analyse(s: "Session") -> int:
    """Terminal action analysis: what the first GENERATE AC asks for (10.7)."""
    aid = s.aid
    if aid is None:
        return AAC
    if matches(s, 0x9F0E, aid.tac_denial, _ZERO):
        s.trace.rule("B3 10.7 a", "denied by action codes")
        return AAC
    if s.config.online_only:
        s.trace.rule("B3 10.7 b", "an online-only terminal goes online")
        return ARQC
    if s.config.offline_only:
        if default_denies(s):
            s.trace.rule("B3 10.7 c", "an offline-only terminal declines by default codes")
            return AAC
        return TC
    if matches(s, 0x9F0F, aid.tac_online, _ONES):
        s.trace.rule("B3 10.7 d", "online by action codes")
        return ARQC
    s.trace.rule("B3 10.7 e", "no action code stands against offline approval")
    return TC


def default_denies(s: "Session") -> bool:
    """The default action codes, for a terminal that cannot go online (10.7)."""
    return s.aid is None or matches(s, 0x9F0D, s.aid.tac_default, _ONES)


class Cryptogram:
    """A GENERATE AC answer. ``cda_failed``: a signature was due and is not good."""

    def __init__(self, cid: int, cda_failed: bool) -> None:
        self.kind = cid & 0xC0
        self.cda_failed = cda_failed


def first_generate_ac(s: "Session") -> "Run[Cryptogram]":
    """Analyse, ask the card, check that it may answer so."""
    wanted = analyse(s)
    if wanted == AAC:
        s.terminal[0x8A] = b"Z1"
    elif wanted == TC:
        s.terminal[0x8A] = b"Y1"
    answer = yield from generate_ac(s, wanted, 0x8C)
    s.set_tsi(bits.CARD_RISK_PERFORMED, "B3 10.8 a")
    if answer.kind == AAC:
        s.terminal[0x8A] = b"Z1"
    return answer


def generate_ac(s: "Session", wanted: int, list_tag: int) -> "Run[Cryptogram]":
    """One GENERATE AC with the data of CDOL1 (8C) or CDOL2 (8D)."""
    first = list_tag == 0x8C
    _tc_hash(s, s.card[list_tag])
    data = s.build(s.card[list_tag])
    if first:
        s.cdol1_data = data
    else:
        s.cdol2_data = data
    signed = wanted != AAC and oda.cda_possible(s)
    s.trace.rule("B3 9 a", "GENERATE AC", wanted=_NAMES[wanted], cda=signed)
    command = bytes((0x80, 0xAE, wanted | (0x10 if signed else 0), 0, len(data))) + data
    answer, sw = yield from s.send(command + b"\x00")
    if sw != 0x9000:
        raise Ended("terminated", "generate_ac_refused", "B3 9 b", f"GENERATE AC gave {sw:04X}")
    return _answer(s, answer, wanted, signed, first)


def _tc_hash(s: "Session", cdol: bytes) -> None:
    """TC Hash Value by TDOL, where the CDOL asks for it (Book 3, 9.2.2)."""
    if 0x98 not in [tag for tag, _ in parse(cdol)]:
        return
    tdol = s.card.get(0x97)
    if tdol is None:
        tdol = s.aid.default_tdol if s.aid is not None else b""
        s.set_tvr(bits.DEFAULT_TDOL, "B3 9.2.2 a")
    s.terminal[0x98] = sha1(build(tdol, s.value))


def _objects(answer: bytes) -> "tuple[dict[int, bytes], bytes]":
    """Objects of the answer and what CDA hashes of it (Book 3, 6.5.5.4)."""
    nodes = tlv.parse(answer)
    found: "dict[int, bytes]" = {}
    if len(nodes) == 1 and nodes[0].tag == 0x80:
        value = nodes[0].value
        if not 11 <= len(value) <= 43:
            raise Ended("terminated", "card_data", "B3 6.5.5.4 a", "format 1 of a wrong length")
        found = {0x9F27: value[:1], 0x9F36: value[1:3], 0x9F26: value[3:11]}
        if value[11:]:
            found[0x9F10] = value[11:]
        return found, b""
    if len(nodes) != 1 or nodes[0].tag != 0x77 or nodes[0].children is None:
        raise Ended("terminated", "card_data", "B3 6.5.5.4 b", "answer is neither 80 nor 77")
    hashed: "list[bytes]" = []
    for node in nodes[0].children:
        if node.tag in found:
            raise Ended("terminated", "card_data", "B3 10.2 d", f"tag {node.tag:X} twice")
        found[node.tag] = node.value
        if node.tag != 0x9F4B:
            hashed.append(tlv.raw(answer, node))
    return found, b"".join(hashed)


_ANSWER_LENGTHS = {0x9F27: (1, 1), 0x9F36: (2, 2), 0x9F26: (8, 8), 0x9F10: (1, 32)}


def _answer(s: "Session", answer: bytes, wanted: int, signed: bool, first: bool) -> Cryptogram:
    found, hashed = _objects(answer)
    for tag in (0x9F27, 0x9F36):
        if tag not in found:
            raise Ended("terminated", "card_data", "B3 6.5.5.4 c", f"tag {tag:X} is missing")
    for tag in _ANSWER_LENGTHS:
        least, most = _ANSWER_LENGTHS[tag]
        if tag in found and not least <= len(found[tag]) <= most:
            raise Ended("terminated", "card_data", "B3 7.5 a", f"tag {tag:X} has a wrong length")
    cid = found[0x9F27][0]
    kind = cid & 0xC0
    _check_kind(s, kind, wanted, first)
    # A card asked for CDA may sign its AAC too; without 9F26 only that holds it.
    only_signed = 0x9F26 not in found and 0x9F4B in found
    if signed and (kind != AAC or only_signed):
        cda_failed = _cda(s, found, hashed, cid)
    else:
        cda_failed = False
        if 0x9F26 not in found:
            raise Ended("terminated", "card_data", "B3 6.5.5.4 c", "tag 9F26 is missing")
    s.cid = cid
    s.cryptogram = found.get(0x9F26, b"")
    for tag in (0x9F26, 0x9F27, 0x9F36, 0x9F10):
        if tag in found:
            s.card[tag] = found[tag]
        elif tag in s.card:
            del s.card[tag]
    if kind == AAC and cid & 0x07 == 1:
        raise Ended("not_accepted", "service_not_allowed", "B3 10.8 b")
    s.trace.rule("B3 10.8 c", "the card answered", cid=f"{cid:02X}", cda_failed=cda_failed)
    return Cryptogram(cid, cda_failed)


def _check_kind(s: "Session", kind: int, wanted: int, first: bool) -> None:
    """The card may answer as asked or lower: TC, ARQC, AAC (Book 3, 9.3)."""
    allowed = {AAC: (AAC,), ARQC: (ARQC, AAC), TC: (TC, ARQC, AAC)}[wanted]
    if not first and wanted == TC:
        allowed = (TC, AAC)
    if kind not in allowed:
        raise Ended(
            "terminated", "wrong_cryptogram", "B3 9.3 a", f"asked {wanted:02X}, got {kind:02X}"
        )


def _cda(s: "Session", found: "dict[int, bytes]", hashed: bytes, cid: int) -> bool:
    """Check the signature; True when it is not good."""
    try:
        signature = found.get(0x9F4B)
        if signature is None:
            raise OdaError("B2 6.6.2 a", "the answer is not signed")
        data = s.pdol_data + s.cdol1_data + s.cdol2_data + hashed
        found[0x9F26] = oda.verify_cda(s, signature, cid, data)
    except OdaError as error:
        oda.fail(s, error)
        return True
    return False
