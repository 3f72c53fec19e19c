"""``till emv replay``: the contact kernel against a recording (docs/emv-replay.md)."""

import time
from collections.abc import Callable
from typing import Any

from firmware.errors import TillError
from firmware.payment.emv import dol, steps, tlv
from firmware.payment.emv.config import (
    TERMINAL_TYPES,
    AidConfig,
    Capk,
    TerminalConfig,
    Transaction,
)
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import Trace
from host_tools.emv_choices import aid_of, checked_choice, chosen, confirmed
from host_tools.emv_input import (
    InputError,
    date_of,
    exponent_of,
    flag_of,
    hex_bytes,
    hex_or_none,
    index_of,
    is_label,
    limit_of,
    list_of,
    modulus_of,
    number_of,
    sized_bytes,
    table_of,
    tags_of,
    told,
    unused,
)
from host_tools.emv_recording import EXTERNAL, GENERATE_AC, Recording, read_steps

_PIN_WORDS = ("entered", "bypassed", "failed", "cancelled")
_OF_THE_PAYMENT = (0x9F02, 0x9F03, 0x81, 0x9F04, 0x9A, 0x9C, 0x9F21, 0x5F2A, 0x5F36, 0x9F41, 0x9F37)
#: Objects of one length that the replay reads itself.
_SIZES = {
    0x9F02: 6, 0x9F03: 6, 0x81: 4, 0x9F04: 4, 0x9A: 3, 0x9C: 1, 0x9F21: 3, 0x5F2A: 2, 0x5F36: 1,
    0x9F37: 4, 0x9F33: 3, 0x9F35: 1, 0x9F40: 5, 0x9F1A: 2, 0x9F1B: 4, 0x9F09: 2,
}  # fmt: skip
_KEYS = (
    "interface", "steps", "terminal", "transaction", "date", "capks", "revoked", "aids",
    "online_only", "host", "pin", "choices", "random",
)  # fmt: skip
_AID_KEYS = (
    "aid", "partial", "tac_default", "tac_online", "tac_denial", "floor_limit", "threshold",
    "target_percent", "max_target_percent", "default_ddol", "default_tdol", "version",
)  # fmt: skip
_HOST_KEYS = ("8A", "91", "71", "72")


def replay(table: dict[str, Any]) -> dict[str, Any]:
    """Run the kernel; the result as docs/emv-replay.md has it. InputError."""
    if "t" in table and "steps" not in table:
        raise InputError("t: this is one entry of a trace; give the whole trace as a file")
    warnings: list[str] = []
    unused(table, _KEYS, warnings)
    interface = table.get("interface")
    if interface != "contact":
        given = "missing" if interface is None else f"{interface!r} is not replayed"
        raise InputError(f"interface: {given}; it must be 'contact'")
    if table.get("steps") is None:
        raise InputError("steps: missing")
    recording = Recording(read_steps(table["steps"], warnings))
    terminal = _objects(table, "terminal")
    payment = _objects(table, "transaction")
    if terminal.get(0x9F35, b"\x22")[0] not in TERMINAL_TYPES:
        raise InputError(f"terminal.9F35: there is no terminal type {terminal[0x9F35].hex()}")
    for tag, value in recording.implied().items():
        usable = tag != 0x9F35 or value[0] in TERMINAL_TYPES
        if usable and tag not in terminal and tag not in payment:
            (payment if tag in _OF_THE_PAYMENT else terminal)[tag] = value
    try:
        config = _config(table, recording, terminal, payment, warnings)
        transaction = _transaction(table, payment)
    except TillError as error:
        raise InputError(str(error)) from error
    number = payment.get(0x9F37) or terminal.get(0x9F37) or b""
    result = _Replay(table, recording, config, transaction, number, warnings).run()
    return result | told(warnings)


def _objects(table: dict[str, Any], name: str) -> dict[int, bytes]:
    """The data objects of ``terminal`` or ``transaction``, their lengths checked."""
    tags = tags_of(table.get(name), name)
    for tag, value in tags.items():
        size = _SIZES.get(tag, len(value))
        if len(value) != size:
            raise InputError(f"{name}.{tag:X}: {size} bytes are needed, not {len(value)}")
    if 0x9A in tags:
        date_of(tags[0x9A].hex(), f"{name}.9A")
    return tags


