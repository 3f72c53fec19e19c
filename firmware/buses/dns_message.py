"""Questions to a name server and its answers, without any I/O (RFC 1035, 4; AAAA: RFC 3596).

An answer is taken only whole and only for the question that was put: its number, its
question and the owner of each address must fit. Names in it are followed backwards
only, so that no pointer can loop, and everything is counted.
"""

from firmware.errors import TillError

#: Types of records: an IPv4 address, another name, an IPv6 address.
A, CNAME, AAAA = 1, 5, 28
_IN = 1
#: RFC 1035, 4.1.1: flags of an answer; what it must be (a response to a standard
#: query, whole), and the bit of one that was cut.
_QR, _OPCODE, _TC, _RD, _RCODE = 0x8000, 0x7800, 0x0200, 0x0100, 0x000F
_NAME_ERROR = 3
_HEADER = 12
#: RFC 1035, 2.3.4, without the length of the last, empty label.
NAME_MOST, LABEL_MOST = 253, 63
#: What goes over UDP without more being agreed on (RFC 1035, 4.2.1).
ANSWER_MOST = 512
#: Records looked at, other names followed, addresses kept.
RECORDS_MOST, NAMES_MOST, ADDRESSES_MOST = 64, 8, 8


class DnsError(TillError):
    """The name server's answer is not one that names an address."""

    text_key = "error.network_host"


class BadAnswer(DnsError):
    """Not a whole answer to our question: it counts as none."""


class ServerFailed(DnsError):
    """The server answered that it cannot, or will not, say."""


class NoSuchName(DnsError):
    """The server says that there is no such name."""


class Found:
    """``addresses``: as text, none if the name has none of this kind. ``ttl_s``: how
    long they hold."""

    def __init__(self, addresses: "list[str]", ttl_s: int) -> None:
        self.addresses = addresses
        self.ttl_s = ttl_s


def labels(name: str) -> "list[bytes]":
    """The labels of a host name, in small letters. ValueError for what is none."""
    if name.endswith("."):
        name = name[:-1]
    if not 1 <= len(name) <= NAME_MOST:
        raise ValueError("a host name has 1 to 253 signs")
    found = []
    for label in name.lower().split("."):
        good = all(sign in "abcdefghijklmnopqrstuvwxyz0123456789-_" for sign in label)
        if not good or not 1 <= len(label) <= LABEL_MOST:
            raise ValueError("no host name: " + name)
        found.append(label.encode())
    return found


def query(ident: int, name: str, kind: int) -> bytes:
    """The question for the addresses of ``kind`` (A or AAAA). ValueError as ``labels``."""
    data = ident.to_bytes(2, "big") + _RD.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0"
    for label in labels(name):
        data += bytes((len(label),)) + label
    return data + b"\0" + kind.to_bytes(2, "big") + _IN.to_bytes(2, "big")


def _u16(data: bytes, at: int) -> int:
    if at + 2 > len(data):
        raise BadAnswer("it is cut short")
    return int.from_bytes(data[at : at + 2], "big")


def _name(data: bytes, at: int) -> "tuple[list[bytes], int]":
    """The name at ``at``, and where it ends (RFC 1035, 4.1.4)."""
    found: "list[bytes]" = []
    end = -1
    length = 0
    least = at  # a pointer leads to before where we are, and the next to before that
    while True:
        if at >= len(data):
            raise BadAnswer("a name is cut short")
        size = data[at]
        if size & 0xC0 == 0xC0:
            target = _u16(data, at) & 0x3FFF
            if end < 0:
                end = at + 2
            if not _HEADER <= target < least:
                raise BadAnswer("a name's pointer leads nowhere")
            at = least = target
            continue
        if size & 0xC0:
            raise BadAnswer("a label of an unknown kind")
        at += 1
        if not size:
            return found, at if end < 0 else end
        length += size + 1
        if length > NAME_MOST + 1 or at + size > len(data):
            raise BadAnswer("a name is too long or cut short")
        found.append(data[at : at + size].lower())
        at += size


def _address(data: bytes) -> str:
    if len(data) == 4:
        return ".".join([str(byte) for byte in data])
    groups = [data[at] << 8 | data[at + 1] for at in range(0, 16, 2)]
    return ":".join([hex(group)[2:] for group in groups])


def parse(data: bytes, ident: int, name: str, kind: int) -> Found:
    """What an answer to ``query(ident, name, kind)`` says. BadAnswer, ServerFailed,
    NoSuchName."""
    if not _HEADER <= len(data) <= ANSWER_MOST:
        raise BadAnswer("an answer of " + str(len(data)) + " bytes")
    flags = _u16(data, 2)
    if _u16(data, 0) != ident or not flags & _QR or flags & _OPCODE or _u16(data, 4) != 1:
        raise BadAnswer("it is no answer to us")
    asked, at = _name(data, _HEADER)
    if asked != labels(name) or _u16(data, at) != kind or _u16(data, at + 2) != _IN:
        raise BadAnswer("it answers another question")
    if flags & _TC:
        raise BadAnswer("it is truncated")
    if flags & _RCODE == _NAME_ERROR:
        raise NoSuchName(name)
    if flags & _RCODE:
        raise ServerFailed("code " + str(flags & _RCODE))
    count = _u16(data, 6)
    if count > RECORDS_MOST:
        raise BadAnswer("it has " + str(count) + " records")
    return _follow(_records(data, at + 4, count, kind), asked)


def _records(
    data: bytes, at: int, count: int, kind: int
) -> "list[tuple[list[bytes], int, object]]":
    """(owner, ttl in s, address as text or other name) of the records that matter."""
    found: "list[tuple[list[bytes], int, object]]" = []
    for _ in range(count):
        owner, at = _name(data, at)
        sort, group, size = _u16(data, at), _u16(data, at + 2), _u16(data, at + 8)
        ttl_s = int.from_bytes(data[at + 4 : at + 8], "big")
        at += 10
        if at + size > len(data):
            raise BadAnswer("a record is cut short")
        # RFC 2181, 8: what looks negative is none.
        ttl_s = 0 if ttl_s >> 31 else ttl_s
        if group == _IN and sort == CNAME:
            other, end = _name(data, at)
            if end != at + size:
                raise BadAnswer("a name does not fill its record")
            found.append((owner, ttl_s, other))
        elif group == _IN and sort == kind:
            if size != (4 if kind == A else 16):
                raise BadAnswer("an address of " + str(size) + " bytes")
            found.append((owner, ttl_s, _address(data[at : at + size])))
        at += size
    return found


def _follow(records: "list[tuple[list[bytes], int, object]]", name: "list[bytes]") -> Found:
    """The addresses of ``name``, or of what it is another name of: nobody else's."""
    least_s = 0x7FFFFFFF
    for _ in range(NAMES_MOST):
        addresses: "list[str]" = []
        other: "list[bytes] | None" = None
        for owner, ttl_s, value in records:
            if owner != name:
                continue
            if isinstance(value, str):
                least_s = min(least_s, ttl_s)
                if value not in addresses:
                    addresses.append(value)
            elif other is None and isinstance(value, list):
                other = value
                least_s = min(least_s, ttl_s)
        if addresses or other is None:
            return Found(addresses[:ADDRESSES_MOST], least_s if addresses else 0)
        name = other
    raise BadAnswer("its names go round")
