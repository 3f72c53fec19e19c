"""The shape of deck.json: which keys a card has, and what each may hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from host_tools.errors import UserError

CVM_METHODS = {
    "fail": 0x00,
    "plaintext_pin": 0x01,
    "online_pin": 0x02,
    "plaintext_pin_signature": 0x03,
    "enciphered_pin": 0x04,
    "enciphered_pin_signature": 0x05,
    "signature": 0x1E,
    "no_cvm": 0x1F,
}
CVM_CONDITIONS = {
    "always": 0x00,
    "cash": 0x01,
    "not_cash": 0x02,
    "supported": 0x03,
    "manual_cash": 0x04,
    "cashback": 0x05,
    "under_x": 0x06,
    "over_x": 0x07,
    "under_y": 0x08,
    "over_y": 0x09,
}
ODA = ("none", "sda", "dda", "cda")
ODA_FAULTS = ("sda_signature", "dda_signature", "cda_signature", "icc_certificate")
ISSUER_AUTH = ("none", "external", "cdol2")
FIRST_AC = ("as_asked", "arqc", "aac")
SECOND_AC = ("as_asked", "aac")
ACCOUNT_STATUS = ("active", "blocked", "lost", "closed")
FAULT_KINDS = ("torn", "mute", "sw", "garble", "late")
HOST_RULES: dict[str, tuple[str, ...]] = {
    "decline": ("code",),
    "drop": (),
    "late": ("ms",),
    "close": (),
    "garble": (),
    "wrong_mac": (),
    "missing_mac": (),
    "wrong_arpc": (),
    "no_arpc": (),
    "script": ("script",),
}
SCRIPTS = (
    "pin_change",
    "pin_unblock",
    "application_block",
    "application_unblock",
    "card_block",
    "put_data",
)

Check = Callable[[Any], bool]


class DeckError(UserError):
    """deck.json or keys.json is not valid; the text names the card and the key."""


def luhn(number: str) -> bool:
    """Whether the last digit is the ISO/IEC 7812 check digit of the rest."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def text(pattern: str) -> Check:
    """A string that matches ``pattern`` as a whole."""
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def number(least: int, most: int) -> Check:
    """An integer in the range; True and False are not integers here."""
    return lambda value: type(value) is int and least <= value <= most


def one_of(names: tuple[str, ...]) -> Check:
    """One of the names."""
    return lambda value: isinstance(value, str) and value in names


def hexes(least: int, most: int) -> Check:
    """Upper-case hexadecimal of ``least`` to ``most`` bytes."""
    return text(f"(?:[0-9A-F]{{2}}){{{least},{most}}}")


def optional(check: Check) -> Check:
    """The check, or null."""
    return lambda value: value is None or check(value)


def flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def list_of(check: Check, least: int, most: int) -> Check:
    """A list of ``least`` to ``most`` items that all pass."""
    return lambda value: (
        isinstance(value, list) and least <= len(value) <= most and all(check(v) for v in value)
    )


def _pan(value: Any) -> bool:
    return text(r"[0-9]{12,19}")(value) and luhn(value)


def _title(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"en", "zh"}
        and all(isinstance(v, str) and 0 < len(v) <= 60 for v in value.values())
    )


def _cvm_rule(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and value[0] in CVM_METHODS
        and value[1] in CVM_CONDITIONS
        and value[2] in ("next", "fail")
    )


