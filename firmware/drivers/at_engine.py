"""AT commands without I/O: bytes in, events and bytes out.

The line protocol of ITU-T V.250 (5.7: each answer line stands between CR LF
pairs) with the result codes of 3GPP TS 27.007 (9.2, +CME ERROR) and TS 27.005
(3.2.5, +CMS ERROR; 3.5.1, the prompt). There is no clock in here: whoever
waits calls ``expire`` when time is up.

Two rules keep answers apart. A command that expired leaves the line out of
step; nothing more is sent before ``resync`` has asked a question that no
driver asks otherwise and has seen that very answer, so that a late answer is
never taken for the next command's. Where the same question is still open from
before, ``uncertain`` says that the answer may be the earlier one's. And a line
that is neither the asked-for information nor a known unsolicited code is
dropped and counted.

Lines end at LF; a CR inside parts them as well, so one lost byte of a pair does
no harm. What never ends is dropped at MAX_LINE bytes: noise takes no memory.
"""

from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    #: ("urc", line), ("final", Answer), ("prompt", b""), ("data", bytes),
    #: ("hangup", b"") or ("synced", b"").
    Event = tuple[str, "bytes | Answer"]

#: Longest line kept, without its end. An SMS of 176 octets takes 352 digits.
MAX_LINE = 1024
#: Most information lines of one answer, and the most bytes of them together.
MAX_LINES = 64
MAX_ANSWER = 16384

#: State of the engine.
IDLE, OPEN, LOST, SYNCING, DATA, ESCAPING = 0, 1, 2, 3, 4, 5

#: Final results whatever the command (V.250, 5.7.1; ABORTED is a common extension).
_FINAL = (b"OK", b"ERROR", b"ABORTED")
#: Final as well, with a number (27.007, 9.2; 27.005, 3.2.5). Eleven bytes each.
_COUNTED = (b"+CME ERROR:", b"+CMS ERROR:")
#: Final only for a command that makes a call (V.250, 6.3.1); else unsolicited.
_CALL = (b"NO CARRIER", b"BUSY", b"NO ANSWER", b"NO DIALTONE", b"NO DIAL TONE")
#: Questions for ``resync``, another each try, so that a late answer to an earlier
#: one is told apart (27.007: 9.1, 5.5, 10.1.9; 27.005: 3.2.3, 3.2.1, 3.4.1).
SYNCS = (
    (b"AT+CMEE?", b"+CMEE:"),
    (b"AT+CSCS?", b"+CSCS:"),
    (b"AT+CGATT?", b"+CGATT:"),
    (b"AT+CMGF?", b"+CMGF:"),
    (b"AT+CSMS?", b"+CSMS:"),
    (b"AT+CNMI?", b"+CNMI:"),
)

_SYNC_PREFIXES = tuple([prefix for _, prefix in SYNCS])

_HANGUP = b"\r\nNO CARRIER\r\n"
_ESCAPED = b"\r\nOK\r\n"
_FLAG = 0x7E


class AtError(TillError):
    """The modem refused, answered nonsense, or the line is out of step."""

    text_key = "error.modem"


class Command:
    """One command line. ``text`` begins with AT and has no end of line.

    ``prefix``: how each information line begins; b"" for any line (then only
    unsolicited codes are told apart), None when none is expected. ``accept``
    looks at a line with the prefix and says whether it answers or came
    unasked (``+CREG: 1`` against ``+CREG: 0,1``). ``call``: CONNECT and the
    call results end it. ``prompt``: it asks for a body with "> ".
    """

    def __init__(
        self,
        text: bytes,
        prefix: "bytes | None" = None,
        accept: "Callable[[bytes], bool] | None" = None,
        call: bool = False,
        prompt: bool = False,
    ) -> None:
        for byte in text:
            if byte < 0x20 or byte > 0x7E:
                raise ValueError("an AT command has printable characters only")
        if len(text) > MAX_LINE - 2:
            raise ValueError("an AT command is one line")
        self.text = text
        self.prefix = prefix
        self.accept = accept
        self.call = call
        self.prompt = prompt


class Answer:
    """``result``: the final code's text. ``code``: number of a CME or CMS error,
    else -1. ``lines``: information, at most MAX_LINES. ``dropped``: lines beyond."""

    def __init__(self) -> None:
        self.result = b""
        self.code = -1
        self.lines: "list[bytes]" = []
        self.dropped = 0

    @property
    def ok(self) -> bool:
        """Whether the command was done."""
        return self.result == b"OK" or self.result.startswith(b"CONNECT")

    def __repr__(self) -> str:
        return str((self.result, self.code, self.lines, self.dropped))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(self.result)


def _number(text: bytes) -> int:
    text = text.strip()
    return int(text) if text and text.isdigit() and len(text) <= 6 else -1


