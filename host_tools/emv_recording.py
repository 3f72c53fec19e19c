"""A recorded card session: what it holds, and which answer a command gets."""

from functools import cached_property
from typing import Any

from firmware.payment.emv import dol, tlv
from firmware.payment.emv.dictionary import FORMATS, LENGTHS, NOT_FROM_CARD
from firmware.payment.emv.selection import PSE
from host_tools.emv_input import (
    InputError,
    hex_bytes,
    list_of,
    sized_bytes,
    table_of,
    unused,
)

SELECT, READ_RECORD, GET_DATA, GPO, GENERATE_AC = 0xA4, 0xB2, 0xCA, 0xA8, 0xAE
GET_RESPONSE, GET_CHALLENGE, VERIFY, EXTERNAL, INTERNAL = 0xC0, 0x84, 0x20, 0x82, 0x88
#: What the kernel works out itself, and the issuer's answer.
_COMPUTED = (0x95, 0x98, 0x9B, 0x9F34, 0x8A, 0x91)
#: What a card answers that does not have what it is asked for.
_ABSENT = {SELECT: 0x6A82, READ_RECORD: 0x6A83, GET_DATA: 0x6A88}
MAX_STEPS = 2000
#: What a step may hold; ``t`` and ``us`` are those of a trace.
_STEP_KEYS = ("c", "r", "sw", "t", "us")
#: Templates of card answers.
_TEMPLATES = (0x6F, 0x70, 0x77, 0x80)


def body(command: bytes) -> bytes:
    """Header and data of a command APDU, without Lc and Le, for comparison."""
    if len(command) <= 5:
        return command[:4]
    return command[:4] + command[5 : 5 + command[4]]


class Exchange:
    """One recorded command and its answer; ``place``: of the step where it began.
    ``torn``: the card was taken out instead of an answer."""

    def __init__(self, command: bytes, data: bytes, sw: int, place: int) -> None:
        self.place = place
        self.command = command
        self.data = data
        self.sw = sw
        self.torn = False
        self.used = False

    @property
    def ins(self) -> int:
        return self.command[1]

    @property
    def answer(self) -> tuple[bytes, int] | None:
        """(data, sw), None for a card taken out."""
        return None if self.torn else (self.data, self.sw)

    @property
    def name(self) -> bytes:
        """The name that a SELECT asks for, b"" for any other command."""
        if self.ins != SELECT or self.command[2] != 4:
            return b""
        return body(self.command)[4:]

    @cached_property
    def df_name(self) -> bytes:
        """Tag 84 of the FCI answered, b"" when there is none."""
        return df_name(self.data)


def read_steps(value: Any, warnings: list[str]) -> list[Exchange]:
    """The exchanges, T=0 procedures (61xx, 6Cxx) joined to what they served."""
    steps = list_of(value, "steps")
    if not steps:
        raise InputError("steps: is empty; a recording has one command or more")
    if len(steps) > MAX_STEPS:
        raise InputError(f"steps: more than {MAX_STEPS}")
    found: list[Exchange] = []
    reissue = False
    more = False
    warning = 0
    for place, entry in enumerate(steps):
        where = f"steps[{place}]"
        fields = table_of(entry, where)
        unused(fields, _STEP_KEYS, warnings, where)
        command = hex_bytes(fields.get("c"), where + ".c")
        if len(command) < 4:
            raise InputError(f"{where}.c: a command has at least 4 bytes", 0)
        answer = _answer(fields, where)
        data, sw = answer[:-2], int.from_bytes(answer[-2:], "big")
        if more and command[1] == GET_RESPONSE:
            if sw >> 8 == 0x6C and not data:
                continue  # the same GET RESPONSE follows with the right Le
            found[-1].data += data
            found[-1].sw = warning if warning and sw == 0x9000 else sw
            found[-1].torn = not answer
            more = sw >> 8 == 0x61
            continue
        if reissue and command[:4] == found[-1].command[:4]:
            found[-1].data, found[-1].sw = data, sw
        else:
            found.append(Exchange(command, data, sw, place))
        found[-1].torn = not answer
        # The status before GET RESPONSE is a warning (62xx, 63xx) or 61xx.
        warning = sw if sw >> 8 in (0x62, 0x63) and not data else 0
        more = sw >> 8 == 0x61 or warning != 0
        reissue = sw >> 8 == 0x6C and not data
    return found


