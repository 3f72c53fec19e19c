"""Reading a decoded CBOR map with integer keys, strictly: each field by its kind.

FieldError names the place ("bundle.6 host, 2 port") and what is wrong. A map
is read to its end: a key that nobody asked for is an error.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST_CERTIFICATE = 8192
_MOST_CERTIFICATES = 8
_MOST_REVOKED = 1000


def _span(least: int, most: int) -> str:
    return str(least) if least == most else str(least) + " to " + str(most)


class FieldError(TillError):
    """A field is absent, unknown, or not what it must be."""

    text_key = "error.data"


class Fields:
    """One map. ``place`` names it in errors."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise FieldError(place + ": not a map")
        self._map: "dict[Any, Any]" = value
        self._place = place
        self._asked: "set[int]" = set()

    def wrong(self, key: int, what: str, why: str) -> FieldError:
        """The error for one field; the caller raises it."""
        return FieldError(self._place + "." + str(key) + " " + what + ": " + why)

    def end(self) -> None:
        """FieldError for the first key that was not asked for."""
        for key in self._map:
            if key not in self._asked:
                raise FieldError(self._place + ": unknown key " + str(key)[:20])

    def _value(self, key: int, what: str) -> "Any":
        self._asked.add(key)
        if key not in self._map:
            raise self.wrong(key, what, "missing")
        return self._map[key]

    def flag(self, key: int, what: str) -> bool:
        """A bool."""
        value = self._value(key, what)
        if not isinstance(value, bool):
            raise self.wrong(key, what, "not a bool")
        return value

    def number(self, key: int, what: str, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``."""
        value = self._value(key, what)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, what, "not an integer of " + str(low) + " to " + str(high))
        return value

    def octets(self, key: int, what: str, least: int, most: int) -> bytes:
        """A byte string of ``least`` to ``most`` bytes."""
        value = self._value(key, what)
        if not isinstance(value, bytes) or not least <= len(value) <= most:
            raise self.wrong(key, what, "not " + _span(least, most) + " bytes")
        return value

    def text(self, key: int, what: str, least: int, most: int) -> str:
        """A text of ``least`` to ``most`` characters, without control characters."""
        value = self._value(key, what)
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise self.wrong(key, what, "not " + _span(least, most) + " characters")
        for c in value:
            if c < " " or "\x7f" <= c <= "\x9f":
                raise self.wrong(key, what, "holds a control character")
        return value

    def ans(self, key: int, what: str, exact: int, least: int = 0, most: int = 0) -> str:
        """Printable ASCII of ``exact`` characters, or of ``least`` to ``most``."""
        value = self.text(key, what, exact or least, exact or most)
        for c in value:
            if not " " <= c <= "~":
                raise self.wrong(key, what, "not ASCII")
        return value

    def digits(self, key: int, what: str, exact: int) -> str:
        """``exact`` decimal digits as text."""
        value = self.ans(key, what, exact)
        for c in value:
            if not "0" <= c <= "9":
                raise self.wrong(key, what, "not digits")
        return value

    def name(self, key: int, what: str, most: int) -> str:
        """A host name or an address literal."""
        value = self.ans(key, what, 0, 1, most)
        for c in value:
            if not ("0" <= c <= "9" or "a" <= c <= "z" or "A" <= c <= "Z" or c in "-._:"):
                raise self.wrong(key, what, "not a host name or address")
        return value

    def choice(self, key: int, what: str, choices: "tuple[str, ...]") -> str:
        """One of ``choices``."""
        value: str = self._value(key, what)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(key, what, "none of " + ", ".join(choices))
        return value

    def date(self, key: int, what: str) -> str:
        """YYYYMMDD."""
        value = self.digits(key, what, 8)
        if not (1 <= int(value[4:6]) <= 12 and 1 <= int(value[6:]) <= 31):
            raise self.wrong(key, what, "not a date YYYYMMDD")
        return value

    def items(self, key: int, what: str, least: int, most: int) -> "list[Any]":
        """An array of ``least`` to ``most`` items."""
        value = self._value(key, what)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self.wrong(key, what, "not " + _span(least, most) + " items")
        return value

    def table(self, key: int, what: str) -> "Fields":
        """A map inside this one."""
        return Fields(self._value(key, what), self._place + "." + str(key) + " " + what)

    def tables(self, key: int, what: str, least: int, most: int) -> "list[Fields]":
        """An array of maps."""
        place = self._place + "." + str(key) + " " + what
        found = self.items(key, what, least, most)
        return [Fields(found[i], place + "[" + str(i) + "]") for i in range(len(found))]

    def certificates(self, key: int, what: str) -> "list[bytes]":
        """1 to 8 certificates, each one whole DER sequence."""
        found = self.items(key, what, 1, _MOST_CERTIFICATES)
        for one in found:
            if not isinstance(one, bytes) or len(one) > _MOST_CERTIFICATE or not _is_der(one):
                raise self.wrong(key, what, "not DER certificates")
        return found

    def languages(self, key: int, what: str) -> "list[str]":
        """1 to 8 different language codes of lower-case letters."""
        found = self.items(key, what, 1, 8)
        seen: "set[str]" = set()
        for one in found:
            good = isinstance(one, str) and 2 <= len(one) <= 3 and one not in seen
            if not good or [c for c in one if not "a" <= c <= "z"]:
                raise self.wrong(key, what, "not different codes of 2 or 3 letters")
            seen.add(one)
        return found

    def revoked(self, key: int, what: str) -> "list[tuple[bytes, int, bytes]]":
        """[RID, CAPK index, certificate serial] each."""
        result: "list[tuple[bytes, int, bytes]]" = []
        for one in self.items(key, what, 0, _MOST_REVOKED):
            good = isinstance(one, list) and len(one) == 3
            if not good or not _bytes_of(one[0], 5) or not _bytes_of(one[2], 3):
                raise self.wrong(key, what, "not [RID, index, serial]")
            if not isinstance(one[1], int) or isinstance(one[1], bool) or not 0 <= one[1] <= 255:
                raise self.wrong(key, what, "CAPK index not 0 to 255")
            result.append((one[0], one[1], one[2]))
        return result


def _bytes_of(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def _is_der(data: bytes) -> bool:
    """Whether ``data`` is one SEQUENCE with a definite length and nothing after it."""
    if len(data) < 4 or data[0] != 0x30:
        return False
    if data[1] < 0x80:
        return len(data) == 2 + data[1]
    size = data[1] & 0x7F
    if not 1 <= size <= 2 or len(data) < 2 + size:
        return False
    return len(data) == 2 + size + int.from_bytes(data[2 : 2 + size], "big")
