"""What may be asked of a terminal, by whom, and how the maps of it look (docs/link.md, Services).

Both ends read this table: the terminal checks what it is asked, the PC what it is answered.
A message is a map with the integer keys that its schema names; a schema is
``{key: (name, rule, least, most, must)}``. Keys that it does not name are refused.
"""

from firmware.crypto.hashes import sha256
from firmware.errors import TillError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Field = tuple[str, str, int, int, bool]
    Schema = dict[int, Field]

SYNC, REGISTER, SERVICE, UPDATE, KEY_LOAD = "sync", "register", "service", "update", "key-load"
#: In place of roles: every PC, strangers included.
ANY = "any"

#: The longest list, and the deepest value, that any message holds.
MOST_LIST, DEPTH = 64, 6


class CallRefused(TillError):
    """The terminal's answer is ERROR ``code`` with ``details``; the caller reads it as text."""

    text_key = "error.pc_pipe"

    def __init__(self, code: str, details: "dict[int, Any] | None" = None) -> None:
        super().__init__(code)
        self.code = code
        self.details = details if details is not None else {}


class NotOfTable(TillError):
    """A message is not what the table says."""

    text_key = "error.pc_pipe"


# Codes of ERROR that any service may give; a service's own stand beside it below.
BAD_ARGUMENTS = "arguments"  # {1: what is wrong}
NOT_ALLOWED = "role"  # this PC's roles do not allow it
NO_SERVICE = "service"  # no such service in this firmware
BUSY = "busy"  # {1: reference of the payment at work, 2: its amount}; ask again
CANCELLED, DEADLINE, LOST = "cancelled", "deadline", "lost"
FAILED = "failed"  # {1: text key, 2: detail}: a device or the storage
WINDOW, REFUSED, CODE = (
    "window",
    "refused",
    "code",
)  # pairing: no window, merchant said no, wrong code


def _int(name: str, least: int = 0, most: int = (1 << 63) - 1, must: bool = True) -> "Field":
    return (name, "int", least, most, must)


def _text(name: str, least: int = 0, most: int = 64, must: bool = True) -> "Field":
    return (name, "text", least, most, must)


def _raw(name: str, least: int, most: int, must: bool = True) -> "Field":
    return (name, "bytes", least, most, must)


def _bool(name: str, must: bool = True) -> "Field":
    return (name, "bool", 0, 0, must)


def _list(name: str, most: int = MOST_LIST, must: bool = True) -> "Field":
    return (name, "list", 0, most, must)


def _map(name: str, most: int = MOST_LIST, must: bool = True) -> "Field":
    return (name, "map", 0, most, must)


#: A place in the journal: all three name one chain.
_CURSOR: "Schema" = {
    1: _int("sequence"),
    2: _int("epoch"),
    3: _raw("chain", 32, 32),
}
#: The open batch: totals is a list of [type, currency, count, amount].
_TOTALS: "Schema" = {1: _int("batch"), 2: _list("totals")}
#: What became of a register's payment. ``outcome``: approved, declined, cancelled (before the
#: host was asked), unknown, reversed. All but unknown are for ever; unknown may become reversed.
RESULT: "Schema" = {
    1: _text("reference", 1, 80),
    2: _text("outcome", 1, 16),
    3: _int("amount", 0, 999999999999),
    4: _int("currency", 0, 999),
    5: _text("reason", 0, 64),  # "" or why: a text key, or the host's answer code
    6: _int("sequence", must=False),  # of the COMMIT, when there is one
    7: _int("stan", 1, 999999, must=False),
    8: _int("batch", 1, 999999, must=False),
    9: _text("masked PAN", 8, 19, must=False),
    10: _text("brand", 0, 24, must=False),  # the application's label
    11: _text("AID", 10, 32, must=False),
    12: _text("entry", 1, 16, must=False),  # contact, contactless, stripe, qr, keyed
    13: _text("authorisation code", 0, 6, must=False),
    14: _text("RRN", 0, 12, must=False),
    15: _text("local time", 10, 14, must=False),  # YYYYMMDDhhmmss
    16: _text("response", 2, 2, must=False),  # field 39
    17: _bool("signature", must=False),
    18: _text("merchant", 15, 15, must=False),
    19: _text("terminal", 8, 8, must=False),
    20: _bool("test", must=False),  # paid with test keys
}

