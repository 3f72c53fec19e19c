"""JSON whose numbers are decimal text, never binary floats; and its one canonical form."""

import json
from decimal import Decimal
from typing import Any

from host_tools.errors import UserError

#: The deepest message that is read, and the longest number.
DEPTH, MOST_DIGITS = 24, 24


class NotJson(UserError):
    """The text is no JSON that we take."""


def read(text: str) -> Any:
    """Numbers with a point or an exponent are Decimal, others int. NotJson: broken, a key
    twice, NaN, a number over MOST_DIGITS, text without a UTF-8 form, deeper than DEPTH."""
    try:
        value = json.loads(
            text,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise NotJson(f"no JSON: {error}") from None
    _bounded(value, DEPTH)
    return value


def write(value: Any, canonical: bool = False) -> str:
    """``value`` as JSON; ``canonical``: keys in order, numbers in their shortest form."""
    if isinstance(value, dict):
        items = sorted(value.items()) if canonical else value.items()
        return "{" + ",".join(json.dumps(k) + ":" + write(v, canonical) for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write(part, canonical) for part in value) + "]"
    if isinstance(value, Decimal):
        if canonical:
            value = value.normalize()
        return format(value, "f")
    if isinstance(value, float):
        raise TypeError("a binary float")
    return json.dumps(value, ensure_ascii=False)


def _decimal(text: str) -> Decimal:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number that is too long")
    value = Decimal(text)
    # Written out in full later: an exponent must not make a text of gigabytes.
    if not -MOST_DIGITS <= value.adjusted() <= MOST_DIGITS:
        raise ValueError("a number out of bounds")
    return value


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number that is too long")
    return int(text)


def _constant(text: str) -> None:
    raise ValueError(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _bounded(value: Any, depth: int) -> None:
    if depth == 0:
        raise NotJson("no JSON: too deep")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:  # half of an escaped pair
            raise NotJson("no JSON: text without a UTF-8 form") from None
    elif isinstance(value, dict | list):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _bounded(part, depth - 1)
