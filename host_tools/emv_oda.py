"""``till emv oda``: offline data authentication step by step (docs/emv-replay.md)."""

from typing import Any

from firmware.crypto.hashes import sha1
from firmware.errors import TillError
from firmware.payment.emv import certificates
from firmware.payment.emv.certificates import OdaError, PublicKey
from firmware.payment.emv.config import Capk
from host_tools.emv_input import (
    century,
    date_of,
    exponent_of,
    hex_bytes,
    hex_or_none,
    index_of,
    modulus_of,
    table_of,
    tags_of,
    told,
    unused,
)

_TEXTS = ("static_data", "dynamic_data", "unpredictable_number", "transaction_data")
_KEYS = ("rid", "capk", "tags", *_TEXTS, "date")
#: Clauses that compare a hash over the static data.
_HASHES = ("B2 5.4 7", "B2 6.4 7")
_UNCHECKED = "static_data is missing, so the hash could not be checked"


class _Case:
    """One input file."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.warnings: list[str] = []
        unused(table, _KEYS, self.warnings)
        self.tags = tags_of(table.get("tags"), "tags")
        self.capk_table = table_of(table.get("capk"), "capk")
        rid = hex_or_none(table.get("rid"), "rid")
        if rid is None:
            rid = hex_or_none(self.capk_table.get("rid"), "capk.rid")
        self.rid = rid if rid is not None else bytes(5)
        self.texts: dict[str, bytes] = {
            name: hex_bytes(table[name], name) for name in _TEXTS if table.get(name) is not None
        }
        date = table.get("date")
        self.today = century(date_of(date, "date")) + date[2:] if date is not None else ""
        pan = self.tags.get(0x5A)
        self.pan = pan.hex().rstrip("f") if pan else None
        self.with_aip: bool | None = None

    def need(self, tag: int) -> bytes:
        value = self.tags.get(tag)
        if not value:
            raise OdaError("B3 7.5 e", f"tag {tag:X} is missing")
        return value

    def part(self, name: str) -> bytes:
        if name not in self.texts:
            raise OdaError("B3 7.5 e", f"{name} is missing")
        return self.texts[name]

    def static_choices(self) -> list[tuple[bytes | None, bool | None]]:
        """Static data with the AIP that 9F4A names appended, then as given; None if absent."""
        if "static_data" not in self.texts:
            return [(None, None)]
        data = self.texts["static_data"]
        listed = self.tags.get(0x9F4A)
        if listed is None or not listed:
            return [(data, None)]
        if listed != b"\x82":
            raise OdaError("B3 10.3 f", "9F4A names more than the AIP")
        aip = self.tags.get(0x82)
        return [(data + aip, True), (data, False)] if aip else [(data, False)]

    def failed(self, error: OdaError) -> OdaError:
        """What kept the static data from verifying; a wrong hash for want of tag 82."""
        lacks_aip = self.tags.get(0x9F4A) == b"\x82" and not self.tags.get(0x82)
        if error.clause not in _HASHES or not lacks_aip or "static_data" not in self.texts:
            return error
        return OdaError(
            error.clause,
            f"{error.reason}; tag 82 is missing, so static_data was taken with the AIP in it",
        )

    def capk(self) -> Capk:
        if not self.capk_table:
            raise OdaError("B2 6.2 a", "capk is missing")
        for name in ("modulus", "exponent"):
            if self.capk_table.get(name) is None:
                raise OdaError("B2 6.2 a", f"capk.{name} is missing")
        index = self.index()
        expiry = self.capk_table.get("expiry")
        return Capk(
            self.rid,
            index if index is not None else 0,
            modulus_of(self.capk_table["modulus"], "capk.modulus"),
            exponent_of(self.capk_table["exponent"], "capk.exponent"),
            hex_or_none(self.capk_table.get("sha1"), "capk.sha1") or None,
            _last_day(expiry) if expiry is not None else "",
        )

    def index(self) -> int | None:
        """The index of the key given, else tag 8F; a warning where they differ."""
        named = self.tags.get(0x8F, b"")
        given = self.capk_table.get("index")
        if given is None:
            return named[0] if len(named) == 1 else None
        index = index_of(given, "capk.index")
        if named and named != bytes((index,)):
            self.warnings.append(
                f"tags.8F: the card names key {named.hex().upper()}, "
                f"capk.index is {index:02X}; capk was used"
            )
        return index


def _last_day(value: Any) -> str:
    """YYYYMMDD of a key's last day, which lists write as YYMMDD too."""
    text = value[2:] if isinstance(value, str) and len(value) == 8 else value
    date_of(text, "capk.expiry")
    return str(value) if len(value) == 8 else century(text) + text[2:]


