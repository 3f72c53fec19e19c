"""A set of settings that a PC made for one terminal, and its proof (docs/link.md, Settings).

The proof is a MAC under what both static keys of the pair share: whoever is paired can make
one, for no other terminal, and nobody has a further key to keep. No I/O.
"""

from firmware import cbor
from firmware.crypto import CryptoError, hkdf
from firmware.crypto.hashes import hmac_sha256, same
from firmware.link.services import NotOfTable, check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from firmware.crypto.x25519 import StaticKey
    from firmware.link.services import Schema

_LABEL = b"OpenTill config 1\x00"
#: Bytes of a whole set; characters of a setting's name and of a text.
MOST, MOST_NAME, MOST_TEXT = 3072, 24, 64
_BODY: "Schema" = {
    1: ("version", "int", 1, (1 << 31) - 1, True),
    2: ("values", "map", 1, 64, True),
    3: ("who", "text", 1, 32, True),
    4: ("author", "bytes", 32, 32, True),
}


class ConfigSet:
    """``version``: the one that it makes; ``values``: None, bool, int or text by name;
    ``who``: told in the journal; ``author``: static key of the PC that made it."""

    def __init__(self, body: bytes, mac: bytes) -> None:
        """NotOfTable."""
        try:
            value: "Any" = cbor.decode(body, 4, MOST, 512)
        except cbor.CborError as error:
            raise NotOfTable("the set: " + str(error)) from None
        check(_BODY, value)
        self.version: int = value[1]
        self.values: "dict[str, Any]" = value[2]
        self.who: str = value[3]
        self.author: bytes = value[4]
        self._body = body
        self._mac = mac
        for name in self.values:
            if not isinstance(name, str) or not 1 <= len(name) <= MOST_NAME:
                raise NotOfTable("a setting's name")
            setting = self.values[name]
            if isinstance(setting, str) and len(setting) > MOST_TEXT:
                raise NotOfTable(name + " is too long")
            if setting is not None and not isinstance(setting, (bool, int, str)):
                raise NotOfTable(name + " is no plain value")

    def proved(self, static: "StaticKey") -> bool:
        """Whether its author made it so, for the terminal whose key ``static`` is."""
        try:
            key = _key(static.dh(self.author), self.author, static.public)
        except CryptoError:  # a point of low order
            return False
        return same(hmac_sha256(key, self._body), self._mac)


def made(
    version: int, values: "dict[str, Any]", who: str, static: "StaticKey", terminal: bytes
) -> bytes:
    """The set as ``config_push`` takes it. ``static``: the PC's key; ``terminal``: the
    terminal's public one. CborError, CryptoError."""
    body = cbor.encode({1: version, 2: values, 3: who, 4: static.public})
    key = _key(static.dh(terminal), static.public, terminal)
    return cbor.encode([body, hmac_sha256(key, body)])


def read(data: bytes) -> ConfigSet:
    """Inverse of ``made``, its proof not yet looked at. NotOfTable."""
    try:
        value: "Any" = cbor.decode(data, 2, MOST, 3)
    except cbor.CborError as error:
        raise NotOfTable("the set: " + str(error)) from None
    good = isinstance(value, list) and len(value) == 2
    if not good or not isinstance(value[0], bytes) or not isinstance(value[1], bytes):
        raise NotOfTable("the set is not [body, MAC]")
    return ConfigSet(value[0], value[1])


def _key(shared: bytes, author: bytes, terminal: bytes) -> bytes:
    return hkdf.expand(hkdf.extract(_LABEL, shared), author + terminal, 32)
