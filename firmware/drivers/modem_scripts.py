"""What modem families say and want to hear: commands as data, answers as values.

Generic is 3GPP TS 27.007 and 27.005; Quectel (EC25, EC200) and SIMCom (SIM7600,
A7670) add commands of their own from their AT manuals. A family is data: no
code above asks for a name. Answers are bytes, for they may be damaged; each
reader here gives None or a neutral value for a line it cannot read.
"""

from firmware.drivers.at_engine import Command
from firmware.hal.bearer import BearerError, SimMissing, SimPinNeeded, SimPukNeeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.drivers.at_engine import Answer

#: What may come at any time: codes of 27.007 and 27.005, of Quectel, of SIMCom. Which
#: maker's it is shows only when it has been asked, and one that starts speaks at once.
URCS = (
    b"RING", b"+CRING:", b"+CREG:", b"+CGREG:", b"+CEREG:", b"+CPIN:", b"+CMTI:", b"+CMT:",
    b"+CDS:", b"+CDSI:", b"+CGEV:", b"+CUSD:", b"+CTZV:", b"+CTZE:", b"+CTZDST:", b"+CIEV:",
    b"RDY", b"NORMAL POWER DOWN", b"POWERED DOWN", b"+CFUN:",
    b"+QIND:", b"+QUSIM:", b"+QIURC:", b"+QSIMSTAT:", b"+QNTP:",
    b"*ATREADY:", b"SMS DONE", b"PB DONE", b"+SIMCARD:", b"+NITZ:", b"*PSUTTZ:", b"START",
)  # fmt: skip


class Family:
    """How one family differs. ``marks``: what its model name (27.007, 5.2) has.
    ``tries``, ``counters``: command and prefix, or None. ``signal``:
    (command, prefix) from best to plainest. ``reset``: restarts the modem.
    ``boot_ms``: until it answers again; assumed, to be measured on each real modem."""

    def __init__(
        self,
        name: str,
        marks: "tuple[bytes, ...]",
        tries: "tuple[bytes, bytes] | None",
        counters: "tuple[bytes, bytes] | None",
        signal: "tuple[tuple[bytes, bytes], ...]",
        reset: bytes = b"AT+CFUN=1,1",
        boot_ms: int = 15000,
    ) -> None:
        self.name = name
        self.marks = marks
        self.tries = tries
        self.counters = counters
        self.signal = signal
        self.reset = reset
        self.boot_ms = boot_ms


_CSQ = (b"AT+CSQ", b"+CSQ:")
_CESQ = (b"AT+CESQ", b"+CESQ:")
_QCSQ = (b"AT+QCSQ", b"+QCSQ:")
_QPINC = (b'AT+QPINC="SC"', b"+QPINC:")
_SPIC = (b"AT+SPIC", b"+SPIC:")
_QGDCNT = (b"AT+QGDCNT?", b"+QGDCNT:")

GENERIC = Family(
    "generic", (), (b'AT+CPINR="SIM PIN"', b"+CPINR:"), None, (_CESQ, _CSQ)
)  # fmt: skip
FAMILIES = (
    Family("ec25", (b"EC25", b"EG25", b"EC21"), _QPINC, _QGDCNT, (_QCSQ, _CSQ),
           boot_ms=14000),
    Family("ec200", (b"EC200",), _QPINC, _QGDCNT, (_QCSQ, _CSQ), boot_ms=10000),
    Family("sim7600", (b"SIM7600", b"SIM7500"), _SPIC, None, (_CSQ,), b"AT+CRESET",
           16000),
    Family("a7670", (b"A7670", b"A7672", b"A7608"), _SPIC, None, (_CESQ, _CSQ),
           b"AT+CRESET", 10000),
)  # fmt: skip


def family_of(model: bytes) -> Family:
    """The family of a model name, GENERIC for one that is not known."""
    for family in FAMILIES:
        for mark in family.marks:
            if mark in model.upper():
                return family
    return GENERIC


def model_of(lines: "list[bytes]") -> bytes:
    """The line of an answer that is the model's name: one of a known family, else the last,
    for a modem that has just started may say something of its own among them."""
    for line in lines:
        if family_of(line) is not GENERIC:
            return line
    return lines[-1] if lines else b""


# ---- reading lines --------------------------------------------------------------------


def fields(line: bytes) -> "list[bytes]":
    """The values behind the colon, quotes taken off; a comma in quotes is text."""
    found = []
    at = line.find(b":") + 1
    value = b""
    quoted = False
    for index in range(at, len(line)):
        char = line[index : index + 1]
        if char == b'"':
            quoted = not quoted
        elif char == b"," and not quoted:
            found.append(value.strip())
            value = b""
        else:
            value += char
    found.append(value.strip())
    return found


def number(text: bytes) -> "int | None":
    """A decimal number with an optional minus, at most ten digits; else None."""
    digits = text[1:] if text.startswith(b"-") else text
    if not digits.isdigit() or len(digits) > 10:
        return None
    return -int(digits) if text.startswith(b"-") else int(digits)