#: service: (roles, arguments, item from the terminal or None, its END). What the messages of
#: ``pair_ask`` mean, and which is due, is in ``pairing``.
SERVICES: "dict[str, tuple[tuple[str, ...], Schema, Schema | None, Schema]]" = {
    "hello": (
        (ANY,),
        {},
        None,
        {
            1: _list("roles", 5),  # empty for a stranger
            2: _int("clock", must=False),  # Unix seconds; lacks while the clock is dead
            3: _int("sequence"),
            4: _int("epoch"),
            5: _raw("chain", 32, 32),
            6: _list("features", 32),
            7: _bool("busy"),
            8: _bool("test"),
        },
    ),
    "pair_ask": (
        (ANY,),
        {1: _list("roles", 5)},
        {1: _raw("commitment, share or tag", 32, 64), 2: _raw("secret", 32, 32, must=False)},
        {1: _list("roles", 5)},  # ERROR window, busy (another PC asks), refused, code {1: left}
    ),
    "pairs": ((SERVICE,), {}, None, {1: _list("pairs", 16)}),  # maps of PAIR
    "pair_revoke": ((ANY,), {1: _text("fingerprint", 16, 16)}, None, {}),
    "journal_read": (
        (SYNC,),
        {1: _int("after"), 2: _int("limit", 1, 1 << 31)},
        # Whole frames one behind the other, all of one epoch; ``chain``: before the first.
        # ``salvaged``: one frame behind a hole of a segment set aside; of the chain before
        # it only the first 8 bytes are known, the others are 0.
        {
            1: _int("first"),
            2: _int("epoch"),
            3: _raw("frames", 0, 65536),
            4: _raw("chain", 32, 32),
            5: _bool("salvaged", must=False),
        },
        _CURSOR,  # the journal's head; ERROR "expired" {1: oldest sequence that is kept}
    ),
    "journal_ack": ((SYNC,), _CURSOR, None, {}),  # ERROR "fork": the chain there is another
    "status": (
        (SYNC, SERVICE),
        {},
        None,
        {
            1: _text("state", 1, 16),  # ready, blocked, busy
            2: _list("blocked", 32),  # text keys
            3: _int("battery", 0, 100, must=False),
            4: _bool("mains", must=False),
            5: _text("paper", 0, 32, must=False),  # ok, or the printer's text key
            6: _text("link", 0, 32, must=False),
            7: _int("bars", 0, 4, must=False),
            8: _int("batch"),
            9: _list("totals"),
            10: _bool("debt"),
            11: _int("sequence"),
            12: _int("acknowledged"),
            13: _int("clock", must=False),
            14: _bool("test"),
            15: _text("terminal", 0, 8, must=False),
            16: _text("merchant", 0, 15, must=False),
            17: _text("language", 2, 8),
        },
    ),
    # ERROR "slow" when the PC does not read; item: {1 topic, 2 what its service would say}
    "watch": ((SYNC, SERVICE), {1: _list("topics", 4)}, {1: _text("topic"), 2: _map("what")}, {}),
    "screen": ((SERVICE,), {}, None, {1: _map("tree")}),
    "log": (
        (SERVICE,),
        {1: _int("after"), 2: _int("limit", 1, 1000)},
        {1: _int("number"), 2: _text("line", 0, 256)},
        {1: _int("last")},
    ),
    "doctor": ((SERVICE,), {1: _text("language", 2, 8)}, {1: _map("device")}, {1: _bool("well")}),
    # ``names``: [] for all; ``before``: what they were before the last push, to revert it.
    "config_get": (
        (SERVICE,),
        {1: _list("names"), 2: _bool("before", must=False)},
        {1: _text("name", 1, 64), 2: ("value", "plain", 0, 0, True)},
        {1: _int("version")},
    ),
    # ERROR "version" {1: the version in force}; "signature"
    "config_push": ((SERVICE,), {1: _raw("set", 1, 3072)}, None, {1: _int("version")}),
    "test_sale": (
        (SERVICE,),
        {1: _int("amount", 1, 999999999999)},
        {1: _text("step", 1, 64), 2: _int("took ms")},  # amount, card, host, print
        {1: _text("outcome", 1, 16), 2: _text("reason", 0, 64)},  # done, cancelled, failed
    ),
    # ``recipient``: X25519 public key whose private half the PC keeps.
    "backup": (
        (SERVICE,),
        {1: _raw("recipient", 32, 32)},
        {1: _raw("piece", 1, 3072)},
        {1: _raw("SHA-256", 32, 32)},
    ),
    # The PC sends the archive as ITEMs {1: piece} and its END {1: SHA-256}. ``key``: the
    # archive's own (docs/link.md, Backup). ERROR "used": there are payments here already;
    # "foreign": another merchant's or terminal's; "archive": it does not verify
    # END: payments that had no end when the archive was made, [STAN, amount, currency]: ask
    # the acquirer.
    "restore": (
        (SERVICE,),
        {1: _int("size", 1), 2: _raw("key", 32, 32)},
        None,
        {1: _list("open", 8, must=False)},
    ),
    "sale_start": (
        (REGISTER,),
        {
            1: _text("reference", 1, 80),  # printable ASCII
            2: _raw("digest", 32, 32),  # of the register's whole request, by the adapter
            3: _int("amount", 1, 999999999999),
            4: _int("currency", 0, 999),
            5: _text("kind", 1, 16),  # sale
            6: _text("register", 0, 40, must=False),  # shown to the merchant
        },
        {1: _text("state", 1, 16)},  # reserved, card, pin, online, final
        # ERROR busy; "conflict": this reference with another digest; "kind"; "currency"
        # {1: the merchant's}; "amount" {1: the most}; failed {1: what stands against payments}
        RESULT,
    ),
    "sale_state": (
        (REGISTER,),
        # "": the last one. ERROR "conflict": this reference stands for another digest
        {1: _text("reference", 0, 80), 2: _raw("digest", 32, 32, must=False)},
        None,
        {1: _text("state", 1, 16), 2: _map("result", must=False)},  # none, progress, final
    ),
    "sale_abort": (
        (REGISTER,),
        {1: _text("reference", 1, 80)},
        None,
        {1: _text("answer", 1, 16)},  # aborted, late, none, final
    ),
    "totals": ((REGISTER, SYNC), {}, None, _TOTALS),
}
#: One entry of ``pairs``.
PAIR: "Schema" = {
    1: _text("fingerprint", 16, 16),
    2: _text("name", 1, 40),
    3: _list("roles", 5),
    4: _int("made"),
    5: _int("seen"),
}


