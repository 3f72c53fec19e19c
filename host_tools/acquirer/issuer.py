"""The issuer's half of a chip payment: cryptograms and scripts, by pyemv.

What card and issuer agree on stands in docs/deck.md ("What issuer and card
agree on"); the deck gives the keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Protocol

from pyemv import ac, kd, sm, tlv


class AccountData(Protocol):
    """What the deck says of one account (``host_tools.emulator.deck.Account``)."""

    @property
    def card(self) -> str: ...
    @property
    def pan(self) -> str: ...
    @property
    def csn(self) -> str: ...
    @property
    def expiry(self) -> str: ...
    @property
    def pin(self) -> str: ...
    @property
    def imk(self) -> dict[str, bytes]: ...
    @property
    def balance(self) -> int: ...
    @property
    def currency(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def host_rule(self) -> dict[str, Any] | None: ...


class DeckData(Protocol):
    """What the bank and enrolment need of the deck (``host_tools.emulator.deck.Deck``)."""

    def accounts(self) -> Iterable[AccountData]: ...
    def aids(self) -> list[dict[str, Any]]: ...
    def capks(self) -> list[dict[str, Any]]: ...


class CardDataError(Exception):
    """Field 55 is not what a request must carry; the text names the object."""


#: Objects of field 55 that a request must hold, and their lengths in bytes.
_NEEDED = {
    "9F26": 8, "9F27": 1, "9F37": 4, "9F36": 2, "95": 5, "9A": 3, "9C": 1, "9F02": 6,
    "5F2A": 2, "82": 2, "9F1A": 2, "9F03": 6,
}  # fmt: skip

_CRYPTOGRAM_TYPE = 0xC0
_ARQC = 0x80

#: Bits that EMV 4.4 Book 3, annex C5 leaves unused in the TVR of a contact
#: payment without biometry.
_TVR_RFU = bytes.fromhex("010703070F")

_ONLINE_PIN_ENTERED = 0x04


def parse_card_data(field55: bytes) -> dict[str, bytes]:
    """Field 55 as a flat table. CardDataError for anything but plain TLV."""
    try:
        objects = tlv.decode(field55)
    except ValueError as error:
        raise CardDataError(str(error)) from error
    flat: dict[str, bytes] = {}
    for tag, value in objects.items():
        if not isinstance(value, bytes):
            raise CardDataError(f"{tag} is constructed")
        flat[tag] = value
    return flat


def check_card_data(
    objects: Mapping[str, bytes], amount: int, currency: int, pin_block: bool
) -> None:
    """Whether the objects are complete and fit the message. CardDataError."""
    for tag, length in _NEEDED.items():
        if len(objects.get(tag, b"")) != length:
            raise CardDataError(f"{tag} is missing or not {length} bytes")
    if not 7 <= len(objects.get("9F10", b"")) <= 32:
        raise CardDataError("9F10 is missing or not 7 to 32 bytes")
    if objects["9F27"][0] & _CRYPTOGRAM_TYPE != _ARQC:
        raise CardDataError(f"9F27 {objects['9F27'].hex()} is no request cryptogram")
    if objects["9F02"].hex() != f"{amount:012d}":
        raise CardDataError("9F02 is not field 4")
    if objects["5F2A"].hex() != f"{currency:04d}":
        raise CardDataError("5F2A is not field 49")
    tvr = objects["95"]
    if any(a & b for a, b in zip(tvr, _TVR_RFU, strict=True)):
        raise CardDataError(f"95 {tvr.hex().upper()} sets unused bits")
    if bool(tvr[2] & _ONLINE_PIN_ENTERED) != pin_block:
        raise CardDataError("95 and field 52 disagree about an online PIN")


@dataclass
class Issuer:
    """One account's keys."""

    account: AccountData

    def session_key(self, atc: bytes) -> bytes:
        """Cryptogram session key: common derivation, R = ATC | 00 00 00 00 00 00."""
        account = self.account
        card_key = kd.derive_icc_mk_a(account.imk["ac"], account.pan, account.csn)
        return kd.derive_common_sk(card_key, atc + bytes(6))

    def arqc(self, objects: Mapping[str, bytes]) -> bytes:
        """The cryptogram that the genuine card gives for these objects."""
        tags = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
        data = b"".join(objects[tag] for tag in tags) + objects["9F10"][3:7]
        return ac.generate_ac(self.session_key(objects["9F36"]), data)

    def arqc_is_right(self, objects: Mapping[str, bytes]) -> bool:
        """EMV 4.4 Book 2, 8.1."""
        return compare_digest(self.arqc(objects), objects["9F26"])

    def authentication_data(self, objects: Mapping[str, bytes], code: str) -> bytes:
        """Object 91: ARPC method 1 (EMV 4.4 Book 2, 8.2.1) and its two-byte code."""
        arc = code.encode("ascii")
        key = self.session_key(objects["9F36"])
        return ac.generate_arpc_1(key, objects["9F26"], arc) + arc

    def _script_key(self, which: str, arqc: bytes) -> bytes:
        account = self.account
        card_key = kd.derive_icc_mk_a(account.imk[which], account.pan, account.csn)
        return kd.derive_common_sk(card_key, arqc)

    def script_command(self, name: str, objects: Mapping[str, bytes], place: int = 0) -> bytes:
        """The ``place``-th script command of this payment, with its MAC."""
        number = (int.from_bytes(objects["9F26"], "big") + place) % (1 << 64)
        arqc = number.to_bytes(8, "big")
        header, data = _COMMANDS[name]
        if name == "pin_change":
            data = sm.encrypt_command_data(
                self._script_key("smc", arqc),
                sm.format_iso9564_2_pin_block(self.account.pin),
                sm.EncryptionType.MASTERCARD,
            )
        header = header + bytes([len(data) + 8])
        signed = header + objects["9F36"] + arqc + data
        return header + data + sm.generate_command_mac(self._script_key("smi", arqc), signed)

    def script(self, name: str, objects: Mapping[str, bytes]) -> bytes:
        """A script template (71 before or 72 after the second GENERATE AC,
        EMV 4.4 Book 3, 10.10) with an identifier and one command."""
        command = self.script_command(name, objects)
        body = _object("9F18", bytes.fromhex("00000001")) + _object("86", command)
        return _object("71" if name in _BEFORE_SECOND_AC else "72", body)


_COMMANDS = {
    "pin_change": (bytes.fromhex("84240002"), b""),
    "pin_unblock": (bytes.fromhex("84240000"), b""),
    "application_block": (bytes.fromhex("841E0000"), b""),
    "application_unblock": (bytes.fromhex("84180000"), b""),
    "card_block": (bytes.fromhex("84160000"), b""),
    # Lower consecutive offline limit: 5 payments.
    "put_data": (bytes.fromhex("84DA9F58"), b"\x05"),
}

#: One kind of script stands in template 71, so that both ways are in use.
_BEFORE_SECOND_AC = ("put_data",)


def _object(tag: str, value: bytes) -> bytes:
    assert len(value) < 128, "scripts of this bank are short"
    return bytes.fromhex(tag) + bytes([len(value)]) + value
