"""Chip: a 4G modem at its serial wires.

Each port is a serial line of its own (``port(0)`` usually for commands, ``port(1)``
for data; one port does both). Commands follow ITU-T V.250 and 3GPP TS 27.007
and 27.005, answers and quirks are the family's (``modem_families``). In data
mode bytes go to a far end, an object with ``feed``, ``take`` and ``close`` as
``net.Endpoint``; a PPP peer may be one.

Faults are attributes of ``modem_wires.Faults``; what cures a fault is named there too.
"""

from collections.abc import Callable

from host_tools.emulator.chips.modem_wires import ModemPort, ModemWires

#: Number of the SIM.
ICCID = "89860000000000000017"


class AtModemChip(ModemWires):
    """The modem: its commands."""

    def _line(self, port: ModemPort, text: str) -> None:
        upper = text.upper()
        at = upper.find("AT")
        if at < 0:
            return  # not a command line (V.250, 5.2.1)
        text = text[at + 2 :]
        self.log.append("AT" + text)
        now = self.now_us()
        name = _name(text)
        usual = _DELAYS.get(name, _DELAYS.get(text[: len(name) + 1].upper(), 15_000))
        delay = usual + self.faults.late_us.get(name, 0)
        port.busy_until = max(port.busy_until, now) + delay
        self._later(port.busy_until - now, lambda: self._do(port, text))

    def _do(self, port: ModemPort, text: str) -> None:
        lines: list[str] = []
        final = "OK"
        for one in _parted(text):
            name = _name(one)
            code = self.faults.refuse.get(name)
            if code is not None:
                final = self._error(code)
            else:
                found, final = self._one(port, name, one[len(name) :])
                lines += found
            if final != "OK":
                break
        if final == "":
            return  # the answer comes later, or the body first
        told = [f"\r\n{final}\r\n"]
        if lines:
            body = "".join(f"\r\n{line}" for line in lines) + "\r\n"
            told = [*told, body] if self.faults.wrong_order else [body, *told]
        for part in told:
            self._say(port, part)
        if final.startswith("CONNECT"):
            port.data_mode = True
            port.last_byte = self.now_us()

    def _error(self, code: int) -> str:
        if self._verbose_errors == 0:
            return "ERROR"
        if self._verbose_errors == 2:
            return f"+CME ERROR: {_ERROR_WORDS.get(code, 'unknown')}"
        return f"+CME ERROR: {code}"

    def _one(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        """Information lines and final result of one command."""
        if name in _VENDOR and name not in self.words.own:
            return [], self._error(4)
        handler = _HANDLERS.get(name)
        if handler is None:
            return [], self._error(4)
        return handler(self, port, name, rest)

    def _plain(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if name == "E":
            self._echo = rest.strip() != "0"
        return [], "OK"

    def _identity(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        words = self.words
        texts = {
            "I": [words.maker, words.model, f"Revision: {words.revision}"],
            "+CGMI": [words.maker],
            "+CGMM": [words.model],
            "+CGMR": [words.revision],
            "+CGSN": ["861234050000017"],
            "+CIMI": ["001010123456789"],
            "+QCCID": [f"+QCCID: {ICCID}"],
            "+CICCID": [f"+ICCID: {ICCID}"],
        }
        if name in ("+CIMI", "+QCCID", "+CICCID") and self.sim == "absent":
            return [], self._error(10)
        return texts[name], "OK"

    def _crsm(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        """27.007, 8.18: READ BINARY (176) of the SIM's number (31.101, 13.2: EF 2FE2, digits
        swapped in pairs); no other file is there (6A82)."""
        if self.sim == "absent":
            return [], self._error(10)
        if rest.lstrip("=").split(",")[:2] != ["176", "12258"]:
            return ["+CRSM: 106,130"], "OK"
        pairs = zip(ICCID[1::2], ICCID[::2], strict=True)
        return [f'+CRSM: 144,0,"{"".join(map("".join, pairs))}"'], "OK"

    def _cmee(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if rest == "?":
            return [f"+CMEE: {self._verbose_errors}"], "OK"
        self._verbose_errors = int(rest[1:2] or "0")
        return [], "OK"

    def _setting(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        """Settings that change nothing here."""
        values = {"+CSCS": '"IRA"', "+CMGF": "0", "+CSMS": "0,1,1,1", "+CNMI": "2,1,0,0,0"}
        return [f"{name}: {values[name]}"] if rest == "?" else [], "OK"

    def _cgatt(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        return [f"+CGATT: {int(self._registered())}"] if rest == "?" else [], "OK"

    def _cpin(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if self.sim == "absent":
            if self.words.absent.startswith("+CME ERROR: S"):
                return [], self.words.absent
            return [], self._error(10)
        if rest == "?":
            word = {"ready": "READY", "pin": "SIM PIN", "puk": "SIM PUK"}[self.sim]
            return [f"+CPIN: {word}"], "OK"
        if self.sim != "pin":
            return [], self._error(3)
        if rest.strip('="') == self.sim_pin:
            self.sim = "ready"
            self.tries = 3
            self._radio_at = self.now_us()
            self._later(300_000, lambda: self.unsolicited("+CPIN: READY"))
            return [], "OK"
        self.tries -= 1
        if self.tries <= 0:
            self.sim = "puk"
        return [], self._error(16)

    def _tries(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if self.sim == "absent":
            return [], self._error(10)
        texts = {
            "+QPINC": f'+QPINC: "SC",{self.tries},10',
            "+SPIC": f"+SPIC: {self.tries},10,3,10",
            "+CPINR": f"+CPINR: SIM PIN,{self.tries},3",
        }
        return [texts[name]], "OK"

    def _registration(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if rest == "?":
            place = ',"00C3","01A2D001",7' if self._codes[name] == 2 and self._registered() else ""
            return [f"{name}: {self._codes[name]},{self._stat()}{place}"], "OK"
        self._codes[name] = int(rest[1:2] or "0")
        return [], "OK"

    def _signal(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        on = self._functionality == 1
        rssi = self.rsrp + 30
        if name == "+CSQ":
            return [f"+CSQ: {min(max((rssi + 113) // 2, 0), 31) if on else 99},99"], "OK"
        if name == "+CESQ":
            return [f"+CESQ: 99,99,255,255,20,{self.rsrp + 141 if on else 255}"], "OK"
        if not self._registered():
            return ['+QCSQ: "NOSERVICE"'], "OK"
        return [f'+QCSQ: "LTE",{rssi},{self.rsrp},150,-10'], "OK"

    def _cops(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if rest != "?":
            return [], "OK"
        return [f'+COPS: 0,0,"{self.operator}",7' if self._registered() else "+COPS: 0"], "OK"

    def _cfun(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if rest == "?":
            return [f"+CFUN: {self._functionality}"], "OK"
        wanted = rest.lstrip("=").split(",")
        if len(wanted) > 1 and wanted[1] == "1":
            return self._reset(port, name, rest)
        self._functionality = int(wanted[0] or "1")
        if self._functionality == 1:
            self._radio_at = self.now_us()
            self._cure("radio")
        else:
            self._end_calls()
            if self.faults.mute_after_radio:
                self._later(1000, self._fall_silent)
        return [], "OK"

    def _fall_silent(self) -> None:
        self.faults.mute = True
        self.faults.mute_after_radio = False

    def _reset(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        self._say(port, "\r\nOK\r\n")
        self._later(200_000, self._reset_now)
        return [], ""

    def _reset_now(self) -> None:
        self._cure("modem")
        self._restart()

    def _power_off(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        self._later(500_000, self._off)
        return [], "OK"

    def _off(self) -> None:
        self._restart()
        self._due.clear()
        self._up_at = 1 << 62

    def _cgdcont(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if rest == "?":
            kind, apn = self.context
            return [f'+CGDCONT: 1,"{kind}","{apn}","0.0.0.0",0,0'], "OK"
        if rest == "=?":  # 27.007, 10.1.1: the contexts that may be set, and their type
            return ['+CGDCONT: (1-1),"IP",,,(0-1),(0-1)'], "OK"
        values = [value.strip('"') for value in rest.lstrip("=").split(",")]
        if len(values) < 3 or values[0] != "1":
            return [], self._error(50)
        self.context = (values[1], values[2])
        return [], "OK"

    def _cgpaddr(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        live = any(one.call is not None for one in self._ports)
        address = self.address if live else "0.0.0.0"
        return [f'+CGPADDR: 1,"{address}"' if self.words.quoted_address
                else f"+CGPADDR: 1,{address}"], "OK"  # fmt: skip

    def _counters(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        return [f"+QGDCNT: {self.sent_bytes},{self.received_bytes}"], "OK"

    def _cpms(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        """27.005, 3.2.2: one storage, the SIM's."""
        if rest == "=?":
            return ["+CPMS: " + ",".join(['("SM")'] * 3)], "OK"
        if not rest.startswith("="):
            return [], "OK"
        return ["+CPMS: " + ",".join([f"{len(self.messages)},20"] * 3)], "OK"

    def _cmgl(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        lines = []
        for index, pdu in sorted(self.messages.items()):
            lines += [f"+CMGL: {index},0,,{len(pdu) // 2 - 1 - int(pdu[:2], 16)}", pdu]
        return lines, "OK"

    def _cmgd(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        gone = self.messages.pop(int(rest.lstrip("=").split(",")[0] or "-1"), None)
        return [], "OK" if gone is not None else "+CMS ERROR: 321"

    def _cmgs(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        port.body = bytearray()
        self._say(port, "\r\n> ")
        return [], ""

    def _dial(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        if not rest.lstrip("TP").startswith("*99"):
            return [], "NO CARRIER"
        self._cure("bearer")
        call = self.dial() if self._registered() else None
        if call is None:
            return [], "NO CARRIER"
        port.end_call()
        port.call = call
        if self.faults.drop_calls:
            self._later(1_000_000, self._end_calls)
        return [], self.words.connect

    def _online(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        return [], self.words.connect if port.call is not None else "NO CARRIER"

    def _hook(self, port: ModemPort, name: str, rest: str) -> tuple[list[str], str]:
        for one in self._ports:
            one.end_call()
        return [], "OK"


_Handler = Callable[[AtModemChip, ModemPort, str, str], tuple[list[str], str]]

_VENDOR = {"+QPINC", "+QCCID", "+QCSQ", "+QGDCNT", "+QPOWD", "+SPIC", "+CICCID", "+CRESET",
           "+CPOF", "+CPINR", "+CESQ"}  # fmt: skip
_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(("", "E", "V", "Q", "S", "Z", "&F", "&D", "&C", "+IFC", "+IPR"),
                    AtModemChip._plain),
    **dict.fromkeys(("+CSCS", "+CMGF", "+CSMS", "+CNMI"), AtModemChip._setting),
    **dict.fromkeys(("I", "+CGMI", "+CGMM", "+CGMR", "+CGSN", "+CIMI", "+QCCID", "+CICCID"),
                    AtModemChip._identity),
    **dict.fromkeys(("+QPINC", "+SPIC", "+CPINR"), AtModemChip._tries),
    **dict.fromkeys(("+CREG", "+CGREG", "+CEREG"), AtModemChip._registration),
    **dict.fromkeys(("+CSQ", "+CESQ", "+QCSQ"), AtModemChip._signal),
    **dict.fromkeys(("+QPOWD", "+CPOF"), AtModemChip._power_off),
    "+CMEE": AtModemChip._cmee, "+CRSM": AtModemChip._crsm, "+CGATT": AtModemChip._cgatt,
    "+CPIN": AtModemChip._cpin, "+COPS": AtModemChip._cops, "+CFUN": AtModemChip._cfun,
    "+CRESET": AtModemChip._reset, "+CGDCONT": AtModemChip._cgdcont,
    "+CGPADDR": AtModemChip._cgpaddr, "+QGDCNT": AtModemChip._counters,
    "+CPMS": AtModemChip._cpms, "+CMGL": AtModemChip._cmgl, "+CMGD": AtModemChip._cmgd,
    "+CMGS": AtModemChip._cmgs,
    "D": AtModemChip._dial, "O": AtModemChip._online, "H": AtModemChip._hook,
}  # fmt: skip
#: Usual time until the answer, in us, where it is not 15 ms; with "=" of the setting alone.
_DELAYS = {"+CFUN=": 900_000, "+CPIN": 120_000, "D": 400_000, "+COPS": 80_000, "H": 200_000}
_ERROR_WORDS = {
    3: "operation not allowed", 4: "operation not supported", 10: "SIM not inserted",
    11: "SIM PIN required", 12: "SIM PUK required", 13: "SIM failure", 14: "SIM busy",
    16: "incorrect password", 30: "no network service", 50: "incorrect parameters",
}  # fmt: skip


def _name(text: str) -> str:
    """The command's name: +NAME, or one letter, or & and a letter (V.250, 5.3, 5.4)."""
    text = text.strip()
    if text[:1] == "+":
        end = 1
        while end < len(text) and text[end].isalnum():
            end += 1
        return text[:end].upper()
    return text[: 2 if text[:1] == "&" else 1].upper()


def _parted(text: str) -> list[str]:
    """Commands of one line, parted by semicolons outside quotes (V.250, 5.4.1)."""
    parts, quoted, current = [], False, ""
    for char in text.strip():
        quoted ^= char == '"'
        if char == ";" and not quoted:
            parts.append(current)
            current = ""
        else:
            current += char
    parts.append(current)
    return [part.strip() for part in parts]
