"""From a card of the deck to a chip: records, certificates, keys (EMV 4.4 Book 3, annexes A, B)."""

from __future__ import annotations

import hashlib

from host_tools.emulator.card_certificates import certify, static_signature
from host_tools.emulator.chips.card import Card
from host_tools.emulator.chips.card_data import Personalisation
from host_tools.emulator.chips.card_keys import CardKeys
from host_tools.emulator.chips.card_rsa import RsaKey
from host_tools.emulator.chips.card_tlv import Dol, dol_bytes, tlv
from host_tools.emulator.deck import AppSpec, CardSpec, Deck
from host_tools.emulator.deck_schema import CVM_CONDITIONS, CVM_METHODS

PDOL: Dol = ((0x9F1A, 2), (0x9F33, 3), (0x5F2A, 2))
DDOL: Dol = ((0x9F37, 4),)
TERMINAL: Dol = (
    (0x9F02, 6),
    (0x9F03, 6),
    (0x9F1A, 2),
    (0x95, 5),
    (0x5F2A, 2),
    (0x9A, 3),
    (0x9C, 1),
    (0x9F37, 4),
)
CDOL1: Dol = (*TERMINAL, (0x9F21, 3))
COUNTRY = CURRENCY = b"\x01\x56"
ISSUER_SERIALS = {"issuer-f1": 0x0F1001, "issuer-f2": 0x0F2001}


def make_card(spec: CardSpec) -> Card:
    """The chip of ``spec``, new from the factory; its random numbers depend on its name."""
    fields = spec.fields
    return Card(
        [_application(spec.deck, app) for app in spec.apps],
        seed=hashlib.sha256(spec.name.encode()).digest(),
        protocol=fields["protocol"],
        pse=fields["pse"],
        contactless=fields["contactless"],
        blocked=fields["blocked"],
        mute=fields["mute"],
        faults=fields["faults"],
    )


def _application(deck: Deck, app: AppSpec) -> Personalisation:
    aip = _interchange_profile(app)
    records, afl = _records(deck, app, aip)
    pdol = PDOL if app["gpo_format"] == 77 else ()
    tail: Dol = ((0x91, 10),) if app["issuer_auth"] == "cdol2" else ()
    dynamic = app["oda"] in ("dda", "cda")
    enciphered = any(rule[0].startswith("enciphered") for rule in app["cvm"])
    key = _key(deck, app["icc_key"]) if dynamic or enciphered else None
    tries = app["pin_tries_left"]
    return Personalisation(
        aid=app.aid,
        fci=_fci(app, pdol),
        directory_entry=_directory_entry(app),
        pdol=pdol,
        aip=aip,
        afl=afl,
        records=records,
        cdol1=CDOL1,
        cdol2=((0x8A, 2), *tail, *CDOL1),
        ddol=DDOL,
        keys=CardKeys(app.account.imk, app.pan, app["csn"]),
        icc_key=key,
        pin_key=_key(deck, app["pin_key"]) if enciphered and app["pin_key"] else None,
        cda=app["oda"] == "cda",
        gpo_format=app["gpo_format"],
        issuer_auth=app["issuer_auth"],
        first_ac=app["first_ac"],
        second_ac=app["second_ac"],
        oda_fault=app["oda_fault"],
        pin=app["pin"],
        pin_try_limit=app["pin_try_limit"],
        pin_tries_left=app["pin_try_limit"] if tries is None else tries,
        atc=app["atc"],
        blocked=app["blocked"],
    )


def _key(deck: Deck, name: str) -> RsaKey:
    return RsaKey.from_hex(deck.keys["icc"][name])


def _interchange_profile(app: AppSpec) -> bytes:
    """82 (Book 3, annex C1): ODA methods, CVM, terminal risk management, issuer authentication."""
    oda = {"none": 0x00, "sda": 0x40, "dda": 0x20, "cda": 0x21}[app["oda"]]
    cvm = 0x10 if app["cvm"] else 0x00
    external = 0x04 if app["issuer_auth"] == "external" else 0x00
    return bytes([oda | cvm | 0x08 | external, 0x00])


def _names(app: AppSpec) -> bytes:
    label = tlv(0x50, app["label"].encode("ascii"))
    priority = tlv(0x87, bytes([app["priority"] | (0x80 if app["confirm"] else 0)]))
    if app["preferred"] is None:
        return label + priority
    preferred = tlv(0x9F11, b"\x01") + tlv(0x9F12, app["preferred"].encode("latin-1"))
    return label + priority + preferred


def _fci(app: AppSpec, pdol: Dol) -> bytes:
    """Book 1, table 45.."""
    options = tlv(0x9F38, dol_bytes(pdol)) if pdol else b""
    language = tlv(0x5F2D, app["language"].encode("ascii"))
    return tlv(0x6F, tlv(0x84, app.aid), tlv(0xA5, _names(app), options, language))


def _directory_entry(app: AppSpec) -> bytes:
    """Book 1, table 47: 61 with AID, label, priority, preferred name."""
    preferred = b""
    if app["preferred"] is not None:
        preferred = tlv(0x9F12, app["preferred"].encode("latin-1"))
    priority = tlv(0x87, bytes([app["priority"] | (0x80 if app["confirm"] else 0)]))
    label = tlv(0x50, app["label"].encode("ascii"))
    return tlv(0x61, tlv(0x4F, app.aid), label, preferred, priority)


def _digits(text: str) -> bytes:
    """cn format: digits left, F to the right up to a whole byte."""
    return bytes.fromhex(text + "F" * (len(text) % 2))