def fingerprint(key: bytes) -> str:
    """What people compare of a static key: 16 hexadecimal digits."""
    return sha256(key)[:8].hex()


def check(schema: "Schema", value: "Any") -> "dict[int, Any]":
    """``value`` when it is what the schema says. NotOfTable names the first key that is not."""
    if not isinstance(value, dict):
        raise NotOfTable("no map")
    for key in value:
        if key not in schema:
            raise NotOfTable("a key " + str(key)[:16] + " that there is not")
    for key in sorted(schema):
        name, rule, least, most, must = schema[key]
        if key not in value:
            if must:
                raise NotOfTable(name + " is missing")
            continue
        if not _good(rule, least, most, value[key]):
            raise NotOfTable(name + " is out of bounds")
    return value


def allows(service: str, roles: "list[str] | tuple[str, ...]") -> bool:
    """Whether a PC with ``roles`` (none: a stranger) may ask for ``service``."""
    return any([role == ANY or role in roles for role in SERVICES[service][0]])


def _good(rule: str, least: int, most: int, value: "Any") -> bool:
    if rule == "int":
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    if rule == "bool":
        return value is True or value is False
    if rule == "plain":
        return value is None or isinstance(value, (bool, int, str, bytes))
    if rule == "bytes":
        return isinstance(value, bytes) and least <= len(value) <= most
    if rule == "text":
        good = isinstance(value, str) and least <= len(value) <= most
        return good and not [char for char in value if ord(char) < 32 or 127 <= ord(char) < 160]
    return isinstance(value, list if rule == "list" else dict) and least <= len(value) <= most
