"""Issuer scripts (EMV 4.4 Book 3, 10.10; results: Book 4, Annex A5)."""

from firmware.payment.emv import bits, tlv

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.session import Run, Session
    from firmware.payment.emv.steps import HostAnswer

#: All scripts of one answer together, templates' tags and lengths included.
MAX_TOTAL = 128
MAX_SCRIPTS = 8
NOT_PERFORMED = 0x00
FAILED = 0x10
SUCCESSFUL = 0x20


def process(s: "Session", answer: "HostAnswer", template: int) -> "Run[None]":
    """Run the scripts of one template tag: 71 before, 72 after the last GENERATE AC."""
    bit = bits.SCRIPT_FAILED_BEFORE if template == 0x71 else bits.SCRIPT_FAILED_AFTER
    total = 0
    count = 0
    for tag, body in answer.scripts:
        total += len(tlv.encode(tag, body))
        count += 1
        if tag != template:
            continue
        if total > MAX_TOTAL or count > MAX_SCRIPTS:
            s.trace.rule("B3 10.10 a", "scripts longer than the terminal must take")
            s.set_tvr(bit, "B3 10.10 a")
            if count <= MAX_SCRIPTS:
                s.script_results += bytes((NOT_PERFORMED, 0, 0, 0, 0))
            continue
        result, identifier = yield from _one(s, body)
        s.script_results += bytes((result,)) + identifier
        s.set_tsi(bits.SCRIPTS_PERFORMED, "B3 10.10 b")
        if result & 0xF0 != SUCCESSFUL:
            s.set_tvr(bit, "B3 10.10 c")


def _one(s: "Session", body: bytes) -> "Run[tuple[int, bytes]]":
    """(result byte, identifier) of one script."""
    identifier = bytes(4)
    try:
        nodes = tlv.parse(body, 1, 64)
    except tlv.TlvError as error:
        s.trace.rule("B3 10.10 d", "malformed script: " + error.reason)
        return NOT_PERFORMED, identifier
    commands: "list[bytes]" = []
    for node in nodes:
        if node.tag == 0x9F18 and len(node.value) == 4 and not commands:
            identifier = node.value
        elif node.tag == 0x86:
            commands.append(node.value)
        else:
            s.trace.rule("B3 10.10 d", f"object {node.tag:X} does not belong in a script")
            return NOT_PERFORMED, identifier
    number = 0
    for command in commands:
        number = min(number + 1, 15)
        if not is_apdu(command):
            s.trace.rule("B3 10.10 e", "a script command is no APDU", number=number)
            return FAILED | number, identifier
        _, sw = yield from s.send(command)
        if sw != 0x9000 and sw >> 8 not in (0x62, 0x63):
            s.trace.rule("B3 10.10 f", "a script command failed", number=number, sw=f"{sw:04X}")
            return FAILED | number, identifier
    return SUCCESSFUL, identifier


def is_apdu(command: bytes) -> bool:
    """Whether ``command`` is a short APDU of case 1 to 4 (ISO/IEC 7816-3, 12.1)."""
    size = len(command)
    if size < 4 or size > 261:
        return False
    if size <= 5:
        return True
    length = command[4]
    return length > 0 and size in (5 + length, 6 + length)
