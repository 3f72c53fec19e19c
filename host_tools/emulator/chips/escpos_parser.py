"""Splits an ESC/POS byte stream into commands, however it arrives in pieces."""

#: Arguments of fixed length after the two command bytes.
_FIXED: dict[bytes, int] = {
    b"\x1b@": 0, b"\x1b!": 1, b"\x1b-": 1, b"\x1bE": 1, b"\x1bG": 1, b"\x1ba": 1, b"\x1bd": 1,
    b"\x1bJ": 1, b"\x1bM": 1, b"\x1bt": 1, b"\x1bR": 1, b"\x1b3": 1, b"\x1b2": 0, b"\x1b$": 2,
    b"\x1b\\": 2, b"\x1b{": 1, b"\x1bV": 1, b"\x1bp": 3, b"\x1bc": 2, b"\x1b=": 1, b"\x1b ": 1,
    b"\x1bL": 0, b"\x1bS": 0, b"\x1bT": 1, b"\x1bW": 8, b"\x1be": 1, b"\x1bK": 1, b"\x1br": 1,
    b"\x1bi": 0, b"\x1bm": 0, b"\x1b%": 1, b"\x1b?": 1, b"\x1bu": 1, b"\x1bv": 0, b"\x1bU": 1,
    b"\x1d!": 1, b"\x1dB": 1, b"\x1dH": 1, b"\x1dh": 1, b"\x1dw": 1, b"\x1df": 1, b"\x1dL": 2,
    b"\x1dW": 2, b"\x1dr": 1, b"\x1da": 1, b"\x1dI": 1, b"\x1db": 1, b"\x1dP": 2, b"\x1d$": 2,
    b"\x1d\\": 2, b"\x1d/": 1, b"\x1d:": 0, b"\x1d^": 3, b"\x1dT": 1, b"\x1dc": 0, b"\x1dE": 1,
    b"\x1c&": 0, b"\x1c.": 0, b"\x1cC": 1, b"\x1cS": 2, b"\x1c!": 1, b"\x1c-": 1, b"\x1cW": 1,
    b"\x1cp": 2,
    b"\x10\x05": 1,
}  # fmt: skip

#: Longest argument that is believed; a longer one is a stream out of step.
MAX_ARGUMENT = 1 << 17


def next_command(data: bytes | bytearray) -> tuple[bytes, bytes, int] | None:
    """(command, arguments, length) of the first command in ``data``.

    A single byte that is no command introducer is the command itself (text,
    LF and so on). None when the rest has not arrived. An unknown sequence is
    returned as its two bytes with no argument.
    """
    if not data:
        return None
    first = data[0]
    if first not in (0x10, 0x1B, 0x1C, 0x1D):
        return bytes(data[:1]), b"", 1
    if len(data) < 2:
        return None
    head = bytes(data[:2])
    size = _size(head, data)
    if size is None:
        return None
    if size > MAX_ARGUMENT:
        return head, b"", 2
    if len(data) < 2 + size:
        return None
    return head, bytes(data[2 : 2 + size]), 2 + size


def _number(data: bytes | bytearray, at: int, count: int = 2) -> int | None:
    if len(data) < at + count:
        return None
    return int.from_bytes(data[at : at + count], "little")


def _size(head: bytes, data: bytes | bytearray) -> int | None:
    """Length of the arguments; None when that is not yet known."""
    if head in _FIXED:
        return _FIXED[head]
    if head == b"\x1b*":
        count = _number(data, 3)
        return None if count is None else 3 + count * (3 if data[2] in (32, 33) else 1)
    if head == b"\x1bD":
        end = data.find(0, 2)
        if end < 0:
            return None if len(data) < 40 else 0
        return end - 1
    if head in (b"\x1d(", b"\x1c("):
        count = _number(data, 3)
        return None if count is None else 3 + count
    if head == b"\x1d8":
        count = _number(data, 3, 4)
        return None if count is None else 5 + count
    if head == b"\x1dv":
        if len(data) < 8:
            return None
        return 6 + (_number(data, 4) or 0) * (_number(data, 6) or 0)
    if head == b"\x1d*":
        return None if len(data) < 4 else 2 + data[2] * data[3] * 8
    if head == b"\x1dV":
        if len(data) < 3:
            return None
        return 2 if data[2] in (65, 66, 97, 98, 103, 104) else 1
    if head == b"\x1dk":
        return _barcode_size(data)
    if head == b"\x10\x04":
        if len(data) < 3:
            return None
        return 2 if data[2] in (7, 8, 18) else 1
    if head == b"\x10\x14":
        if len(data) < 3:
            return None
        return {1: 3, 2: 3, 3: 6, 7: 2, 8: 8}.get(data[2], 1)
    return 0


def _barcode_size(data: bytes | bytearray) -> int | None:
    if len(data) < 3:
        return None
    if data[2] <= 6:  # function A ends at NUL
        end = data.find(0, 3)
        if end < 0:
            return None if len(data) < 260 else 1
        return end - 1
    if len(data) < 4:
        return None
    return 2 + data[3]