def _answer(fields: dict[str, Any], where: str) -> bytes:
    """Data and status word, b"" for a card taken out. Where ``sw`` stands apart and
    ``r`` does not end in it already, it is appended."""
    status = fields.get("sw")
    given = fields.get("r")
    if status is None:
        answer = hex_bytes(given, where + ".r")
        if len(answer) == 1:
            raise InputError(f"{where}.r: an answer ends in a status word", 0)
        return answer
    word = sized_bytes(status, where + ".sw", 2)
    answer = hex_bytes("" if given is None else given, where + ".r")
    if answer[-2:] == word and not _whole(answer):
        return answer
    if _whole(answer[:-2]) and not _whole(answer):
        ends = answer[-2:].hex().upper()
        raise InputError(f"{where}.sw: is {word.hex().upper()}, but r ends in {ends}")
    return answer + word


def _whole(data: bytes) -> bool:
    """Whether this is one template and nothing behind it."""
    if len(data) < 3 or data[0] not in _TEMPLATES:
        return False
    try:
        return len(tlv.parse(data)) == 1
    except tlv.TlvError:
        return False


class Recording:
    """Answers commands from the exchanges, in order, tolerantly.

    The next exchange answers when its command is the one sent, or at least
    the same instruction. Otherwise a later exchange with just this command
    is taken, then an earlier one not used yet (a SELECT also again, but the
    next occurrence of a name once only). A SELECT of another name is answered
    as ``_select`` says; any other command that the recording never saw gets
    what a card says that lacks the object, or, where there is no such word,
    the next recorded answer. All but the first case are reported in
    ``mismatches``.
    """

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.exchanges = exchanges
        self.at = 0
        self.mismatches: list[dict[str, Any]] = []
        #: DF names answered to the SELECT sent last and its next occurrences.
        self._occurrences: list[bytes] = []

    def place(self) -> int:
        """The step that comes next, in the recording as it was given."""
        if self.at < len(self.exchanges):
            return self.exchanges[self.at].place
        return self.exchanges[-1].place + 1 if self.exchanges else 0

    def _report(self, sent: bytes, recorded: bytes | None, note: str) -> None:
        self.mismatches.append(
            {
                "step": self.place(),
                "sent": sent.hex().upper(),
                "recorded": recorded.hex().upper() if recorded is not None else None,
                "note": note,
            }
        )

    def _take(self, place: int) -> Exchange:
        self.at = place + 1
        self.exchanges[place].used = True
        return self.exchanges[place]

    def answer(self, command: bytes) -> tuple[bytes, int] | None:
        """(data, sw), or None when the card was taken out or the recording has ended."""
        if command[1] != SELECT:
            taken = self._exact(command) or self._similar(command)
        else:
            following = _next_occurrence(command)
            if not following:
                self._occurrences = []
            taken = self._exact(command) or self._select(command, following)
            if taken is not None:
                self._occurrences.append(taken.df_name)
        if taken is not None:
            return taken.answer
        if command[1] in _ABSENT:
            return b"", _ABSENT[command[1]]
        return None

    def _exact(self, command: bytes) -> Exchange | None:
        """The exchange with just this command."""
        wanted = body(command)
        if self.at < len(self.exchanges) and body(self.exchanges[self.at].command) == wanted:
            return self._take(self.at)
        for place in range(self.at, len(self.exchanges)):
            if body(self.exchanges[place].command) == wanted:
                skipped = self.exchanges[self.at].command
                self._report(command, skipped, f"{place - self.at} recorded steps passed over")
                return self._take(place)
        again = command[1] == SELECT and not _next_occurrence(command)
        for earlier in self.exchanges[: self.at]:
            if (again or not earlier.used) and body(earlier.command) == wanted:
                self._report(command, None, "answered from an earlier step")
                earlier.used = True
                return earlier
        return None

    def _similar(self, command: bytes) -> Exchange | None:
        """The next exchange of this instruction, or, where a card has no word for what
        it lacks, whatever comes next. None: the card has it not, or there is no more."""
        upcoming = self.exchanges[self.at] if self.at < len(self.exchanges) else None
        same = upcoming is not None and upcoming.ins == command[1]
        if command[1] in _ABSENT and not same:
            self._report(command, upcoming.command if upcoming else None, "not in the recording")
            return None
        if upcoming is None:
            self._report(command, None, "the recording has ended")
            return None
        place = self.at
        if not same:
            for later in range(self.at, len(self.exchanges)):
                if self.exchanges[later].ins == command[1]:
                    place = later
                    break
        self._report(command, self.exchanges[place].command, "differs")
        return self._take(place)

    def _select(self, command: bytes, following: bool) -> Exchange | None:
        """The recorded SELECT that answers one of another name.

        First one whose answer names an application (tag 84) that begins with the
        name sent, as a card takes a partial name; for a next occurrence one not
        named yet. Then, for a first occurrence of an AID, one whose name begins
        with that sent or the other way round. Then the SELECT that comes next; it
        is not used up, for it was made for another. None: no such application.
        """
        name = body(command)[4:]
        gpo = next(
            (at for at in range(self.at, len(self.exchanges)) if self.exchanges[at].ins == GPO),
            len(self.exchanges),
        )
        places = [*range(self.at, gpo), *range(self.at)]
        if not following:
            places += range(gpo, len(self.exchanges))
        selects = [place for place in places if self.exchanges[place].name]
        for place in selects:
            named = self.exchanges[place].df_name
            if named.startswith(name) and named not in self._occurrences:
                return self._fits(command, place)
        if not following and name != PSE:
            for place in selects:
                asked = self.exchanges[place].name
                if len(asked) >= 5 and (asked.startswith(name) or name.startswith(asked)):
                    return self._fits(command, place)
            if selects[:1] == [self.at] and not _environment(self.exchanges[self.at].name):
                upcoming = self.exchanges[self.at]
                self._report(command, upcoming.command, "differs")
                return upcoming
        recorded = self.exchanges[self.at].command if self.at < len(self.exchanges) else None
        self._report(command, recorded, "not in the recording")
        return None

    def _fits(self, command: bytes, place: int) -> Exchange:
        """Take what fits; an earlier step stays behind."""
        found = self.exchanges[place]
        note = "differs"
        if place < self.at:
            note += ", answered from an earlier step"
        elif place > self.at:
            note += f", {place - self.at} recorded steps passed over"
        self._report(command, found.command, note)
        found.used = True
        self.at = max(self.at, place + 1)
        return found

    def verify(self) -> int | None:
        """Consume the recorded GET CHALLENGE and VERIFY; the status word, None for a
        card taken out."""
        for place in range(self.at, len(self.exchanges)):
            exchange = self.exchanges[place]
            if exchange.ins in (GET_CHALLENGE, VERIFY) and exchange.torn:
                self.at = place + 1
                return None
            if exchange.ins == GET_CHALLENGE and exchange.sw != 0x9000:
                self.at = place + 1
                return 0
            if exchange.ins == VERIFY:
                self.at = place + 1
                return exchange.sw
            if exchange.ins in (GPO, GENERATE_AC):
                break
        self._report(b"\x00\x20\x00\x80", None, "no VERIFY recorded, taken as successful")
        return 0x9000

    def applications(self) -> list[bytes]:
        """DF names selected with success, the one that GPO followed first."""
        names: list[bytes] = []
        for exchange in self.exchanges:
            if exchange.ins == GPO:
                break
            if exchange.ins != SELECT or exchange.sw != 0x9000:
                continue
            name = exchange.df_name or body(exchange.command)[4:]
            if 5 <= len(name) <= 16 and not _environment(name):
                if name in names:
                    names.remove(name)
                names.insert(0, name)
        return names[:1]

    def find(self, tag: int) -> bytes | None:
        """The first object with ``tag`` in any answer."""
        for exchange in self.exchanges:
            try:
                node = tlv.find(tlv.parse(exchange.data), tag)
            except tlv.TlvError:
                continue
            if node is not None:
                return node.value
        return None

    def implied(self) -> dict[int, bytes]:
        """Terminal data that the recorded commands carry, read by the card's lists."""
        found: dict[int, bytes] = {}
        for ins, list_tag in ((GPO, 0x9F38), (INTERNAL, 0x9F49), (GENERATE_AC, 0x8C)):
            sent = [exchange.command for exchange in self.exchanges if exchange.ins == ins]
            listed = self.find(list_tag)
            if not sent or listed is None:
                continue
            data = body(sent[0])[4:]
            try:
                if ins == GPO:
                    data = tlv.parse(data)[0].value
                entries = dol.parse(listed)
            except (tlv.TlvError, IndexError):
                continue
            if sum(size for _, size in entries) == len(data):
                _cut(entries, data, found)
        if found.get(0x9F03, b"") > found.get(0x9F02, b""):
            del found[0x9F03]  # a part cannot exceed the whole
        return found

    def scripts(self) -> list[tuple[int, bytes]]:
        """(71 or 72, content) of the issuer's scripts that the recorded commands imply:
        those with secure messaging before and right after the next GENERATE AC. A
        command that the card refused ended its script."""
        found: list[tuple[int, bytes]] = []
        template, parts = 0x71, b""
        for exchange in self.exchanges[self.at :]:
            if _is_script(exchange.command):
                parts += tlv.encode(0x86, exchange.command)
                if exchange.sw == 0x9000 or exchange.sw >> 8 in (0x62, 0x63):
                    continue
            if parts:
                found.append((template, parts))
                parts = b""
            if exchange.ins == GENERATE_AC:
                template += 1
            if template > 0x72 or (template == 0x72 and not _after_cryptogram(exchange)):
                break
        return [*found, (template, parts)] if parts else found

    def later(self, ins: int) -> Exchange | None:
        """The next exchange of this instruction."""
        for exchange in self.exchanges[self.at :]:
            if exchange.ins == ins:
                return exchange
        return None


