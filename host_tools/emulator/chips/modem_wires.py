"""Below the virtual modem's commands: ports, data mode, faults, restarts, unsolicited lines."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from host_tools.emulator.chips.modem_families import FAMILIES
from host_tools.emulator.chips.net import Endpoint
from host_tools.emulator.chips.serial_line import SerialLine

#: Silence around ``+++`` that makes it an escape, in us.
GUARD_US = 1_000_000


@dataclass
class Faults:
    """What is wrong with the modem. ``cured_by``: acts that mend ``mute`` and
    ``data_dead`` ("bearer", "radio", "modem", "usb", "power", "reboot")."""

    mute: bool = False  # bytes go in, none come out
    data_dead: bool = False  # data mode carries nothing, commands are answered
    cured_by: frozenset[str] = frozenset({"usb", "power"})
    mute_after_radio: bool = False  # +CFUN=0 or 4 is the last thing it answers
    wrong_order: bool = False  # the final result comes before the information
    echo_noise: int = 0  # of a thousand bytes, so many are followed by a wrong one
    gap_us: int = 0  # pause between the bytes of an answer
    late_us: dict[str, int] = field(default_factory=dict)  # by command name: extra delay
    refuse: dict[str, int] = field(default_factory=dict)  # by command name: CME error
    storm_us: int = 0  # an unsolicited line each so many us
    registration: int = 1  # <stat> once it registers: 1 home, 5 roaming, 3 denied, 0 none
    #: Registration takes so long, unless the radio is toggled after it began.
    slow_us: int = 0
    drop_calls: bool = False  # the network ends each call after a second


class ModemPort:
    """One serial port: line, command assembly, data mode."""

    def __init__(self, chip: "ModemWires", number: int) -> None:
        self.chip = chip
        self.number = number
        self.line = SerialLine(chip.now_us)
        self.command = bytearray()
        self.data_mode = False
        self.call: Endpoint | None = None
        self.queue: list[str] = []
        self.busy_until = 0
        self.last_byte = 0
        self.spoken_us = 0
        self.pluses = 0
        self.body: bytearray | None = None

    def transfer(self, op: int, payload: bytes) -> tuple[bytes, int]:
        """One transfer of wire kind "serial"."""
        self.chip.pump()
        answer = self.line.transfer(op, payload)
        self.chip.pump()
        return answer

    def forget(self) -> None:
        """The modem restarted."""
        self.command.clear()
        self.queue.clear()
        self.busy_until = 0
        self.pluses = 0
        self.body = None
        self.end_call()

    def end_call(self) -> None:
        """Close the far end and leave data mode."""
        self.data_mode = False
        if self.call is not None:
            self.call.close()
            self.call = None


class ModemWires:
    """The modem. ``clock_us``: injected time. ``dial``: gives the far end of a data
    call, None when the network refuses it. ``seed`` for noise."""

    def __init__(
        self,
        clock_us: Callable[[], int],
        family: str = "generic",
        ports: int = 1,
        dial: Callable[[], Endpoint | None] | None = None,
        seed: int = 0,
    ) -> None:
        self.now_us = clock_us
        self.words = FAMILIES[family]
        self.dial: Callable[[], Endpoint | None] = dial or (lambda: None)
        self.faults = Faults()
        self.sim = "ready"  # or "absent", "pin", "puk"
        self.sim_pin = ""  # "" for a SIM without
        self.tries = 3
        self.operator = "OPEN MOBILE"
        self.rsrp = -90
        self.register_us = 3_000_000
        self.address = "10.64.0.7"
        self.messages: dict[int, str] = {}
        self.sent_bytes = 0
        self.received_bytes = 0
        #: Every command line, in order; acts such as "power" among them in brackets.
        self.log: list[str] = []
        self.context = ("IP", "")
        self._random = random.Random(seed)
        self._ports = [ModemPort(self, number) for number in range(ports)]
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._echo = True
        self._verbose_errors = 0
        self._codes = {"+CREG": 0, "+CGREG": 0, "+CEREG": 0}
        self._functionality = 1
        self._up_at = 0
        self._radio_at = 0
        self._slow_from: int | None = None
        self._storm_at = 0
        self._dial_began = 0

    # ---- outside ------------------------------------------------------------------

    def port(self, number: int = 0) -> ModemPort:
        """A serial port."""
        return self._ports[number]

    def act(self, level: str) -> None:
        """Something done to the modem from outside its wires: "usb", "power", "reboot"."""
        self.log.append(f"[{level}]")
        self._cure(level)
        self._restart()

    def receive_message(self, pdu: str) -> None:
        """A short message arrives: its unit in hexadecimal digits."""
        index = max(self.messages, default=-1) + 1
        self.messages[index] = pdu
        self.unsolicited(f'+CMTI: "SM",{index}')

    def unsolicited(self, text: str) -> None:
        """Say something unasked, on each port that is not in data mode."""
        for port in self._ports:
            if not port.data_mode:
                self._say(port, f"\r\n{text}\r\n")

    def hang_up(self) -> None:
        """The terminal is gone from its ports: calls end (V.250, &D2)."""
        for port in self._ports:
            port.end_call()

    def drop_registration(self) -> None:
        """The network goes; calls end."""
        self._radio_at = self.now_us()
        self._end_calls()

    # ---- time ---------------------------------------------------------------------

    def pump(self) -> None:
        """Do what is due now. Every transfer does this."""
        now = self.now_us()
        self._due.sort(key=lambda entry: entry[:2])
        while self._due and self._due[0][0] <= now:
            self._due.pop(0)[2]()
        storm = self.faults.storm_us
        if storm and now - self._storm_at >= storm:
            count = min((now - self._storm_at) // storm, 200)
            self._storm_at = now
            for _ in range(count):
                self.unsolicited('+CREG: 1,"00C3","01A2D001",7')
        for port in self._ports:
            data = port.line.take()
            if data and now >= self._up_at:
                self._hear(port, data, port.line.taken_us)
            self._escape(port, now)
            self._carry(port)

    def next_due(self) -> int | None:
        """When something will happen by itself, in us; None when nothing will."""
        return min((entry[0] for entry in self._due), default=None)

    def _later(self, delay_us: int, act: Callable[[], None]) -> None:
        self._order += 1
        self._due.append((self.now_us() + delay_us, self._order, act))

    # ---- wires --------------------------------------------------------------------

    def _say(self, port: ModemPort, text: str) -> None:
        if self.faults.mute or self.now_us() < self._up_at:
            return
        data = text.encode()
        if self.faults.echo_noise:
            noisy = bytearray()
            for byte in data:
                noisy.append(byte)
                if self._random.randrange(1000) < self.faults.echo_noise:
                    noisy.append(self._random.randrange(256))
            data = bytes(noisy)
        gap = self.faults.gap_us
        if not gap:
            port.line.feed(data)
            return
        for at in range(len(data)):
            one = data[at : at + 1]
            port.spoken_us = max(port.spoken_us, self.now_us()) + gap
            delay = port.spoken_us - self.now_us()
            self._later(delay, lambda one=one: port.line.feed(one))  # type: ignore[misc]

    def _hear(self, port: ModemPort, data: bytes, now: int) -> None:
        if self.faults.mute:
            return
        if port.data_mode:
            self._hear_data(port, data, now)
            return
        for byte in data:
            if port.body is not None:
                self._hear_body(port, byte)
                continue
            if self._echo:
                self._say(port, chr(byte) if byte < 128 else "?")
            if byte == 0x0D:
                text = port.command.decode("ascii", "replace").strip()
                port.command.clear()
                self._line(port, text)
            elif byte >= 0x20 and len(port.command) < 600:
                port.command.append(byte)

    def _hear_body(self, port: ModemPort, byte: int) -> None:
        assert port.body is not None
        if byte == 0x1B:
            port.body = None
            self._say(port, "\r\nOK\r\n")
        elif byte == 0x1A:
            self.log.append("body " + port.body.decode("ascii", "replace"))
            port.body = None
            self._say(port, "\r\n+CMGS: 7\r\n\r\nOK\r\n")
        else:
            port.body.append(byte)

    def _hear_data(self, port: ModemPort, data: bytes, now: int) -> None:
        begun = port.pluses > 0 or now - port.last_byte >= GUARD_US
        if begun and not data.strip(b"+") and port.pluses + len(data) <= 3:
            port.pluses += len(data)
            port.last_byte = now
            return
        data = b"+" * port.pluses + data
        port.pluses = 0
        port.last_byte = now
        self.sent_bytes += len(data)
        if port.call is not None and not self.faults.data_dead:
            port.call.feed(data)

    def _escape(self, port: ModemPort, now: int) -> None:
        if port.data_mode and port.pluses == 3 and now - port.last_byte >= GUARD_US:
            port.pluses = 0
            port.data_mode = False
            self._say(port, "\r\nOK\r\n")

    def _carry(self, port: ModemPort) -> None:
        if port.data_mode and port.call is not None:
            data = port.call.take()
            if data and not self.faults.data_dead and not self.faults.mute:
                self.received_bytes += len(data)
                port.line.feed(data)
            elif getattr(port.call, "closed", False):  # it hung up
                port.end_call()
                self._say(port, "\r\nNO CARRIER\r\n")

    def _end_calls(self) -> None:
        for port in self._ports:
            if port.call is not None:
                was_data = port.data_mode
                port.end_call()
                if was_data:
                    self._say(port, "\r\nNO CARRIER\r\n")

    # ---- life ---------------------------------------------------------------------

    def _restart(self) -> None:
        if self.words.farewell:
            self.unsolicited(self.words.farewell)
        for port in self._ports:
            port.forget()
        self._due.clear()
        self._up_at = self.now_us() + self.words.boot_ms * 1000
        self._echo = True
        self._verbose_errors = 0
        self._codes = dict.fromkeys(self._codes, 0)
        self._functionality = 1
        self._radio_at = self._up_at
        self._slow_from = None
        self.sent_bytes = self.received_bytes = 0
        if self.sim == "ready" and self.sim_pin:
            self.sim = "pin"
        for at, text in self.words.boot:
            if self.sim == "ready" or "CPIN" not in text:
                delay = (self.words.boot_ms + at) * 1000
                self._later(delay, lambda text=text: self.unsolicited(text))  # type: ignore[misc]

    def _cure(self, level: str) -> None:
        if level in self.faults.cured_by:
            self.faults.mute = False
            self.faults.data_dead = False

    def _registered(self) -> bool:
        return self._stat() in (1, 5)

    def _stat(self) -> int:
        """<stat> of 27.007, 7.2."""
        if self._functionality != 1 or self.sim != "ready":
            return 0
        wait = self.register_us
        if self.faults.slow_us:
            if self._slow_from is None:
                self._slow_from = self._radio_at
            if self._slow_from == self._radio_at:
                wait = self.faults.slow_us
        if self.now_us() < self._radio_at + wait:
            return 2
        return self.faults.registration

    # ---- commands -----------------------------------------------------------------

    def _line(self, port: ModemPort, text: str) -> None:
        """A whole command line came: the command interpreter's."""
        raise NotImplementedError
