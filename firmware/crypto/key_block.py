"""TR-31 / ANSI X9.143 key blocks: version D (AES) both ways, version B (TDES) read.

Everything is bounded and strict; errors name the part that is wrong. The block
is ASCII: header (16), optional blocks, enciphered key (hex), MAC (hex).
"""

from firmware.crypto import CryptoError, backend, wipe
from firmware.crypto.hashes import same
from firmware.crypto.mac import cmac
from firmware.crypto.modes import cbc_decrypt, cbc_encrypt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.crypto.backend import Cipher

#: The length field has four decimal digits.
MOST = 9999
_HEADER = 16
_DIGITS = "0123456789"
_HEX = "0123456789ABCDEF"
_NAME = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class KeyBlockError(CryptoError):
    """A key block is malformed, or does not verify under the protection key."""


class Header:
    """The clear part of a key block (X9.143, 5).

    ``usage`` two characters ("K0"), ``algorithm`` ("A", "T"), ``mode`` ("B"),
    ``key_version`` two, ``exportability`` ("N", "E", "S"), ``blocks`` the
    optional blocks in order as (id, data), padding block PB included on reading.
    """

    def __init__(
        self,
        usage: str,
        algorithm: str,
        mode: str,
        key_version: str = "00",
        exportability: str = "N",
        blocks: "list[tuple[str, str]] | None" = None,
        version: str = "D",
    ) -> None:
        self.version = version
        self.usage = usage
        self.algorithm = algorithm
        self.mode = mode
        self.key_version = key_version
        self.exportability = exportability
        self.blocks = blocks or []


def _number(text: str, digits: str, what: str) -> int:
    value = 0
    for c in text:
        i = digits.find(c)
        if i < 0:
            raise KeyBlockError(what + " has a bad digit")
        value = value * len(digits) + i
    return value


def _named(text: str, size: int, what: str) -> str:
    if len(text) != size:
        raise KeyBlockError(what + " has not " + str(size) + " characters")
    for c in text:
        if c not in _NAME:
            raise KeyBlockError(what + " has a character that is no capital letter or digit")
    return text


def _hex_bytes(text: str, what: str) -> bytes:
    for c in text:
        if c not in _HEX:
            raise KeyBlockError(what + " is not hexadecimal")
    return bytes.fromhex(text)


def parse_header(block: str) -> "tuple[Header, int]":
    """Header and where the enciphered key starts. Nothing is verified yet.

    KeyBlockError names what is malformed.
    """
    for c in block:
        if not " " <= c <= "~":
            raise KeyBlockError("key block has a character that is not printable ASCII")
    if not _HEADER <= len(block) <= MOST:
        raise KeyBlockError("key block has " + str(len(block)) + " characters")
    version = block[0]
    if version not in "BD":
        raise KeyBlockError("key block version is neither B nor D")
    if _number(block[1:5], _DIGITS, "key block length") != len(block):
        raise KeyBlockError("key block length is not that of the block")
    if len(block) % (16 if version == "D" else 8):
        raise KeyBlockError("key block length is not whole cipher blocks")
    if block[14:16] != "00":
        raise KeyBlockError("key block reserved field is not 00")
    header = Header(
        _named(block[5:7], 2, "key usage"),
        _named(block[7], 1, "key algorithm"),
        _named(block[8], 1, "mode of use"),
        _key_version(block[9:11]),
        _named(block[11], 1, "exportability"),
        None,
        version,
    )
    return header, _read_options(block, header)


def _read_options(block: str, header: Header) -> int:
    """Fill ``header.blocks``; where the last optional block ends."""
    count = _number(block[12:14], _DIGITS, "number of optional blocks")
    at = _HEADER
    for i in range(count):
        name, data, at = _optional(block, at)
        if name == "PB" and i != count - 1:
            raise KeyBlockError("padding block PB is not the last optional block")
        for other, _ in header.blocks:
            if other == name:
                raise KeyBlockError("optional block " + name + " stands twice")
        header.blocks.append((name, data))
    return at


def _key_version(text: str) -> str:
    """Two characters; "c" may lead a component number (X9.143, 5.5)."""
    _named(("C" + text[1:]) if text[:1] == "c" else text, 2, "key version")
    return text


def _optional(block: str, at: int) -> "tuple[str, str, int]":
    """One optional block: id, length, data. The length counts the characters of
    the whole optional block; "00" says that a longer length follows: two hex
    digits telling its number of characters, then so many."""
    name = block[at : at + 2]
    _named(name, 2, "optional block id")
    field = block[at + 2 : at + 4]
    if len(field) != 2:
        raise KeyBlockError("optional block " + name + " is cut off")
    length = _number(field, _HEX, "length of optional block " + name)
    used = 4
    if length == 0:
        field = block[at + 4 : at + 6]
        size = _number(field, _HEX, "length of optional block " + name)
        if len(field) != 2 or not 1 <= size <= 4:
            raise KeyBlockError("length of optional block " + name + " is malformed")
        field = block[at + 6 : at + 6 + size]
        if len(field) != size:
            raise KeyBlockError("optional block " + name + " is cut off")
        length = _number(field, _HEX, "length of optional block " + name)
        used = 6 + size
    if length < used:
        raise KeyBlockError("length of optional block " + name + " is less than its head")
    if at + length > len(block):
        raise KeyBlockError("optional block " + name + " is cut off")
    return name, block[at + used : at + length], at + length


