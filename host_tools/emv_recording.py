"""A recorded card session: what it holds, and which answer a command gets."""

from typing import Any

from firmware.payment.emv import dol, tlv
from firmware.payment.emv.dictionary import FORMATS, LENGTHS, NOT_FROM_CARD
from firmware.payment.emv.selection import PSE
from host_tools.emv_input import InputError, hex_bytes, list_of, only, table_of

SELECT, READ_RECORD, GET_DATA, GPO, GENERATE_AC = 0xA4, 0xB2, 0xCA, 0xA8, 0xAE
GET_RESPONSE, GET_CHALLENGE, VERIFY, EXTERNAL, INTERNAL = 0xC0, 0x84, 0x20, 0x82, 0x88
#: What the kernel works out itself, and the issuer's answer.
_COMPUTED = (0x95, 0x98, 0x9B, 0x9F34, 0x8A, 0x91)
#: What a card answers that does not have what it is asked for.
_ABSENT = {SELECT: 0x6A82, READ_RECORD: 0x6A83, GET_DATA: 0x6A88}
MAX_STEPS = 2000


def body(command: bytes) -> bytes:
    """Header and data of a command APDU, without Lc and Le, for comparison."""
    if len(command) <= 5:
        return command[:4]
    return command[:4] + command[5 : 5 + command[4]]


class Exchange:
    """One recorded command and its answer; ``place``: of the step where it began."""

    def __init__(self, command: bytes, data: bytes, sw: int, place: int) -> None:
        self.place = place
        self.command = command
        self.data = data
        self.sw = sw
        self.used = False

    @property
    def ins(self) -> int:
        return self.command[1]


def read_steps(value: Any) -> list[Exchange]:
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
        only(fields, ("c", "r"), where)
        command = hex_bytes(fields.get("c"), where + ".c")
        answer = hex_bytes(fields.get("r"), where + ".r")
        if len(command) < 4:
            raise InputError(f"{where}.c: a command has at least 4 bytes", 0)
        if len(answer) < 2:
            raise InputError(f"{where}.r: an answer ends in a status word", 0)
        data, sw = answer[:-2], int.from_bytes(answer[-2:], "big")
        if more and command[1] == GET_RESPONSE:
            if sw >> 8 == 0x6C and not data:
                continue  # the same GET RESPONSE follows with the right Le
            found[-1].data += data
            found[-1].sw = warning if warning and sw == 0x9000 else sw
            more = sw >> 8 == 0x61
            continue
        if reissue and command[:4] == found[-1].command[:4]:
            found[-1].data, found[-1].sw = data, sw
        else:
            found.append(Exchange(command, data, sw, place))
        # The status before GET RESPONSE is a warning (62xx, 63xx) or 61xx.
        warning = sw if sw >> 8 in (0x62, 0x63) and not data else 0
        more = sw >> 8 == 0x61 or warning != 0
        reissue = sw >> 8 == 0x6C and not data
    return found


class Recording:
    """Answers commands from the exchanges, in order, tolerantly.

    The next exchange answers when its command is the one sent, or at least
    the same instruction. Otherwise a later exchange with just this command
    is taken, then an earlier one not used yet (a SELECT also again); a command that the
    recording never saw gets what a card says that lacks the object, or, where
    there is no such word, the next recorded answer. All but the first case
    are reported in ``mismatches``.
    """

    def __init__(self, exchanges: list[Exchange]) -> None:
        self.exchanges = exchanges
        self.at = 0
        self.mismatches: list[dict[str, Any]] = []

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
        """(data, sw), or None when the recording has ended."""
        upcoming = self.exchanges[self.at] if self.at < len(self.exchanges) else None
        wanted = body(command)
        if upcoming is not None and body(upcoming.command) == wanted:
            taken = self._take(self.at)
            return taken.data, taken.sw
        for place in range(self.at, len(self.exchanges)):
            if body(self.exchanges[place].command) == wanted:
                skipped = self.exchanges[self.at].command
                self._report(command, skipped, f"{place - self.at} recorded steps passed over")
                taken = self._take(place)
                return taken.data, taken.sw
        for earlier in self.exchanges[: self.at]:
            again = command[1] == SELECT or not earlier.used
            if again and body(earlier.command) == wanted:
                self._report(command, None, "answered from an earlier step")
                earlier.used = True
                return earlier.data, earlier.sw
        same = upcoming is not None and upcoming.ins == command[1]
        if command[1] in _ABSENT and not (same and command[1] != SELECT):
            self._report(command, upcoming.command if upcoming else None, "not in the recording")
            return b"", _ABSENT[command[1]]
        if upcoming is None:
            self._report(command, None, "the recording has ended")
            return None
        if not same:
            for place in range(self.at, len(self.exchanges)):
                if self.exchanges[place].ins == command[1]:
                    self._report(command, self.exchanges[place].command, "differs")
                    taken = self._take(place)
                    return taken.data, taken.sw
        self._report(command, upcoming.command, "differs")
        taken = self._take(self.at)
        return taken.data, taken.sw

    def verify(self) -> int:
        """Consume the recorded GET CHALLENGE and VERIFY; the status word."""
        for place in range(self.at, len(self.exchanges)):
            exchange = self.exchanges[place]
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

    def next_verifies(self) -> bool:
        """Whether a PIN is verified before the first GENERATE AC from here."""
        for exchange in self.exchanges[self.at :]:
            if exchange.ins in (VERIFY, GENERATE_AC):
                return exchange.ins == VERIFY
        return False

    def applications(self) -> list[bytes]:
        """DF names selected with success, the one that GPO followed first."""
        names: list[bytes] = []
        for exchange in self.exchanges:
            if exchange.ins == GPO:
                break
            if exchange.ins != SELECT or exchange.sw != 0x9000:
                continue
            name = df_name(exchange.data) or body(exchange.command)[4:]
            if 5 <= len(name) <= 16 and name != PSE and not name.startswith(b"2PAY"):
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


def df_name(fci: bytes) -> bytes:
    """Tag 84 of an FCI, b"" when there is none."""
    try:
        node = tlv.find(tlv.parse(fci), 0x84)
    except tlv.TlvError:
        return b""
    return node.value if node is not None else b""