def check(table: dict[str, Any]) -> dict[str, Any]:
    """The verdict on each step, and ``warnings`` if there are any. InputError for a
    field that is no hex."""
    case = _Case(table)
    results: dict[str, dict[str, Any]] = {}
    issuer: PublicKey | None = None
    icc: PublicKey | None = None
    try:
        issuer = certificates.issuer_key(
            case.capk(),
            case.need(0x90),
            case.tags.get(0x92, b""),
            case.need(0x9F32),
            case.pan,
            case.today,
            set(),
        )
        results["issuer"] = _key(issuer)
    except TillError as error:
        results["issuer"] = _failure(error)
    results["sda"] = _sda(case, issuer)
    try:
        icc = _icc(case, issuer)
        results["icc"] = _key(icc) | _static_note(case)
        if "static_data" not in case.texts:
            results["icc"] |= {"valid": False, "reason": _UNCHECKED, "clause": "B2 6.4 7"}
    except TillError as error:
        results["icc"] = _failure(error)
    results["dda"] = _dda(case, icc)
    results["cda"] = _cda(case, icc)
    if 0x9F2D in case.tags:
        results["pin"] = _pin(case, issuer)
    return results | told(case.warnings)


def _failure(error: TillError) -> dict[str, Any]:
    found: dict[str, Any] = {"valid": False, "reason": str(error)}
    if isinstance(error, OdaError):
        found["clause"] = error.clause
    return found


def _key(key: PublicKey) -> dict[str, Any]:
    found: dict[str, Any] = {"valid": True}
    found.update(key.fields)
    found["modulus"] = key.modulus.hex().upper()
    found["exponent"] = key.exponent
    return found


def _static_note(case: _Case) -> dict[str, Any]:
    return {} if case.with_aip is None else {"aip_appended": case.with_aip}


def _sda(case: _Case, issuer: PublicKey | None) -> dict[str, Any]:
    try:
        signed = case.need(0x93)
        if issuer is None:
            raise OdaError("B2 5.4 1", "no issuer key")
        last: OdaError | None = None
        for data, with_aip in case.static_choices():
            try:
                code = certificates.static_signature(issuer, signed, data)
            except OdaError as error:
                last = last or error
                continue
            case.with_aip = with_aip
            found: dict[str, Any] = {"valid": data is not None}
            if data is None:
                found |= {"reason": _UNCHECKED, "clause": "B2 5.4 7"}
            found["data_authentication_code"] = code.hex().upper()
            return found | _static_note(case)
        raise case.failed(last or OdaError("B2 5.4 7", "no static data"))
    except TillError as error:
        return _failure(error)


def _icc(case: _Case, issuer: PublicKey | None) -> PublicKey:
    certificate = case.need(0x9F46)
    exponent = case.need(0x9F47)
    if issuer is None:
        raise OdaError("B2 6.4 1", "no issuer key")
    last: OdaError | None = None
    for data, with_aip in case.static_choices():
        try:
            key = certificates.icc_key(
                issuer,
                certificate,
                case.tags.get(0x9F48, b""),
                exponent,
                data,
                case.pan,
                case.today,
            )
        except OdaError as error:
            last = last or error
            continue
        case.with_aip = with_aip
        return key
    raise case.failed(last or OdaError("B2 6.4 7", "no static data"))


def _pin(case: _Case, issuer: PublicKey | None) -> dict[str, Any]:
    try:
        if issuer is None:
            raise OdaError("B2 7.1 1", "no issuer key")
        key = certificates.icc_key(
            issuer,
            case.need(0x9F2D),
            case.tags.get(0x9F2F, b""),
            case.need(0x9F2E),
            b"",
            case.pan,
            case.today,
            "B2 7.1",
        )
        return _key(key)
    except TillError as error:
        return _failure(error)


def _dynamic(case: _Case, icc: PublicKey | None, data: bytes, clause: str) -> bytes:
    signed = case.need(0x9F4B)
    if icc is None:
        raise OdaError(clause + " 1", "no ICC key")
    return certificates.dynamic_signature(icc, signed, data, clause)


def _dda(case: _Case, icc: PublicKey | None) -> dict[str, Any]:
    try:
        dynamic = _dynamic(case, icc, case.part("dynamic_data"), "B2 6.5.2")
        return {
            "valid": True,
            "icc_key_checked": "static_data" in case.texts,
            "icc_dynamic_number": dynamic[1 : 1 + dynamic[0]].hex().upper(),
            "icc_dynamic_data": dynamic.hex().upper(),
        }
    except TillError as error:
        return _failure(error)


def _cda(case: _Case, icc: PublicKey | None) -> dict[str, Any]:
    clause = "B2 6.6.2"
    try:
        dynamic = _dynamic(case, icc, case.part("unpredictable_number"), clause)
        start = 1 + dynamic[0]
        if len(dynamic) < start + 29:
            raise OdaError(clause + " 9", "dynamic data too short for CDA")
        cid = case.tags.get(0x9F27)
        if cid and cid[0] != dynamic[start]:
            raise OdaError(clause + " 10", "the signed CID is not tag 9F27")
        digest = dynamic[start + 9 : start + 29]
        hashed = case.texts.get("transaction_data")
        if hashed is not None and sha1(hashed) != digest:
            raise OdaError(clause + " 12", "transaction_data does not have the signed hash")
        return {
            "valid": True,
            "icc_key_checked": "static_data" in case.texts,
            "transaction_data_checked": hashed is not None,
            "icc_dynamic_number": dynamic[1:start].hex().upper(),
            "cid": f"{dynamic[start]:02X}",
            "cryptogram": dynamic[start + 1 : start + 9].hex().upper(),
            "transaction_data_hash": digest.hex().upper(),
        }
    except TillError as error:
        return _failure(error)