def _derive(cipher: "Cipher", size: int, algorithm: int, purpose: int) -> bytearray:
    """Key derivation by CMAC (X9.143, 7.3.2): counter, usage, 0, algorithm, bits."""
    out = b""
    counter = 1
    while len(out) < size:
        out += cmac(
            cipher,
            bytes([counter, 0, purpose, 0, 0, algorithm, (8 * size) >> 8, (8 * size) & 0xFF]),
        )
        counter += 1
    return bytearray(out[:size])


def _keys(version: str, protection: "bytes | bytearray") -> "tuple[Cipher, Cipher]":
    """Ciphers for encryption (KBEK) and authentication (KBAK)."""
    size = len(protection)
    make: "Callable[[bytes | bytearray], Cipher]"
    if version == "D":
        if size not in (16, 24, 32):
            raise KeyBlockError("a version D protection key has 16, 24 or 32 bytes")
        make = backend.aes
        algorithm = 2 + (size - 16) // 8
    else:
        if size not in (16, 24):
            raise KeyBlockError("a version B protection key has 16 or 24 bytes")
        make = backend.des
        algorithm = (size - 16) // 8
    cipher = make(protection)
    encryption = _derive(cipher, size, algorithm, 0)
    authentication = _derive(cipher, size, algorithm, 1)
    try:
        return make(encryption), make(authentication)
    finally:
        wipe(encryption)
        wipe(authentication)


def unwrap(protection: "bytes | bytearray", block: str) -> "tuple[Header, bytearray]":
    """Header and key (the caller's to wipe) of a version D or B block.

    KeyBlockError names what is malformed, or says that it does not verify.
    """
    header, at = parse_header(block)
    size = 16 if header.version == "D" else 8
    encryption, authentication = _keys(header.version, protection)
    end = len(block) - 2 * size
    if end <= at:
        raise KeyBlockError("key block has no enciphered key before its MAC")
    enciphered = _hex_bytes(block[at:end], "enciphered key")
    mac = _hex_bytes(block[end:], "key block MAC")
    if len(enciphered) % size:
        raise KeyBlockError("enciphered key is not whole cipher blocks")
    clear = bytearray(cbc_decrypt(encryption, mac, enciphered))
    try:
        if not same(cmac(authentication, block[:at].encode() + bytes(clear)), mac):
            raise KeyBlockError("key block does not verify under this protection key")
        bits = clear[0] << 8 | clear[1]
        if bits % 8 or not 8 <= bits <= 8 * (len(clear) - 2):
            raise KeyBlockError("length of the key in the key block is malformed")
        return header, clear[2 : 2 + bits // 8]
    finally:
        wipe(clear)


def wrap(
    protection: "bytes | bytearray",
    header: Header,
    key: "bytes | bytearray",
    random: "Callable[[int], bytes]",
    masked_length: int = 0,
) -> str:
    """A version D block. ``random(n)`` yields ``n`` bytes of padding, which hide
    the key's length up to ``masked_length`` bytes. KeyBlockError for a field
    that a header cannot hold."""
    if header.version != "D":
        raise KeyBlockError("only version D is written")
    if not 1 <= len(key) <= 2048:
        raise KeyBlockError("a key of " + str(len(key)) + " bytes is not wrapped")
    encryption, authentication = _keys("D", protection)
    options = "".join([_write_optional(name, data) for name, data in header.blocks])
    count = len(header.blocks)
    if len(options) % 16:  # the padding block fills the header to whole cipher blocks
        missing = -(len(options) + 4) % 16
        options += f"PB{4 + missing:02X}" + "0" * missing
        count += 1
    if count > 99:
        raise KeyBlockError("more than 99 optional blocks")
    padding = -(2 + max(len(key), masked_length)) % 16 + max(0, masked_length - len(key))
    total = _HEADER + len(options) + 2 * (2 + len(key) + padding) + 32
    if total > MOST:
        raise KeyBlockError("key block would have " + str(total) + " characters")
    head = (
        f"D{total:04d}"
        + _named(header.usage, 2, "key usage")
        + _named(header.algorithm, 1, "key algorithm")
        + _named(header.mode, 1, "mode of use")
        + _key_version(header.key_version)
        + _named(header.exportability, 1, "exportability")
        + f"{count:02d}00"
        + options
    )
    clear = bytearray((8 * len(key)).to_bytes(2, "big")) + key + random(padding)
    try:
        mac = cmac(authentication, head.encode() + bytes(clear))
        enciphered = cbc_encrypt(encryption, mac, clear)
    finally:
        wipe(clear)
    return head + (enciphered + mac).hex().upper()


def _write_optional(name: str, data: str) -> str:
    _named(name, 2, "optional block id")
    if name == "PB":
        raise KeyBlockError("the padding block PB is made here")
    for c in data:
        if not " " <= c <= "~":
            raise KeyBlockError("optional block " + name + " is not printable ASCII")
    length = 4 + len(data)
    if length <= 0xFF:
        return name + f"{length:02X}" + data
    if length + 6 > MOST:
        raise KeyBlockError("optional block " + name + " is too long")
    return name + f"0004{length + 6:04X}" + data