def ascii_text(raw: bytes) -> str:
    """Printable ASCII as it is, "?" for the rest; at most 32 characters."""
    text = ""
    for byte in raw[:32]:
        text += chr(byte) if 32 <= byte < 127 else "?"
    return text


# ---- SIM ------------------------------------------------------------------------------

PIN_STATE = Command(b"AT+CPIN?", b"+CPIN:")
#: CME codes (27.007, 9.2.1) that say more than "no": no SIM, PIN, PUK, SIM fault
#: (failure, busy, wrong), and PIN2 which keeps nothing from working.
_SIM_CODES = {10: "no_sim", 11: "sim_pin", 12: "sim_puk", 13: "sim_fault", 15: "sim_fault"}
_SIM_TEXTS = {
    b"READY": "ready",
    b"SIM PIN": "sim_pin",
    b"SIM PUK": "sim_puk",
    b"NOT INSERTED": "no_sim",
    b"SIM PIN2": "ready",
    b"SIM PUK2": "ready",
}
_SIM_WORDS = (
    (b"not inserted", "no_sim"),
    (b"PUK required", "sim_puk"),
    (b"PIN required", "sim_pin"),
    (b"SIM failure", "sim_fault"),
)


def sim_state(answer: "Answer") -> str:
    """ "ready", "busy" (ask again) or a cause of the SIM's (27.007, 8.3)."""
    if answer.ok:
        for line in answer.lines:
            state = _SIM_TEXTS.get(fields(line)[0])
            if state is not None:
                return state
        return "busy"
    state = _SIM_CODES.get(answer.code)
    if state is None and answer.code < 0:
        for words, meant in _SIM_WORDS:
            if words in answer.result:
                return meant
    return state or "busy"


def sim_error(state: str, detail: str) -> BearerError:
    """The error of a SIM that is not ready."""
    if state == "sim_puk":
        return SimPukNeeded(detail)
    if state == "sim_pin":
        return SimPinNeeded(detail)
    return SimMissing(detail)


def tries_left(family: Family, lines: "list[bytes]") -> "int | None":
    """PIN entries that the SIM still takes; None when nobody says (27.007, 8.65
    in the generic case, QPINC and SPIC in the vendors')."""
    for line in lines:
        values = fields(line)
        at = 0 if family.tries == _SPIC else 1
        if len(values) > at and (at == 0 or values[0] in (b"SC", b"SIM PIN")):
            return number(values[at])
    return None


def enter_pin(pin: str) -> Command:
    """27.007, 8.3. ValueError for what is no PIN of 4 to 8 digits."""
    if not 4 <= len(pin) <= 8 or not pin.isdigit():
        raise ValueError("a SIM PIN has 4 to 8 digits")
    return Command(b'AT+CPIN="' + pin.encode() + b'"')


# ---- registration, signal, operator ---------------------------------------------------


def _is_answer(line: bytes) -> bool:
    """+CREG and its kin: a question's answer has <n>,<stat>; the unsolicited
    code has <stat> first and then quoted texts (27.007, 7.2)."""
    parts = line.split(b",")
    return len(parts) > 1 and number(parts[1].strip()) is not None


#: LTE, packet domain, circuit domain (27.007: 10.1.22, 10.1.20, 7.2).
REGISTRATION = (
    Command(b"AT+CEREG?", b"+CEREG:", _is_answer),
    Command(b"AT+CGREG?", b"+CGREG:", _is_answer),
)
#: Registration is asked for, not told: its codes are switched off.
QUIET = (b"AT+CEREG=0", b"AT+CGREG=0", b"AT+CREG=0")

#: <stat> of 27.007, 7.2.
NOT_SEARCHING, HOME, SEARCHING, DENIED, UNKNOWN, ROAMING = 0, 1, 2, 3, 4, 5


def registration(lines: "list[bytes]") -> int:
    """<stat> of the answer, UNKNOWN when it says none."""
    for line in lines:
        values = fields(line)
        stat = number(values[1]) if len(values) > 1 else None
        if stat is not None:
            return stat
    return UNKNOWN


def best_registration(stats: "list[int]") -> int:
    """One verdict of several domains: registered anywhere, else denied where
    none still looks, else searching."""
    for wanted in (HOME, ROAMING, SEARCHING, DENIED, NOT_SEARCHING):
        if wanted in stats:
            return wanted
    return UNKNOWN


def _by_limit(value: int, limits: "tuple[int, ...]") -> int:
    bars = 0
    for limit in limits:
        bars += value >= limit
    return bars


#: Least RSRP in dBm for 1 to 4 bars, and least <rssi> of +CSQ.
_RSRP = (-115, -105, -95, -85)
_RSSI = (3, 8, 13, 19)


