"""From what a swipe reader sends to checked tracks (ISO/IEC 7811-2, 7813, 4909).

Track 1 is sent as ``%...?``, track 2 as ``;...?``, track 3 as ``+...?`` (some
readers: ``;`` again, or ``!``); with ``lrc`` each is followed by the character of its
longitudinal redundancy check. A track that could not be read is sent empty
or as ``E`` between its sentinels.
"""

from firmware.crypto import wipe
from firmware.hal.stripe import LONGEST, BadSwipe, Swipe

#: Longest line of a swipe: three tracks, a line end after each.
MOST = LONGEST[1] + LONGEST[2] + LONGEST[3] + 6

_DIGIT0, _DIGIT9, _EQUALS, _CARET, _END = 0x30, 0x39, 0x3D, 0x5E, 0x3F
_LINE_ENDS = (0x0D, 0x0A)


def parse(line: bytearray, lrc: bool, source: int = 0) -> Swipe:
    """The tracks in ``line``, which is wiped. BadSwipe names the track and the cause."""
    tracks: "list[bytearray | None]" = [None, None, None]
    try:
        _split(line, lrc, tracks)
        for number in (1, 2, 3):
            track = tracks[number - 1]
            if track is not None:
                _characters(number, track)
        _agree(tracks)
    except BadSwipe:
        for track in tracks:
            if track is not None:
                wipe(track)
        raise
    finally:
        wipe(line)
    return Swipe(tracks[0], tracks[1], tracks[2], source)


def _number(sentinel: int, last: int) -> int:
    """Track of a start sentinel; the second ``;`` is track 3."""
    if sentinel == 0x25:  # %
        return 1
    if sentinel == 0x3B:  # ;
        return 3 if last == 2 else 2
    return 3 if sentinel in (0x2B, 0x21) else 0  # + !


def _split(line: bytearray, lrc: bool, tracks: "list[bytearray | None]") -> None:
    at = last = 0
    while at < len(line):
        if line[at] in _LINE_ENDS:
            at += 1
            continue
        number = _number(line[at], last)
        end = line.find(b"?", at)
        if number <= last or end < 0:
            raise BadSwipe("sentinel", number)
        last = number
        if end - at + 2 > LONGEST[number]:
            raise BadSwipe("long", number)
        content = line[at + 1 : end]
        lost = len(content) == 0 or (len(content) == 1 and content[0] == 0x45)  # E
        at = end + 1
        if not lost:
            tracks[number - 1] = content
            if lrc:
                if at >= len(line) or line[at] != _lrc(number, content):
                    raise BadSwipe("lrc", number)
                at += 1
        elif lrc and at < len(line) and _number(line[at], last) == 0:
            at += 1


def _lrc(number: int, content: bytearray) -> int:
    """The character whose data bits make each column of the track even, sentinels
    included (ISO/IEC 7811-2, 11.3).

    Six data bits above 20h on track 1 (start ``%``), four above 30h on the
    others, whose start is ``;`` on the card, whatever the reader sends for it.
    """
    base, mask, total = (0x20, 0x3F, 0x25) if number == 1 else (0x30, 0x0F, 0x3B)
    total = (total - base) ^ (_END - base)
    for byte in content:
        total ^= (byte - base) & mask
    return base + total


def _characters(number: int, track: bytearray) -> None:
    for byte in track:
        good = 0x20 <= byte <= 0x5F if number == 1 else 0x30 <= byte <= 0x3F
        if not good or byte == _END:
            raise BadSwipe("characters", number)


def _digits(track: bytearray, begin: int, end: int) -> bool:
    if end > len(track) or begin >= end:
        return False
    return all(_DIGIT0 <= track[i] <= _DIGIT9 for i in range(begin, end))


def _luhn(track: bytearray, begin: int, end: int) -> bool:
    total = 0
    for i in range(end - begin):
        digit = track[end - 1 - i] - _DIGIT0
        if i % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def _account(number: int, track: bytearray) -> "tuple[int, int]":
    """Begin and end of the account number of track 1 or 2, whose layout is checked."""
    begin, separator = 0, _EQUALS
    after = end = track.find(b"=")
    if number == 1:
        if track[:1] != b"B":
            raise BadSwipe("layout", number)
        begin, separator = 1, _CARET
        end = track.find(b"^")
        after = track.find(b"^", end + 1)
        if after - end - 1 > 26:  # the name has 2 to 26 characters
            raise BadSwipe("layout", number)
    if end < 0 or after < end or not 8 <= end - begin <= 19 or not _digits(track, begin, end):
        raise BadSwipe("layout", number)
    if not _luhn(track, begin, end):
        raise BadSwipe("luhn", number)
    at = after + 1
    if track[at : at + 1] == bytes((separator,)):  # no expiry
        at += 1
    elif _digits(track, at, at + 4) and b"01" <= bytes(track[at + 2 : at + 4]) <= b"12":
        at += 4
    else:
        raise BadSwipe("layout", number)
    if track[at : at + 1] != bytes((separator,)) and not _digits(track, at, at + 3):
        raise BadSwipe("layout", number)
    return begin, end


def _differ(a: bytearray, at: "tuple[int, int]", b: bytearray, bt: "tuple[int, int]") -> bool:
    """Whether two account numbers differ; compared in place, so that no copy is left."""
    if at[1] - at[0] != bt[1] - bt[0]:
        return True
    return any(a[at[0] + i] != b[bt[0] + i] for i in range(at[1] - at[0]))


def _agree(tracks: "list[bytearray | None]") -> None:
    """At least one of tracks 1 and 2 is there, and all that name an account name the same."""
    named: "list[tuple[bytearray, tuple[int, int]]]" = []
    for number in (1, 2):
        track = tracks[number - 1]
        if track is not None:
            named.append((track, _account(number, track)))
    if not named:
        raise BadSwipe("unread")
    three = tracks[2]
    if three is not None:
        end = three.find(b"=")
        if end < 0:
            raise BadSwipe("layout", 3)
        if three[0] == _DIGIT9 and three[1] == _DIGIT9:  # ISO/IEC 4909: format code 99, account
            named.append((three, (2, end)))
    for track, span in named[1:]:
        if _differ(named[0][0], named[0][1], track, span):
            raise BadSwipe("tracks")