def _amount(raw: bytes, place: str) -> int:
    if not raw.hex().isdigit():
        raise InputError(f"{place}: not BCD")
    return int(raw.hex())


def _transaction(table: dict[str, Any], tags: dict[int, bytes]) -> Transaction:
    date = table.get("date")
    if date is not None:
        tags[0x9A] = bytes.fromhex(date_of(date, "date"))
    if 0x9A not in tags:
        tags[0x9A] = bytes.fromhex(time.strftime("%y%m%d", time.gmtime()))
    amount = _amount(tags[0x9F02], "transaction.9F02") if tags.get(0x9F02) else 0
    if 0x9F02 not in tags and tags.get(0x81):
        amount = int.from_bytes(tags[0x81], "big")
    other = _amount(tags[0x9F03], "transaction.9F03") if tags.get(0x9F03) else 0
    if other > amount:
        raise InputError("transaction.9F03: the other amount is part of the amount (9F02)")
    transaction = Transaction(
        amount,
        other_amount=other,
        kind=tags.get(0x9C, b"\x00")[0],
        date=tags[0x9A],
        time=tags.get(0x9F21, bytes(3)),
    )
    transaction.objects.update(tags)
    return transaction


def _capks(table: dict[str, Any], warnings: list[str]) -> list[Capk]:
    """The keys that can be used. One that cannot is not loaded, as in a terminal,
    and named in ``warnings``: public lists hold a few such, and keys of their own."""
    keys = []
    for place, entry in enumerate(list_of(table.get("capks"), "capks")):
        where = f"capks[{place}]"
        key = table_of(entry, where)
        parts = (
            hex_bytes(key.get("rid"), where + ".rid"),
            index_of(key.get("index"), where + ".index"),
            modulus_of(key.get("modulus"), where + ".modulus"),
            exponent_of(key.get("exponent"), where + ".exponent"),
            hex_or_none(key.get("sha1"), where + ".sha1") or None,
        )
        try:
            keys.append(Capk(*parts))
        except TillError as error:
            warnings.append(f"{where} is not loaded: {error}")
    return keys


def _revoked(table: dict[str, Any]) -> list[tuple[bytes, int, bytes]]:
    """The issuer certificates that are revoked, by RID, CAPK index, serial."""
    found = []
    for place, entry in enumerate(list_of(table.get("revoked"), "revoked")):
        where = f"revoked[{place}]"
        key = table_of(entry, where)
        rid = sized_bytes(key.get("rid"), where + ".rid", 5)
        index = index_of(key.get("index"), where + ".index")
        found.append((rid, index, sized_bytes(key.get("serial"), where + ".serial", 3)))
    return found


def _config(
    table: dict[str, Any],
    recording: Recording,
    terminal: dict[int, bytes],
    payment: dict[int, bytes],
    warnings: list[str],
) -> TerminalConfig:
    entries: list[Any] = list_of(table.get("aids"), "aids")
    if not entries:
        entries = [{"aid": name.hex()} for name in recording.applications()]
    aids = [
        _aid(table_of(entry, f"aids[{place}]"), f"aids[{place}]", recording, terminal, warnings)
        for place, entry in enumerate(entries)
    ]
    only_online = table.get("online_only")
    config = TerminalConfig(
        aids,
        _capks(table, warnings),
        _revoked(table),
        terminal_type=terminal.get(0x9F35, b"\x22")[0],
        capabilities=terminal.get(0x9F33, b"\xe0\xf8\xc8"),
        additional=terminal.get(0x9F40, b"\x60\x00\xf0\xa0\x01"),
        pin_bypass="bypassed" in list_of(table.get("pin"), "pin"),
        online_only=only_online is not None and flag_of(only_online, "online_only"),
        extra={tag: value for tag, value in payment.items()},
    )
    config.objects.update(terminal)
    return config