def _host_rule(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("kind") not in HOST_RULES:
        return False
    if set(value) != {"kind", *HOST_RULES[value["kind"]]}:
        return False
    return (
        ("code" not in value or text(r"[0-9A-Z]{2}")(value["code"]))
        and ("ms" not in value or number(1, 600_000)(value["ms"]))
        and ("script" not in value or one_of(SCRIPTS)(value["script"]))
    )


def _fault(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("kind") not in FAULT_KINDS:
        return False
    places = {"at": number(0, 1000), "ins": hexes(1, 1), "nth": number(1, 100)}
    extra = {"sw": {"sw": hexes(2, 2)}, "late": {"ms": number(1, 600_000)}}.get(value["kind"], {})
    keys = set(value) - {"kind"}
    return (
        ("at" in value) != ("ins" in value)
        and ("nth" not in value or "ins" in value)
        and set(extra) <= keys
        and keys <= set(places) | set(extra)
        and all({**places, **extra}[key](value[key]) for key in keys)
    )


def fault_is_valid(value: Any) -> bool:
    """Whether ``value`` describes a fault that a virtual card knows."""
    return _fault(value)


_DATE = text(r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_PIN = text(r"[0-9]{4,12}")

ACCOUNT: dict[str, Check] = {
    "balance": number(0, 10**12 - 1),
    "currency": number(1, 999),
    "status": one_of(ACCOUNT_STATUS),
    "pin": optional(_PIN),
    "host_rule": optional(_host_rule),
}

APPLICATION: dict[str, Check] = {
    "aid": hexes(5, 16),
    "label": text(r"[A-Za-z0-9 ]{1,16}"),
    "preferred": optional(text(r"[ -~\u00a0-\u00ff]{1,16}")),
    "priority": number(0, 15),
    "confirm": flag,
    "pan": _pan,
    "csn": text(r"[0-9]{2}"),
    "name": text(r"[A-Z /.]{2,26}"),
    "effective": _DATE,
    "expiry": _DATE,
    "service_code": text(r"[0-9]{3}"),
    "language": text(r"(?:[a-z]{2}){1,4}"),
    "version": hexes(2, 2),
    "usage_control": hexes(2, 2),
    "pin": _PIN,
    "typed": optional(list_of(_PIN, 0, 5)),
    "pin_try_limit": number(1, 15),
    "pin_tries_left": optional(number(0, 15)),
    "imk": text(r"[a-z0-9-]{1,32}"),
    "issuer_key": text(r"[a-z0-9-]{1,32}"),
    "icc_key": text(r"[a-z0-9-]{1,32}"),
    "pin_key": optional(text(r"[a-z0-9-]{1,32}")),
    "oda": one_of(ODA),
    "oda_fault": optional(one_of(ODA_FAULTS)),
    "cvm": list_of(_cvm_rule, 0, 20),
    "cvm_x": number(0, 2**32 - 1),
    "cvm_y": number(0, 2**32 - 1),
    "iac_default": hexes(5, 5),
    "iac_denial": hexes(5, 5),
    "iac_online": hexes(5, 5),
    "issuer_auth": one_of(ISSUER_AUTH),
    "first_ac": one_of(FIRST_AC),
    "second_ac": one_of(SECOND_AC),
    "gpo_format": number(77, 80),
    "blocked": flag,
    "atc": number(0, 65534),
}

CARD: dict[str, Check] = {
    "title": _title,
    "expect": text(r"[a-z_]{1,40}"),
    "protocol": number(0, 1),
    "pse": flag,
    "contactless": one_of(("none", "A", "B")),
    "blocked": flag,
    "mute": flag,
    "faults": list_of(_fault, 0, 20),
}

AID: dict[str, Check] = {
    "aid": hexes(5, 16),
    "partial": flag,
    "tac_default": hexes(5, 5),
    "tac_online": hexes(5, 5),
    "tac_denial": hexes(5, 5),
    "floor_limit": number(0, 10**12 - 1),
    "threshold": number(0, 10**12 - 1),
    "target_percentage": number(0, 99),
    "max_target_percentage": number(0, 99),
    "ddol": hexes(0, 252),
    "tdol": hexes(0, 252),
    "version": hexes(2, 2),
    "name": text(r"[A-Za-z0-9 ]{1,32}"),
}


def check(
    where: str, given: Any, shape: dict[str, Check], defaults: dict[str, Any]
) -> dict[str, Any]:
    """``given`` filled up with ``defaults``; DeckError names the first fault."""
    if not isinstance(given, dict):
        raise DeckError(f"{where}: not a table")
    unknown = sorted(set(given) - set(shape))
    if unknown:
        raise DeckError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(shape))}")
    whole = {**defaults, **given}
    for key, valid in shape.items():
        if key not in whole:
            raise DeckError(f"{where}: {key!r} is missing")
        if not valid(whole[key]):
            raise DeckError(f"{where}: {key!r} may not be {whole[key]!r}")
    return whole