def _cut(entries: list[tuple[int, int]], data: bytes, found: dict[int, bytes]) -> None:
    """Adds the terminal's objects of well-formed lengths and digits to ``found``."""
    at = 0
    for tag, size in entries:
        value = data[at : at + size]
        at += size
        if tag not in NOT_FROM_CARD or tag in _COMPUTED or tag in found:
            continue
        least, most = LENGTHS[tag]
        if least <= size <= most and (FORMATS[tag] != "n" or value.hex().isdigit()):
            found[tag] = value


def _is_script(command: bytes) -> bool:
    """Whether an issuer's script carried it: secure messaging, which the kernel never uses."""
    return bool(command[0] & 0x0C)


def _after_cryptogram(exchange: Exchange) -> bool:
    return exchange.ins == GENERATE_AC or _is_script(exchange.command)


def _next_occurrence(command: bytes) -> bool:
    """Whether a SELECT asks for the next application of its name (Book 1, 11.3.2)."""
    return command[3] & 3 == 2


def _environment(name: bytes) -> bool:
    """Whether the name is that of a payment system environment, no application's."""
    return name[1:8] == PSE[1:8] or name == b""


def df_name(fci: bytes) -> bytes:
    """Tag 84 of an FCI, b"" when there is none."""
    try:
        node = tlv.find(tlv.parse(fci), 0x84)
    except tlv.TlvError:
        return b""
    return node.value if node is not None else b""
