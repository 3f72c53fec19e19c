"""Magnetic stripe tracks 1 and 2 (ISO/IEC 7813) and track 2 equivalent data (tag 57)."""

from typing import Any

from host_tools.decoders.common import BadInput, check_size, luhn, mask_pan, parse_hex, readable
from host_tools.hex_text import HexError, digits

#: Longest tracks with sentinels: 79 and 40 characters.
_MOST = 80


def decode(text: str, mask: bool = True) -> dict[str, Any]:
    """``%B...^NAME^...?``, ``;...=...?``, the same without sentinels, or hex of tag 57."""
    check_size(text)
    track = text.strip("\r\n")
    if not track.strip():
        raise BadInput("the input is empty", 0)
    if track[:1] == "%" or "^" in track:
        return _first(track, mask)
    return _second(track, mask)


def _digits(text: str, at: int, what: str) -> str:
    for place, char in enumerate(text):
        if not "0" <= char <= "9":
            raise BadInput(f"{what}: {char!a} is not a digit", at + place)
    return text


def _pan(text: str, at: int) -> str:
    _digits(text, at, "PAN")
    if not 8 <= len(text) <= 19:
        raise BadInput(f"PAN has {len(text)} digits, not 8 to 19", at)
    return text


def _result(
    number: int, pan: str, name: str | None, rest: str, at: int, mask: bool
) -> dict[str, Any]:
    """``rest``: expiry YYMM, service code, discretionary data."""
    if len(rest) < 7:
        raise BadInput("expiry and service code are cut short", at + len(rest))
    expiry = _digits(rest[:4], at, "expiry")
    if not 1 <= int(expiry[2:]) <= 12:
        raise BadInput(f"expiry: month {expiry[2:]} is not 01 to 12", at + 2)
    service = _digits(rest[4:7], at + 4, "service code")
    discretionary = rest[7:]
    result: dict[str, Any] = {"track": number, "pan": mask_pan(pan) if mask else pan}
    if name is not None:
        result["name"] = "*" * len(name) if mask else name
    result["expiry"] = "****" if mask else expiry
    result["service_code"] = service
    result["discretionary"] = "*" * len(discretionary) if mask else discretionary
    result["luhn"] = luhn(pan)
    result["chip"] = service[0] in "26"
    return result


def _first(track: str, mask: bool) -> dict[str, Any]:
    if len(track) > _MOST:
        raise BadInput(f"track 1 has over {_MOST} characters", _MOST)
    at = 1 if track.startswith("%") else 0
    body, end, after = track[at:].partition("?")
    if end and len(after) > 1:  # one check character may follow
        raise BadInput("characters after the end sentinel", at + len(body) + 1)
    if not body.startswith("B"):
        raise BadInput("format code is not B", at)
    parts = body[1:].split("^", 2)
    if len(parts) != 3:
        raise BadInput("needs two field separators ^", at + len(body))
    pan, name, rest = parts
    for place, char in enumerate(body):
        if not " " <= char <= "_":
            raise BadInput(f"{char!a} is not a track 1 character", at + place)
    start = at + 1
    _pan(pan, start)
    if not 2 <= len(name) <= 26:
        raise BadInput(f"name has {len(name)} characters, not 2 to 26", start + len(pan) + 1)
    return _result(1, pan, name, rest, start + len(pan) + len(name) + 2, mask)


def _second(track: str, mask: bool) -> dict[str, Any]:
    if "=" not in track and ";" not in track:
        data = parse_hex(track + "F" * _lacks_pad(track))
        if len(data) > 19:
            raise BadInput("track 2 equivalent data has over 19 bytes", 19)
        body = data.hex().upper()
        body = body[:-1] if body.endswith("F") else body
        pan, found, rest = body.partition("D")
        at, scale = 0, 2
    else:
        if len(track) > _MOST:
            raise BadInput(f"track 2 has over {_MOST} characters", _MOST)
        at, scale = (1 if track.startswith(";") else 0), 1
        body, end, after = track[at:].partition("?")
        if end and len(after) > 1:
            raise BadInput("characters after the end sentinel", at + len(body) + 1)
        pan, found, rest = body.partition("=")
    try:
        _pan(pan, at)
        if not found:
            raise BadInput("no field separator", at + len(body))
        start = at + len(pan) + 1
        _digits(rest, start, "data")
        return _result(2, pan, None, rest, start, mask)
    except BadInput as error:
        if error.offset is not None and scale == 2:  # two digits a byte
            raise BadInput(error.reason, error.offset // 2) from None
        raise


def _lacks_pad(track: str) -> bool:
    """Whether the pad digit is missing, as field 35 has it: it belongs to tag 57."""
    try:
        plain = digits(track)
    except HexError:
        return False
    return len(plain) % 2 == 1 and "d" in plain.lower()


def render(result: dict[str, Any]) -> list[str]:
    """Readable lines."""
    return [f"{name.replace('_', ' ')}: {readable(value)}" for name, value in result.items()]
