"""What a terminal left behind, as recordings (docs/emv-replay.md): its kernel's
trace, and the provisioning bundle that it worked by."""

import json
from typing import Any

from firmware import cbor
from host_tools.emv_input import InputError, parse
from host_tools.emv_recording import GENERATE_AC, GPO

#: What SELECT of the payment system environment looks like: a sale's first command.
_FIRST = "00A404000E315041592E5359532E4444463031"


def is_trace(raw: bytes) -> bool:
    """Whether the first line is an entry of a trace."""
    try:
        entry = json.loads(raw.lstrip().partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and "t" in entry and "steps" not in entry


def recordings(raw: bytes, place: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The file's recordings: its one object, or one for each sale of a full trace, in
    turn; with what they lack from ``given`` (``bundle_keys``, or nothing). InputError
    for a masked trace, or one without a command to a card."""
    if not is_trace(raw):
        return [with_keys(parse(raw, place), given)]
    sales: list[list[dict[str, Any]]] = [[]]
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        entry = parse(line, f"{place}, line {number}")
        if entry.get("t") == "apdu":
            _check(entry, f"{place}, line {number}")
            if entry["c"].upper().startswith(_FIRST) and any(map(_is_payment, sales[-1])):
                sales.append([])
        sales[-1].append(entry)
        if entry.get("t") == "outcome":
            sales.append([])
    found = [
        with_keys(_recording(sale, "aids" in given), given)
        for sale in sales
        if any(one.get("t") == "apdu" for one in sale)
    ]
    if not found:
        raise InputError(f"{place}: the trace has no command to a card")
    return found


def _check(entry: dict[str, Any], place: str) -> None:
    """InputError for an APDU that is not whole."""
    for name in ("c", "r", "sw"):
        value = entry.get(name)
        if not isinstance(value, str):
            raise InputError(f"{place}: {name}: a text of hex digits is needed")
        if "*" in value or "(" in value:
            raise InputError(
                f"{place}: {name}: masked; a replay needs a full trace (till emulate --trace full)"
            )


def _is_payment(entry: dict[str, Any]) -> bool:
    """Whether this command belongs to a sale that is past its application selection."""
    return entry.get("t") == "apdu" and entry["c"][2:4].upper() in (
        f"{GPO:02X}",
        f"{GENERATE_AC:02X}",
    )


def _recording(entries: list[dict[str, Any]], aids_known: bool) -> dict[str, Any]:
    """One sale: its commands, and what cardholder and network did. A choice of an
    application means something only where the terminal's AIDs are known."""
    steps: list[dict[str, Any]] = []
    table: dict[str, Any] = {"interface": "contact", "steps": steps}
    pins: list[Any] = []
    choices: list[Any] = []
    approved: Any = None
    for entry in entries:
        kind, rule = entry.get("t"), entry.get("rule")
        if kind == "apdu":
            steps.append({"c": entry["c"], "r": entry["r"] + entry["sw"]})
        elif kind == "verify":
            steps.append(_verify(entry))
        elif kind == "outcome":
            table["expected"] = {name: entry.get(name) for name in ("outcome", "reason", "tvr")}
        elif rule == "B3 10.5.1 b":
            pins.append(entry.get("answer"))
        elif rule in ("B1 12.4 b", "B1 12.4 c") and ("agreed" in entry or "index" in entry):
            choices.append(entry.get("index", entry.get("agreed")))
        elif rule == "B3 10.9 a":
            approved = entry.get("approved")
        elif rule in ("house g", "B3 10.7 f", "B3 10.7 g"):
            table["host"] = "unable"
    cryptograms = [step for step in steps if step["c"][2:4].upper() == f"{GENERATE_AC:02X}"]
    if approved is not None and len(cryptograms) == 1:  # the card left before the second
        table["host"] = {"8A": "00" if approved else "05"}
    if pins:
        table["pin"] = pins
    if choices and aids_known:
        table["choices"] = choices
    return table


def _verify(entry: dict[str, Any]) -> dict[str, Any]:
    """A PIN's check, without its data; status 0 is a GET CHALLENGE that failed."""
    word = entry.get("sw")
    if word == "0000":
        return {"c": "0084000000", "r": "6F00"}
    return {"c": "00200088" if entry.get("enciphered") else "00200080", "r": word}


def bundle_keys(data: bytes, place: str) -> dict[str, Any]:
    """What the provisioning bundle in ``data`` gives a recording (docs/provisioning.md):
    AIDs, CA keys, revoked certificates, data of terminal and payment. Its signature is
    not checked. InputError."""
    try:
        payload = _payload(data)
        merchant, own = payload[5], payload[12]
        return {
            "aids": [_aid(aid) for aid in payload[9]],
            "capks": [_capk(key) for key in payload[10]],
            "revoked": [
                {"rid": rid.hex(), "index": index, "serial": serial.hex()}
                for rid, index, serial in payload[11]
            ],
            "online_only": True,
            "terminal": {
                "9F1A": f"{merchant[5]:04}",
                "9F35": f"{own[1]:02X}",
                "9F33": own[2].hex(),
                "9F40": own[3].hex(),
                "9F1E": payload[3][-8:].ljust(8).encode().hex(),
                "9F15": merchant[4].zfill(4),
                "9F1C": merchant[3].ljust(8).encode().hex(),
                "9F16": merchant[1].ljust(15).encode().hex(),
                "9F4E": merchant[2].encode().hex(),
            },
            "transaction": {"5F2A": f"{merchant[6]:04}", "5F36": f"{merchant[7]:02}"},
        }
    except cbor.CborError as error:
        raise InputError(f"{place}: no provisioning bundle: {error}") from error
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{place}: no provisioning bundle of version 1: {error!r}") from error


def _payload(data: bytes) -> Any:
    outer: Any = cbor.decode(data)
    return cbor.decode(outer[0])


def _aid(aid: dict[int, Any]) -> dict[str, Any]:
    return {
        "aid": aid[1].hex(),
        "partial": aid[2],
        "tac_default": aid[3].hex(),
        "tac_online": aid[4].hex(),
        "tac_denial": aid[5].hex(),
        "floor_limit": aid[6],
        "threshold": aid[7],
        "target_percent": aid[8],
        "max_target_percent": aid[9],
        "default_ddol": aid[10].hex(),
        "default_tdol": aid[11].hex(),
        "version": aid[12].hex(),
        "name": aid[13],
    }


def _capk(key: dict[int, Any]) -> dict[str, Any]:
    return {
        "rid": key[1].hex(),
        "index": key[2],
        "modulus": key[3].hex(),
        "exponent": key[4].hex(),
        "sha1": key[6].hex(),
    }


def with_keys(table: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The recording with what it lacks from ``given``: whole keys, but of ``terminal``
    and ``transaction`` each tag."""
    full = dict(table)
    for name, value in given.items():
        own = full.get(name)
        if own is None or (name in ("aids", "capks") and own == []):
            full[name] = value
        elif name in ("terminal", "transaction") and isinstance(own, dict):
            there = {tag.upper() for tag in own}
            full[name] = own | {tag: text for tag, text in value.items() if tag not in there}
    return full