def _aid(
    entry: dict[str, Any],
    where: str,
    recording: Recording,
    terminal: dict[int, bytes],
    warnings: list[str],
) -> AidConfig:
    unused(entry, _AID_KEYS, warnings, where)
    given = {name: value for name, value in entry.items() if value is not None}
    aid = aid_of(given.get("aid"), where + ".aid")

    def code(name: str) -> bytes:
        return sized_bytes(given.get(name, "0000000000"), f"{where}.{name}", 5)

    def limit(name: str, default: int) -> int:
        return limit_of(given.get(name, default), f"{where}.{name}", warnings)

    def percentage(name: str, default: int) -> int:
        value = number_of(given.get(name, default), f"{where}.{name}")
        if value > 99:
            raise InputError(f"{where}.{name}: {value} is no percentage of 0 to 99")
        return value

    version = terminal.get(0x9F09)
    if "version" in given:
        version = sized_bytes(given["version"], where + ".version", 2)
    if version is None:
        # Nothing says the terminal's version: it is taken to be the card's.
        found = recording.find(0x9F08)
        version = found if found is not None and len(found) == 2 else b"\x00\x00"
    target = percentage("target_percent", 0)
    most = percentage("max_target_percent", target)
    if target > most:
        raise InputError(
            f"{where}.target_percent: {target} is more than max_target_percent, {most}"
        )
    return AidConfig(
        aid,
        flag_of(given.get("partial", True), where + ".partial"),
        code("tac_default"),
        code("tac_online"),
        code("tac_denial"),
        limit("floor_limit", int.from_bytes(terminal.get(0x9F1B, b""), "big")),
        limit("threshold", 0),
        target,
        most,
        hex_bytes(given.get("default_ddol", ""), where + ".default_ddol"),
        hex_bytes(given.get("default_tdol", ""), where + ".default_tdol"),
        version,
    )


