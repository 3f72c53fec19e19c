"""Application selection (EMV 4.4 Book 1, 12)."""

from firmware.payment.emv import tlv
from firmware.payment.emv.session import Ended
from firmware.payment.emv.steps import Candidate, ChooseApplication, ConfirmApplication

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.payment.emv.config import AidConfig
    from firmware.payment.emv.session import Run, Session

PSE = b"1PAY.SYS.DDF01"
#: Candidates kept, records read of the PSE, occurrences asked of one AID.
MAX_CANDIDATES = 32
MAX_DIRECTORY_RECORDS = 32
MAX_OCCURRENCES = 16


class Entry(Candidate):
    """A candidate with the terminal's own data for it."""

    def __init__(
        self, aid: bytes, name: str, priority: int, confirm: bool, config: "AidConfig"
    ) -> None:
        super().__init__(aid, name, priority, confirm)
        self.config = config


def select_command(name: bytes, following: bool = False) -> bytes:
    """SELECT by name, first or next occurrence (Book 1, 11.3.2)."""
    return bytes((0, 0xA4, 4, 2 if following else 0, len(name))) + name + b"\x00"


def match(s: "Session", aid: bytes) -> "AidConfig | None":
    """The terminal's longest AID that matches (Book 1, 12.3.1)."""
    best: "AidConfig | None" = None
    for known in s.config.aids:
        same = aid == known.aid or (known.partial and aid[: len(known.aid)] == known.aid)
        if same and (best is None or len(known.aid) > len(best.aid)):
            best = known
    return best


def _display_name(s: "Session", source: "dict[int, bytes]") -> str:
    """Preferred name if its code table is ours, else label (12.4); "" for neither."""
    preferred = source.get(0x9F12, b"")[:16]
    table = source.get(0x9F11, b"")
    if preferred and len(table) == 1 and table != b"\x00":
        from firmware.payment.emv import code_tables  # few cards have such a name

        if code_tables.supports(s.config.additional, table[0]):
            name = code_tables.decode(table[0], preferred).strip()
            if name:
                return name
    label = "".join([chr(c) for c in source.get(0x50, b"")[:16] if 0x20 <= c < 0x7F])
    return label.strip()


def _entry(s: "Session", aid: bytes, source: "dict[int, bytes]", known: "AidConfig") -> Entry:
    indicator = source.get(0x87, b"\x00")[:1] or b"\x00"
    return Entry(
        aid,
        _display_name(s, source) or aid.hex().upper(),
        indicator[0] & 0x0F,
        bool(indicator[0] & 0x80),
        known,
    )


def _flat(nodes: "list[tlv.Node]") -> "dict[int, bytes]":
    """Primitive objects by tag, the first of each kept."""
    found: "dict[int, bytes]" = {}
    for node in nodes:
        if node.children is None and node.value and node.tag not in found:
            found[node.tag] = node.value
    return found


def parse_fci(data: bytes) -> "dict[int, bytes]":
    """DF name and the objects of A5 (Book 1, 11.3.4). TlvError when malformed."""
    nodes = tlv.parse(data)
    if len(nodes) != 1 or nodes[0].tag != 0x6F or nodes[0].children is None:
        raise tlv.TlvError("FCI is not one template 6F", 0)
    fci: "dict[int, bytes]" = {}
    for node in nodes[0].children:
        if node.tag == 0xA5 and node.children is not None:
            fci.update(_flat(node.children))
    outer = _flat(nodes[0].children)
    if 0x84 not in outer:
        raise tlv.TlvError("FCI has no DF name", nodes[0].offset)
    fci[0x84] = outer[0x84]
    return fci


def build_candidates(s: "Session") -> "Run[list[Entry]]":
    """All applications that both know, highest priority first."""
    found = yield from _from_pse(s)
    if not found:
        found = yield from _from_list(s)
    # Stable: equal priorities stay in the order met; none (0) comes last.
    ordered: "list[Entry]" = []
    for priority in list(range(1, 16)) + [0]:
        ordered.extend([entry for entry in found if entry.priority == priority])
    return ordered


def _add(found: "list[Entry]", entry: Entry) -> None:
    if len(found) < MAX_CANDIDATES:
        for other in found:
            if other.aid == entry.aid:
                return
        found.append(entry)


def _from_pse(s: "Session") -> "Run[list[Entry]]":
    """By the payment system environment; empty when it cannot serve (12.3.2)."""
    found: "list[Entry]" = []
    data, sw = yield from s.send(select_command(PSE))
    if sw == 0x6A81:
        raise Ended("blocked_card", "card_blocked", "B1 12.3.2 a", "SELECT PSE gave 6A81")
    if sw != 0x9000:
        s.trace.rule("B1 12.3.2 b", "no PSE, or it is blocked", sw=f"{sw:04X}")
        return found
    try:
        fci = parse_fci(data)
        sfi = fci.get(0x88, b"")
        if len(sfi) != 1 or not 1 <= sfi[0] <= 10:
            s.trace.rule("B1 12.3.2 c", "PSE has no directory SFI of 1 to 10")
            return found
        for record in range(1, MAX_DIRECTORY_RECORDS + 1):
            data, sw = yield from s.send(bytes((0, 0xB2, record, sfi[0] << 3 | 4, 0)))
            if sw == 0x6A83:
                break
            if sw != 0x9000:
                s.trace.rule("B1 12.3.2 d", "the directory cannot be read", sw=f"{sw:04X}")
                return []
            _directory_record(s, data, fci.get(0x9F11, b""), found)
    except tlv.TlvError as error:
        s.trace.rule("B1 12.3.2 e", "the PSE is malformed: " + error.reason)
        return []
    if not found:
        s.trace.rule("B1 12.3.2 f", "no entry of the directory matches")
    return found