class AtEngine:
    """One serial line. ``urcs``: unsolicited codes, as the text up to and with
    the colon (``+CREG:``), or the whole line of one that has none (``RDY``)."""

    def __init__(self, urcs: "tuple[bytes, ...]" = ()) -> None:
        self._urcs = {urc: True for urc in urcs + _CALL}
        self.state = IDLE
        #: Lines dropped because nothing waited for them, since the beginning.
        self.strays = 0
        #: Lines or pieces dropped because they were too long.
        self.overlong = 0
        #: Final results that came after their command had expired.
        self.late = 0
        #: Whether the last "synced" may have been the answer to an earlier question.
        self.uncertain = False
        # How often each of SYNCS was asked and not answered, and which is asked now.
        self._asked = [0] * len(SYNCS)
        self._sync = 0
        self._buffer = b""
        self._skipping = False
        self._command: "Command | None" = None
        self._answer = Answer()
        self._size = 0
        self._prompted = False
        self._seen = False
        self._held = b""
        self._flag = True
        self._events: "list[Event]" = []

    # ---- out ----------------------------------------------------------------------

    def send(self, command: Command) -> bytes:
        """Open ``command``; the bytes to send. AtError while another is open, in
        data mode, or out of step. The terminator is CR (V.250, 6.2.1)."""
        if self.state != IDLE:
            raise AtError("the modem's line is not free for " + command.text.decode())
        self.state = OPEN
        self._command = command
        self._answer = Answer()
        self._size = 0
        self._prompted = False
        return command.text + b"\r"

    def body(self, text: bytes) -> bytes:
        """The bytes that give ``text`` at the prompt and end it (27.005, 3.5.1)."""
        if not self._prompted or self.state != OPEN:
            raise AtError("the modem asks for nothing")
        for byte in text:
            if byte in (0x1A, 0x1B):
                raise ValueError("a message body cannot have the end or escape character")
        return text + b"\x1a"

    def give_up_body(self) -> bytes:
        """The byte that leaves the prompt without a body; a final result follows."""
        if not self._prompted or self.state != OPEN:
            raise AtError("the modem asks for nothing")
        return b"\x1b"

    def expire(self) -> None:
        """Time is up for what is open: the line is out of step until ``resync``.
        In data mode nothing is open, and nothing happens."""
        if self.state in (OPEN, SYNCING):
            self.state = LOST
            self._command = None
        elif self.state == ESCAPING:
            self.state = DATA

    def resync(self) -> bytes:
        """The bytes of the next question that brings the line into step. The
        answer is the event "synced"; call ``expire`` when it does not come, and
        try again. The leading CR ends whatever half a line the modem may have got."""
        if self.state not in (LOST, IDLE):
            raise AtError("the modem's line is busy")
        self.state = SYNCING
        self._seen = False
        # One that is not open makes the answer certain; else the next in turn.
        self._sync = (self._sync + 1) % len(SYNCS)
        for at in range(len(SYNCS)):
            if not self._asked[at]:
                self._sync = at
                break
        self._asked[self._sync] += 1
        return b"\r" + SYNCS[self._sync][0] + b"\r"

    def trust(self) -> None:
        """An uncertain line has proved itself: questions of before are lost."""
        self.uncertain = False
        self._asked = [0] * len(SYNCS)

    def escape(self) -> bytes:
        """Leave data mode: ``+++``, to be sent between two pauses of a second
        without data. The answer is the event "final"."""
        if self.state != DATA:
            raise AtError("the modem is not in data mode")
        self.state = ESCAPING
        self._answer = Answer()
        return b"+++"

    def restart(self) -> None:
        """The modem was reset or its port opened anew: nothing is open, but questions
        of before may still be answered, so the line is out of step."""
        self.state = LOST
        self._buffer = b""
        self._held = b""
        self._skipping = False
        self._command = None

    # ---- in -----------------------------------------------------------------------

    def feed(self, data: bytes) -> "list[Event]":
        """What the modem sent, split anywhere; the events in order."""
        self._events = []
        if self.state in (DATA, ESCAPING):
            data = self._data(data)
        while data:
            data = self._lines(data)
            if data:
                data = self._data(data)
        events = self._events
        self._events = []
        return events

    def _lines(self, data: bytes) -> bytes:
        """Take lines until data mode begins; what is left of ``data`` then."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        start = 0
        while True:
            end = data.find(b"\n", start)
            if end < 0:
                break
            if self._skipping or end - start > MAX_LINE:
                self._skipping = False
                self.overlong += 1
            else:
                line = data[start:end].strip(b"\r\x00")
                if line:
                    if b"\r" in line:
                        for part in line.split(b"\r"):
                            self._part(part)
                    else:
                        self._part(line)
            start = end + 1
            if self.state == DATA:
                return data[start:]
        rest = data[start:]
        if self._skipping:
            return b""
        if len(rest) > MAX_LINE:
            self._skipping = True
            return b""
        self._buffer = self._early_prompt(rest) if self._awaits_prompt() else rest
        return b""

    def _awaits_prompt(self) -> bool:
        command = self._command
        return command is not None and command.prompt and not self._prompted

    def _early_prompt(self, rest: bytes) -> bytes:
        """A prompt ends with a blank and no LF: look for it in an unfinished line,
        at its beginning or behind a CR. What is left of the line then."""
        at = 0
        while at >= 0:
            begun = rest[at:].lstrip(b"\x00")
            if begun.startswith(b"> "):
                for part in rest[:at].split(b"\r"):
                    self._part(part)
                if not self._awaits_prompt():
                    return rest[at:]
                self._prompted = True
                self._events.append(("prompt", b""))
                return begun[2:]
            at = rest.find(b"\r", at) + 1 or -1
        return rest

    def _part(self, line: bytes) -> None:
        """One line, perhaps with blanks and NUL around."""
        if self._awaits_prompt():
            begun = line.lstrip(b"\x00")
            if begun.startswith(b"> "):
                self._prompted = True
                self._events.append(("prompt", b""))
                line = begun[2:]
        line = line.strip(b"\x00 ")
        if line:
            self._line(line)

    def _line(self, line: bytes) -> None:
        command = self._command
        if command is not None:
            if line == command.text:
                return  # echo (V.250, 6.2.4)
            if self._ends(line, command):
                return
            prefix = command.prefix
            asked = prefix and line.startswith(prefix)
            if asked and (command.accept is None or command.accept(line)):
                self._inform(line)
                return
        elif self._out_of_step(line):
            return
        head = line[: line.find(b":") + 1] or line
        if head in self._urcs:
            self._events.append(("urc", line))
        elif command is not None and head in _SYNC_PREFIXES:
            # Nobody asked this but ``resync``, long ago: what comes now is not ours.
            self.late += 1
            self.expire()
        elif command is not None and command.prefix == b"":
            self._inform(line)
        else:
            self.strays += 1

    def _inform(self, line: bytes) -> None:
        answer = self._answer
        if len(answer.lines) >= MAX_LINES or self._size + len(line) > MAX_ANSWER:
            answer.dropped += 1
            return
        self._size += len(line)
        answer.lines.append(line)

    def _ends(self, line: bytes, command: Command) -> bool:
        answer = self._answer
        if line in _FINAL:
            answer.result = line
        elif line[:11] in _COUNTED:
            answer.result = line
            answer.code = _number(line[11:])
        elif command.call and line in _CALL:
            answer.result = line
        elif command.call and (line == b"CONNECT" or line.startswith(b"CONNECT ")):
            answer.result = line
            self.state = DATA
            self._held = b""
            self._flag = True
        else:
            return False
        if self.state == OPEN:
            self.state = IDLE
        self._command = None
        self._events.append(("final", answer))
        return True

    def _out_of_step(self, line: bytes) -> bool:
        """Without an open command: late results, and the answer to ``resync``."""
        final = line in _FINAL or line[:11] in _COUNTED
        for at in range(len(SYNCS)):
            if line.startswith(SYNCS[at][1]) and self._asked[at]:
                self._asked[at] -= 1
                if self.state == SYNCING and at == self._sync:
                    self._seen = True
                    self.uncertain = self._asked[at] > 0
                return True
        if self.state == SYNCING:
            if line == SYNCS[self._sync][0]:
                return True  # echo
            if final and self._seen:
                self.state = IDLE
                if not self.uncertain:
                    self.trust()  # in order: what was asked before was answered or lost
                self._events.append(("synced", b""))
                return True
        if final:
            self.late += 1
        return final

    # ---- data mode ----------------------------------------------------------------

    def _data(self, data: bytes) -> bytes:
        """Pass data on until the modem hangs up; what follows then.

        ``NO CARRIER`` counts only where a PPP frame has just ended (RFC 1662,
        3.1: after a flag): inside a frame it is what somebody sent us.
        """
        data = self._held + data
        self._held = b""
        if self.state == ESCAPING:
            return self._escaped(data)
        added = 1 if self._flag else 0
        view = b"\x7e" + data if added else data
        at = view.find(b"\x7e\r")
        while at >= 0:
            at += 1
            found = view[at : at + len(_HANGUP)]
            if found == _HANGUP:
                self._pass(view[added:at])
                self.state = IDLE
                self._events.append(("hangup", b""))
                return view[at + len(_HANGUP) :]
            if len(found) < len(_HANGUP) and _HANGUP.startswith(found):
                self._pass(view[added:at])
                self._held = found
                return b""
            at = view.find(b"\x7e\r", at)
        self._pass(data)
        return b""

    def _pass(self, data: bytes) -> None:
        if data:
            self._flag = data[-1] == _FLAG
            self._events.append(("data", data))

    def _escaped(self, data: bytes) -> bytes:
        mark, result = _ESCAPED, b"OK"
        at = data.find(mark)
        gone = data.find(_HANGUP)
        if gone >= 0 and (at < 0 or gone < at):
            mark, result, at = _HANGUP, b"NO CARRIER", gone
        if at >= 0:
            self._pass(data[:at])
            self._answer.result = result
            self.state = IDLE
            self._events.append(("final", self._answer))
            return data[at + len(mark) :]
        # Keep what may be the beginning of either.
        keep = min(len(data), len(_HANGUP) - 1)
        while keep and not (_ESCAPED.startswith(data[-keep:]) or _HANGUP.startswith(data[-keep:])):
            keep -= 1
        self._pass(data[: len(data) - keep])
        self._held = data[len(data) - keep :]
        return b""
