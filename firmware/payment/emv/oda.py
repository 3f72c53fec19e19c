"""Offline data authentication: SDA, DDA, CDA (EMV 4.4 Book 3, 10.3; Book 2, 5 and 6)."""

from firmware.crypto.hashes import sha1
from firmware.payment.emv import bits, certificates, dol, tlv
from firmware.payment.emv.certificates import OdaError
from firmware.payment.emv.read_data import full_date, pan
from firmware.payment.emv.session import Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.session import Run, Session

_FAILED = {"SDA": bits.SDA_FAILED, "DDA": bits.DDA_FAILED, "CDA": bits.CDA_FAILED}


def choose(s: "Session") -> str:
    """The method both support, best first (10.3); "" for none."""
    terminal = s.config.capabilities[2]
    if s.aip(bits.AIP_CDA) and terminal & 0x08:
        return "CDA"
    if s.aip(bits.AIP_DDA) and terminal & 0x40:
        return "DDA"
    if s.aip(bits.AIP_SDA) and terminal & 0x80:
        return "SDA"
    return ""


def authenticate(s: "Session") -> "Run[None]":
    """SDA and DDA whole; for CDA the keys only, the rest waits for GENERATE AC."""
    s.oda = choose(s)
    s.trace.rule("B3 10.3 a", "method", method=s.oda or "none")
    if not s.oda:
        s.set_tvr(bits.ODA_NOT_PERFORMED, "B3 10.3 b")
        return
    if s.oda == "SDA":
        s.set_tvr(bits.SDA_SELECTED, "B3 10.3 c")
    try:
        _require_all(s)
        static_data = signed_static_data(s)
        issuer = recover_issuer(s)
        if s.oda == "SDA":
            s.card[0x9F45] = certificates.static_signature(issuer, _required(s, 0x93), static_data)
        else:
            s.icc_key = _recover_icc(s, issuer, static_data)
            if s.oda == "DDA":
                yield from _dda(s)
    except OdaError as error:
        fail(s, error)
        return
    if s.oda != "CDA":
        s.set_tsi(bits.ODA_PERFORMED, "B3 10.3 d")
        s.trace.rule("B3 10.3 d", s.oda + " succeeded")


def fail(s: "Session", error: OdaError) -> None:
    """Record that the chosen method failed; it counts as performed."""
    s.trace.rule(error.clause, s.oda + " failed: " + error.reason)
    if error.missing:
        s.set_tvr(bits.ICC_DATA_MISSING, "B3 7.5 e")
    s.set_tvr(_FAILED[s.oda], error.clause)
    s.set_tsi(bits.ODA_PERFORMED, "B3 10.3 d")


def _required(s: "Session", tag: int) -> bytes:
    value = s.card.get(tag)
    if value is None or (tag == 0x8F and len(value) != 1):
        raise OdaError("B3 7.5 e", f"tag {tag:X} is missing", True)
    return value


def _require_all(s: "Session") -> None:
    """The objects without which the chosen method cannot begin (Book 3, 7.2)."""
    for tag in (0x8F, 0x90, 0x9F32):
        _required(s, tag)
    for tag in (0x93,) if s.oda == "SDA" else (0x9F46, 0x9F47):
        _required(s, tag)


def signed_static_data(s: "Session") -> bytes:
    """The records' input and, by 9F4A, the AIP (10.3)."""
    if not s.oda_data_valid:
        raise OdaError("B3 10.3 e", "a record to be authenticated is not template 70")
    tags = s.card.get(0x9F4A)
    if tags is None:
        return s.oda_data
    if tags != b"\x82":
        raise OdaError("B3 10.3 f", "9F4A names more than the AIP")
    return s.oda_data + s.card[0x82]


def recover_issuer(s: "Session") -> certificates.PublicKey:
    """The issuer key by the CAPK that 8F names; recovered once."""
    if s.issuer_key is not None:
        return s.issuer_key
    index = _required(s, 0x8F)
    certificate = _required(s, 0x90)
    exponent = _required(s, 0x9F32)
    rid = s.fci[0x84][:5]
    capk = s.config.capks.get((rid, index[0]))
    if capk is None:
        raise OdaError("B2 6.2 a", "the terminal has no key " + rid.hex() + " " + index.hex())
    s.terminal[0x9F22] = index
    s.issuer_key = certificates.issuer_key(
        capk,
        certificate,
        s.card.get(0x92, b""),
        exponent,
        pan(s.card[0x5A]),
        full_date(s.transaction.date),
        s.config.revoked,
    )
    s.trace.rule("B2 6.3 12", "issuer key recovered", **s.issuer_key.fields)
    return s.issuer_key