class _Replay:
    """The answers to the kernel's steps."""

    def __init__(
        self,
        table: dict[str, Any],
        recording: Recording,
        config: TerminalConfig,
        transaction: Transaction,
        number: bytes,
        warnings: list[str],
    ) -> None:
        self.recording = recording
        self.warnings = warnings
        self.pins = _Turns("pin", table.get("pin"), _pin_word)
        self.choices = _Turns("choices", table.get("choices"), checked_choice)
        self.host = table.get("host")
        if not (self.host is None or self.host == "unable" or isinstance(self.host, dict)):
            raise InputError("host: an object or 'unable' is needed")
        self.answer = self._host_answer()
        given = hex_or_none(table.get("random"), "random")
        self.seed = given if given is not None else number
        self.trace = Trace(True)
        self.kernel = Kernel(config, transaction, self._random, self.trace)
        self.commands: list[str] = []

    def _random(self, count: int) -> bytes:
        source = self.seed or b"\x00"
        return (source * (count // len(source) + 1))[:count]

    def _host_answer(self) -> steps.HostAnswer | None:
        if not isinstance(self.host, dict):
            return None
        host = {name.upper(): value for name, value in self.host.items() if not is_label(name)}
        if len(host) < len([name for name in self.host if not is_label(name)]):
            raise InputError("host: a tag stands twice")
        unused(host, _HOST_KEYS, self.warnings, "host")
        arc = host.get("8A")
        if isinstance(arc, str) and len(arc) == 2:
            code: bytes | None = arc.encode()  # the two characters themselves
        else:
            code = hex_or_none(arc, "host.8A") or None
        auth = hex_or_none(host.get("91"), "host.91") or None
        scripts: list[tuple[int, bytes]] = []
        for name in ("71", "72"):
            value = host.get(name)
            for text in [value] if isinstance(value, str) else list_of(value, f"host.{name}"):
                scripts.append((int(name, 16), _script(int(name, 16), text, f"host.{name}")))
        return steps.HostAnswer(code, auth, scripts)

    def run(self) -> dict[str, Any]:
        step = self.kernel.start()
        while not isinstance(step, steps.Outcome):
            if isinstance(step, steps.SendApdu):
                self.commands.append(step.command.hex().upper())
                got = self.recording.answer(step.command)
                answer: Any = None if got is None else (*got, 0)
            elif isinstance(step, steps.VerifyPin):
                self.commands.append("0020008" + ("8" if step.enciphered else "0"))
                answer = self.recording.verify()
            elif isinstance(step, steps.GoOnline):
                answer = self._online()
                if answer is None:
                    return self._result(self.kernel.session.outcome("online", "no_host_given"))
            else:
                step = self.kernel.resume(self._interact(step))
                continue
            removed = answer is None  # from the reader, in the middle of a command
            step = self.kernel.abort("card_removed") if removed else self.kernel.resume(answer)
        return self._result(step)

    def _interact(self, step: steps.Step) -> Any:
        if isinstance(step, steps.EnterPin):
            word, _ = self.pins.next()
            return word or "entered", None
        choice, place = self.choices.next()
        if isinstance(step, steps.ConfirmApplication):
            return not place or confirmed(step.candidate, choice, place, self.warnings)
        if isinstance(step, steps.ChooseApplication):
            if place:
                return chosen(step.candidates, choice, place, self.warnings)
            for index, candidate in enumerate(step.candidates):
                if [candidate.aid] == self.recording.applications():
                    return index
            return 0
        raise InputError("the kernel asked for " + step.__class__.__name__)

    def _online(self) -> steps.HostAnswer | steps.Unable | None:
        """The host's part; without one, what the recorded second GENERATE AC implies."""
        if self.host == "unable":
            return steps.Unable(False)
        if self.answer is not None:
            return self.answer
        second = self.recording.later(GENERATE_AC)
        if second is None:
            return None
        external = self.recording.later(EXTERNAL)
        sent = self._cdol2_values(second.command)
        arc = sent.get(0x8A, b"")
        if arc in (b"Y3", b"Z3"):  # Book 4, A6: unable to go online
            return steps.Unable(False)
        approved = second.command[2] & 0xC0 == 0x40
        if not arc.strip(b"\0"):
            arc = b"00" if approved else b"05"
        issuer_auth = sent.get(0x91, b"")
        if external is not None:
            issuer_auth = external.command[5 : 5 + external.command[4]]
        given = issuer_auth if issuer_auth.strip(b"\0") else None
        return steps.HostAnswer(arc, given, self.recording.scripts())

    def _cdol2_values(self, command: bytes) -> dict[int, bytes]:
        """What the recorded second GENERATE AC carried, by the card's CDOL2."""
        given = self.kernel.session.value(0x8D)
        data = command[5 : 5 + command[4]] if len(command) > 5 else b""
        values: dict[int, bytes] = {}
        at = 0
        try:
            entries = dol.parse(given or b"")
        except tlv.TlvError:
            return {}
        for tag, size in entries:
            values[tag] = data[at : at + size]
            at += size
        return values if at == len(data) else {}

    def _result(self, outcome: steps.Outcome) -> dict[str, Any]:
        for script in (self.pins, self.choices):
            self.warnings.extend(f"{place}: not used" for place in script.left())
        return {
            "outcome": outcome.kind,
            "reason": outcome.reason,
            "aid": outcome.aid.hex().upper(),
            "tvr": outcome.tvr.hex().upper(),
            "tsi": outcome.tsi.hex().upper(),
            "cvm_results": outcome.cvm_results.hex().upper(),
            "cid": f"{outcome.cid:02X}" if outcome.cid is not None else None,
            "cryptogram": outcome.cryptogram.hex().upper(),
            "signature": outcome.signature,
            "online": outcome.online,
            "script_results": outcome.script_results.hex().upper(),
            "commands": self.commands,
            "mismatches": self.recording.mismatches,
            "steps_left": len(self.recording.exchanges) - self.recording.at,
            "trace": self.trace.entries,
        }


class _Turns:
    """What the cardholder does, in turn; every entry checked by ``check``."""

    def __init__(self, name: str, value: Any, check: Callable[[Any, str], Any]) -> None:
        self._name = name
        self._entries = [
            check(entry, f"{name}[{place}]") for place, entry in enumerate(list_of(value, name))
        ]
        self._at = 0

    def next(self) -> tuple[Any, str]:
        """The next entry and its place, (None, "") when there are no more."""
        if self._at == len(self._entries):
            return None, ""
        self._at += 1
        return self._entries[self._at - 1], f"{self._name}[{self._at - 1}]"

    def left(self) -> list[str]:
        """The places of those not asked for."""
        return [f"{self._name}[{place}]" for place in range(self._at, len(self._entries))]


def _pin_word(word: Any, place: str) -> str:
    if not isinstance(word, str) or word not in _PIN_WORDS:
        raise InputError(f"{place}: {word!r} is none of {', '.join(_PIN_WORDS)}")
    return word


def _script(tag: int, text: Any, place: str) -> bytes:
    """A script's content; its own template around it is taken off."""
    raw = hex_bytes(text, place)
    try:
        nodes = tlv.parse(raw)
    except tlv.TlvError:
        return raw
    if len(nodes) == 1 and nodes[0].tag == tag:
        return nodes[0].value
    return raw