def bars(lines: "list[bytes]") -> "int | None":
    """0 to 4 from +QCSQ, +CESQ (27.007, 8.69) or +CSQ (8.5); None when unknown."""
    for line in lines:
        values = fields(line)
        if line.startswith(b"+QCSQ:"):
            return _quectel_bars(values)
        numbers = [number(value) for value in values]
        if line.startswith(b"+CSQ:"):
            rssi = numbers[0]
            known = rssi is not None and rssi <= 31
            return _by_limit(rssi, _RSSI) if rssi is not None and known else None
        if line.startswith(b"+CESQ:") and len(numbers) == 6:
            rsrp, rxlev = numbers[5], numbers[0]
            if rsrp is not None and rsrp <= 97:
                return _by_limit(rsrp - 141, _RSRP)
            if rxlev is not None and rxlev <= 63:  # GSM: -110 dBm and up
                return _by_limit(rxlev - 111, (-105, -97, -87, -75))
    return None


def _quectel_bars(values: "list[bytes]") -> "int | None":
    """+QCSQ: "LTE",rssi,rsrp,sinr,rsrq; other modes have rssi in dBm only."""
    if values[0] in (b"LTE", b"CAT-M1", b"CAT-NB1") and len(values) >= 3:
        rsrp = number(values[2])
        return None if rsrp is None else _by_limit(rsrp, _RSRP)
    rssi = number(values[1]) if len(values) > 1 else None
    if rssi is not None:
        return _by_limit(rssi, (-107, -97, -87, -75))
    return 0 if values[0] == b"NOSERVICE" else None


OPERATOR = Command(b"AT+COPS?", b"+COPS:")


def operator(lines: "list[bytes]") -> str:
    """Name or number of the operator (27.007, 7.3), "" for none."""
    for line in lines:
        values = fields(line)
        if len(values) >= 3:
            return ascii_text(values[2])
    return ""


# ---- packet data ----------------------------------------------------------------------

CONTEXTS = Command(b"AT+CGDCONT?", b"+CGDCONT:")
ADDRESS = Command(b"AT+CGPADDR=1", b"+CGPADDR:")
#: 27.007, 10.2.1.1: packet data by PPP on context 1.
DIAL = Command(b"ATD*99#", call=True)
HANG_UP = Command(b"ATH")


def context(apn: str, kind: str = "IP") -> Command:
    """Define context 1 (27.007, 10.1.1); an empty name asks for the one that the SIM
    was subscribed with. ValueError for a name that is no APN (TS 23.003, 9.1: labels
    of letters, digits and hyphens)."""
    for char in apn:
        if not (char.isalpha() or char.isdigit() or char in ".-") or ord(char) > 126:
            raise ValueError("an APN has letters, digits, dots and hyphens")
    if len(apn) > 100 or kind not in ("IP", "IPV6", "IPV4V6"):
        raise ValueError("no APN or no kind of address")
    return Command(b'AT+CGDCONT=1,"' + kind.encode() + b'","' + apn.encode() + b'"')


def has_context(lines: "list[bytes]", apn: str, kind: str = "IP") -> bool:
    """Whether context 1 is already so: setting it anew writes the modem's flash."""
    for line in lines:
        values = fields(line)
        if len(values) >= 3 and values[0] == b"1":
            return values[1] == kind.encode() and values[2].lower() == apn.lower().encode()
    return False


def address(lines: "list[bytes]") -> str:
    """The address of context 1 (27.007, 10.1.23), "" for none."""
    for line in lines:
        values = fields(line)
        if len(values) >= 2 and values[0] == b"1" and values[1] not in (b"", b"0.0.0.0"):
            return ascii_text(values[1])
    return ""


def counters(lines: "list[bytes]") -> "tuple[int, int]":
    """(sent, received) bytes, -1 where unknown."""
    for line in lines:
        values = [number(value) for value in fields(line)]
        if len(values) >= 2 and values[0] is not None and values[1] is not None:
            return values[0], values[1]
    return -1, -1


# ---- short messages -------------------------------------------------------------------

#: PDU mode (27.005, 3.2.3): hexadecimal digits, so that what a stranger sends
#: cannot look like a result code, which in text mode it can.
PDU_MODE = Command(b"AT+CMGF=0")
#: All messages (27.005, 3.4.2); 4 is "all" in PDU mode. Lines without a prefix.
LIST_MESSAGES = Command(b"AT+CMGL=4", b"")


def messages(lines: "list[bytes]") -> "list[tuple[int, bytes]]":
    """(index, PDU in hexadecimal digits) of each message of the list; what else stands
    between the two lines of one is passed over."""
    found = []
    index = None
    for line in lines:
        if line.startswith(b"+CMGL:"):
            index = number(fields(line)[0])
        elif index is not None and not line.upper().strip(b"0123456789ABCDEF"):
            found.append((index, line))
            index = None
    return found


def delete_message(index: int) -> Command:
    """27.005, 3.5.4."""
    return Command(b"AT+CMGD=" + str(index).encode())