def _recover_icc(
    s: "Session", issuer: certificates.PublicKey, static_data: bytes
) -> certificates.PublicKey:
    key = certificates.icc_key(
        issuer,
        _required(s, 0x9F46),
        s.card.get(0x9F48, b""),
        _required(s, 0x9F47),
        static_data,
        pan(s.card[0x5A]),
        full_date(s.transaction.date),
    )
    s.trace.rule("B2 6.4 12", "ICC key recovered", expiry=key.fields["expiry"])
    return key


def pin_key(s: "Session") -> certificates.PublicKey:
    """The key to encipher a PIN for the card: its own, or the ICC key (Book 2, 7.1)."""
    issuer = recover_issuer(s)
    certificate = s.card.get(0x9F2D)
    exponent = s.card.get(0x9F2E)
    if certificate is not None and exponent is not None:
        return certificates.icc_key(
            issuer,
            certificate,
            s.card.get(0x9F2F, b""),
            exponent,
            b"",
            pan(s.card[0x5A]),
            full_date(s.transaction.date),
            "B2 7.1",
        )
    if s.icc_key is None:
        s.icc_key = _recover_icc(s, issuer, signed_static_data(s))
    return s.icc_key


def _dda(s: "Session") -> "Run[None]":
    """INTERNAL AUTHENTICATE and its signature (Book 2, 6.5)."""
    clause = "B2 6.5.2"
    ddol = s.card.get(0x9F49)
    if ddol is None:
        ddol = s.aid.default_ddol if s.aid is not None else b""
        s.trace.rule("B2 6.5.1 a", "default DDOL")
    malformed = ""
    has_number = False
    data = b""
    try:
        has_number = 0x9F37 in [tag for tag, _ in dol.parse(ddol)]
        data = s.build(ddol)
    except tlv.TlvError as error:
        malformed = error.reason
    if malformed:
        raise OdaError("B2 6.5.1 b", "DDOL: " + malformed)
    if not has_number:
        raise OdaError("B2 6.5.1 c", "DDOL without an unpredictable number")
    answer, sw = yield from s.send(bytes((0, 0x88, 0, 0, len(data))) + data + b"\x00")
    if sw != 0x9000:
        raise Ended(
            "terminated", "card_refused", "B3 6.5.9.5 a", f"INTERNAL AUTHENTICATE gave {sw:04X}"
        )
    nodes = tlv.parse(answer)
    if len(nodes) == 1 and nodes[0].tag == 0x80:
        signed = nodes[0].value
    elif len(nodes) == 1 and nodes[0].tag == 0x77 and nodes[0].children is not None:
        found = tlv.find(nodes, 0x9F4B)
        if found is None:
            raise Ended("terminated", "card_data", "B3 6.5.9.4 b", "no signature in 77")
        signed = found.value
    else:
        raise Ended("terminated", "card_data", "B3 6.5.9.4 a", "answer is neither 80 nor 77")
    if s.icc_key is None:
        raise OdaError(clause, "no ICC key")
    dynamic = certificates.dynamic_signature(s.icc_key, signed, data, clause)
    s.card[0x9F4C] = dynamic[1 : 1 + dynamic[0]]


def cda_possible(s: "Session") -> bool:
    """Whether GENERATE AC shall ask for a signature (Book 2, 6.6; CDA mode 1)."""
    return s.oda == "CDA" and s.icc_key is not None and not bits.on(s.tvr, bits.CDA_FAILED)


def verify_cda(s: "Session", signed: bytes, cid: int, hashed: bytes) -> bytes:
    """The application cryptogram out of a CDA signature (Book 2, 6.6.2).

    ``hashed``: PDOL, CDOL1 (and CDOL2) data, then the answer's objects without
    9F4B. Raises OdaError.
    """
    clause = "B2 6.6.2"
    if s.icc_key is None:
        raise OdaError(clause + " 1", "no ICC key")
    number = s.value(0x9F37) or b""
    dynamic = certificates.dynamic_signature(s.icc_key, signed, number, clause)
    start = 1 + dynamic[0]
    if len(dynamic) < start + 29:
        raise OdaError(clause + " 9", "dynamic data too short for CDA")
    if dynamic[start] != cid:
        raise OdaError(clause + " 10", "the signed CID is not the one in the answer")
    if sha1(hashed) != dynamic[start + 9 : start + 29]:
        raise OdaError(clause + " 12", "the signed transaction data hash is not ours")
    s.card[0x9F4C] = dynamic[1:start]
    s.set_tsi(bits.ODA_PERFORMED, "B3 10.3 d")
    s.trace.rule(clause + " 12", "CDA succeeded")
    return dynamic[start + 1 : start + 9]