def _directory_record(s: "Session", data: bytes, table: bytes, found: "list[Entry]") -> None:
    """Entries of one record; their names are in the PSE's code table (11.3.4)."""
    nodes = tlv.parse(data)
    if len(nodes) != 1 or nodes[0].tag != 0x70 or nodes[0].children is None:
        raise tlv.TlvError("directory record is not one template 70", 0)
    for template in nodes[0].children:
        if template.tag != 0x61 or template.children is None:
            continue
        source = _flat(template.children)
        source.setdefault(0x9F11, table)
        aid = source.get(0x4F, b"")
        if not 5 <= len(aid) <= 16:
            s.trace.rule("B1 12.2.3 a", "a directory entry without an ADF name is passed over")
            continue
        known = match(s, aid)
        if known is not None:
            _add(found, _entry(s, aid, source, known))


def _from_list(s: "Session") -> "Run[list[Entry]]":
    """By the terminal's own list (12.3.3)."""
    found: "list[Entry]" = []
    blocked = False
    sensible = not s.config.aids
    for known in s.config.aids:
        following = False
        for _ in range(MAX_OCCURRENCES):
            data, sw = yield from s.send(select_command(known.aid, following))
            if sw == 0x6A81 and not following:
                raise Ended("blocked_card", "card_blocked", "B1 12.3.3 a", "SELECT gave 6A81")
            if sw == 0x6A82:
                sensible = True
            if sw != 0x9000 and sw >> 8 not in (0x62, 0x63):
                break
            sensible = True
            try:
                fci = parse_fci(data)
            except tlv.TlvError as error:
                s.trace.rule("B1 12.3.3 b", "FCI passed over: " + error.reason)
                if sw == 0x6283:
                    blocked = True
                break
            name = fci[0x84]
            if name[: len(known.aid)] != known.aid:
                s.trace.rule("B1 12.3.3 c", "the DF name is another")
                break
            exact = name == known.aid
            if sw == 0x6283:
                s.trace.rule("B1 12.3.3 d", "a blocked application is not a candidate")
                blocked = True
            elif sw == 0x9000 and (exact or known.partial):
                _add(found, _entry(s, name, fci, match(s, name) or known))
            if exact:
                break
            following = True
    if not found and blocked:
        raise Ended("not_accepted", "application_blocked", "B1 12.3.3 d")
    if not sensible:
        raise Ended("fallback", "chip_unusable", "house h", "no SELECT had a sensible answer")
    return found


def select_final(s: "Session", candidates: "list[Entry]", again: bool) -> "Run[Entry]":
    """Choose and select one (12.4); the session then holds its FCI."""
    refusal = "application_refused" if again else "no_application"
    while True:
        s.forget_application()
        if not candidates:
            reason = refusal
            raise Ended("not_accepted", reason, "B1 12.4 a", "no application is left")
        if len(candidates) == 1:
            entry = candidates[0]
            if entry.confirm:
                agreed = yield ConfirmApplication(entry)
                s.trace.rule("B1 12.4 b", "the only application wants consent", agreed=bool(agreed))
                if not agreed:
                    raise Ended("cancelled", "application_not_confirmed", "B1 12.4 b")
        else:
            index = yield ChooseApplication(list(candidates), again)
            if not isinstance(index, int) or not 0 <= index < len(candidates):
                raise Ended("cancelled", "no_application_chosen", "B1 12.4 c")
            s.trace.rule("B1 12.4 c", "the cardholder chose", index=index)
            entry = candidates[index]
        data, sw = yield from s.send(select_command(entry.aid))
        if sw == 0x9000:
            try:
                fci = parse_fci(data)
                if fci[0x84] == entry.aid:
                    s.fci = fci
                    s.aid = entry.config
                    s.name = _display_name(s, fci) or entry.name
                    _terminal_objects(s, entry)
                    return entry
                reason = "the FCI names another application"
            except tlv.TlvError as error:
                reason = error.reason
        else:
            reason = f"SELECT gave {sw:04X}"
        refusal = "application_blocked" if sw == 0x6283 else "application_refused"
        s.trace.rule("B1 12.4 d", "the application is taken off the list: " + reason)
        candidates.remove(entry)
        again = True


def _terminal_objects(s: "Session", entry: Entry) -> None:
    """Objects that depend on the application chosen."""
    s.terminal[0x9F06] = entry.aid
    s.terminal[0x9F09] = entry.config.version
    s.terminal[0x9F1B] = min(entry.config.floor_limit, 0xFFFFFFFF).to_bytes(4, "big")
    s.terminal[0x9F37] = s.random(4)