def _cvm_list(app: AppSpec) -> bytes:
    """8E: amounts X and Y, then two bytes a rule (Book 3, annex C3)."""
    rules = b"".join(
        bytes([CVM_METHODS[method] | (0x40 if then == "next" else 0), CVM_CONDITIONS[condition]])
        for method, condition, then in app["cvm"]
    )
    x: int = app["cvm_x"]
    y: int = app["cvm_y"]
    return x.to_bytes(4, "big") + y.to_bytes(4, "big") + rules


def _static_record(app: AppSpec) -> bytes:
    """What the issuer signs: the value of the record at SFI 2, number 1."""
    parts = [
        tlv(0x5A, _digits(app.pan)),
        tlv(0x5F34, bytes.fromhex(app["csn"])),
        tlv(0x5F24, bytes.fromhex(app["expiry"])),
        tlv(0x5F25, bytes.fromhex(app["effective"])),
        tlv(0x5F28, COUNTRY),
        tlv(0x9F07, bytes.fromhex(app["usage_control"])),
        tlv(0x9F0D, bytes.fromhex(app["iac_default"])),
        tlv(0x9F0E, bytes.fromhex(app["iac_denial"])),
        tlv(0x9F0F, bytes.fromhex(app["iac_online"])),
    ]
    if app["cvm"]:
        parts.append(tlv(0x8E, _cvm_list(app)))
    if app["oda"] != "none":
        parts.append(tlv(0x9F4A, b"\x82"))
    return b"".join(parts)


def _records(deck: Deck, app: AppSpec, aip: bytes) -> tuple[dict[tuple[int, int], bytes], bytes]:
    """All records by (SFI, number), and the AFL that lists them."""
    track = app.pan + "D" + app["expiry"][:4] + app["service_code"] + "0000000000"
    track = track[:37]
    tail: Dol = ((0x91, 10),) if app["issuer_auth"] == "cdol2" else ()
    holder = tlv(0x57, _digits(track)) + tlv(0x5F20, app["name"].encode("ascii"))
    rules = [
        tlv(0x8C, dol_bytes(CDOL1)),
        tlv(0x8D, dol_bytes(((0x8A, 2), *tail, *CDOL1))),
        tlv(0x9F08, bytes.fromhex(app["version"])),
        tlv(0x9F42, CURRENCY),
        tlv(0x9F44, b"\x02"),
        tlv(0x5F30, bytes.fromhex("0" + app["service_code"])),
    ]
    static = _static_record(app)
    records = {
        (1, 1): tlv(0x70, holder),
        (1, 2): tlv(0x70, *rules),
        (2, 1): tlv(0x70, static),
    }
    afl = bytes([1 << 3, 1, 2, 0]) + bytes([2 << 3, 1, 1, 1])
    certificates = _certificates(deck, app, static + (aip if app["oda"] != "none" else b""))
    for number, value in enumerate(certificates, 1):
        records[(3, number)] = tlv(0x70, value)
    if certificates:
        afl += bytes([3 << 3, 1, len(certificates), 0])
    return records, afl


def _certificates(deck: Deck, app: AppSpec, static_data: bytes) -> list[bytes]:
    """Values of the records with certificates: CA index and issuer key, SSAD, ICC key, PIN key."""
    enciphered = any(rule[0].startswith("enciphered") for rule in app["cvm"])
    if app["oda"] == "none" and not enciphered:
        return []
    table = deck.keys["issuer"][app["issuer_key"]]
    issuer = RsaKey.from_hex(table)
    authority = RsaKey.from_hex(deck.keys["ca"][table["ca"]])
    number = bytes.fromhex(app.pan[:8])
    serial = ISSUER_SERIALS.get(app["issuer_key"], 0x0F0001)
    top = certify(authority, issuer, form=2, identity=number, expiry="3712", serial=serial)
    records = [tlv(0x8F, bytes.fromhex(table["ca"])) + tlv(0x9F32, top.exponent)]
    if top.remainder:
        records[0] += tlv(0x92, top.remainder)
    records.append(tlv(0x90, top.certificate))
    if app["oda"] == "sda":
        signature = static_signature(issuer, b"\xda\xc1", static_data)
        if app["oda_fault"] == "sda_signature":
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        records.append(tlv(0x93, signature))
    pan = bytes.fromhex(app.pan.ljust(20, "F"))
    expiry = app["expiry"][:4]
    own_key_for_pin = enciphered and app["pin_key"] is None
    if app["oda"] in ("dda", "cda") or own_key_for_pin:
        own = certify(
            issuer,
            _key(deck, app["icc_key"]),
            form=4,
            identity=pan,
            expiry=expiry,
            serial=0x0C0001,
            static_data=static_data,
        )
        certificate = own.certificate
        if app["oda_fault"] == "icc_certificate":
            certificate = certificate[:-1] + bytes([certificate[-1] ^ 1])
        extra = tlv(0x9F48, own.remainder) if own.remainder else b""
        records.append(tlv(0x9F46, certificate) + tlv(0x9F47, own.exponent))
        records.append(extra + tlv(0x9F49, dol_bytes(DDOL)))
    if enciphered and app["pin_key"]:
        key = _key(deck, app["pin_key"])
        pin = certify(issuer, key, form=4, identity=pan, expiry=expiry, serial=0x0C0002)
        records.append(tlv(0x9F2D, pin.certificate) + tlv(0x9F2E, pin.exponent))
        if pin.remainder:
            records.append(tlv(0x9F2F, pin.remainder))
    return records
