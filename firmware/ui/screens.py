"""Every screen of the terminal, built from plain values.

No money and no card is known here: amounts come as text, reasons as text
keys. Node names are stable; tests and the debug link rely on them.
"""

from firmware.ui.tree import (
    BIG,
    GIANT,
    HUGE,
    NORMAL,
    SMALL,
    TINY,
    Amount,
    Battery,
    Dots,
    Hint,
    Icon,
    Lines,
    Menu,
    Node,
    Progress,
    Screen,
    Signal,
    Text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Picture of each kind of result.
_RESULT_ICONS = {
    "approved": "check",
    "declined": "cross",
    "cancelled": "cross",
    "unknown": "question",
    "reversed": "cross",
}
#: Was the customer charged? One text key a kind of result.
_CHARGED = {
    "declined": "charged.no",
    "cancelled": "charged.no",
    "unknown": "charged.unknown",
    "reversed": "charged.no",
}


def _title(key: str, optional: int = 0) -> Text:
    return Text("title", key, place="title", align="left", single=True, optional=optional)


def _foot(left: str, right: str) -> "list[Node]":
    """Key hints: what Cancel does on the left, what Enter does on the right."""
    nodes: "list[Node]" = []
    if left:
        nodes.append(Hint("hint_cancel", "cancel", left, optional=3))
    if right:
        nodes.append(
            Hint("hint_enter", "enter", right, align="right", beside=bool(left), optional=3)
        )
    return nodes


def boot(lines: "list[tuple[str, str]]", version: str = "") -> Screen:
    """Splash, and the self-test as it goes: (device kind, "ok" | "warn" | "fail")."""
    if not lines:
        nodes: "list[Node]" = [Text("brand", "boot.brand", size=BIG)]
        if version:
            nodes.append(Text("version", text=version, size=SMALL))
        nodes.append(Text("state", "boot.starting", size=SMALL))
        return Screen("boot", nodes)
    items = [("boot.device." + kind, "boot.state." + state) for kind, state in lines]
    return Screen("boot", [_title("boot.title"), Lines("lines", items)])


def self_test(lines: "list[tuple[str, str]]", first: int = 0, printer: bool = True) -> Screen:
    """The results of a self-test, from line ``first`` on; ``printer``: Enter prints them."""
    items = [("boot.device." + kind, "boot.state." + state) for kind, state in lines]
    nodes: "list[Node]" = [_title("menu.self_test"), Lines("lines", items, first)]
    return Screen("self_test", nodes + _foot("hint.cancel", "hint.print" if printer else ""))


def info(title_key: str, items: "list[tuple[str, str]]", first: int = 0, enter: str = "") -> Screen:
    """A page of (name, value) lines; names may be text keys. ``enter``: Enter's hint."""
    nodes: "list[Node]" = [_title(title_key), Lines("lines", items, first)]
    return Screen("info", nodes + _foot("hint.cancel", enter))


def idle(
    clock: str,
    bars: int,
    percent: "int | None",
    mains: bool,
    shop: str = "",
    notices: "list[str] | None" = None,
    test: bool = False,
    emulated: bool = False,
    fields: "dict[str, Any] | None" = None,
) -> Screen:
    """Waiting for the merchant. ``notices``: text keys, the gravest first;
    ``fields`` are the first one's."""
    nodes: "list[Node]" = [Signal("signal", bars)]
    told = notices or []
    if len(told) > 1:
        nodes.append(
            Text(
                "more", "idle.more", {"count": len(told) - 1}, size=SMALL, single=True,
                inverse=True, place="status", align="left",
            )
        )  # fmt: skip
    nodes.append(Battery("battery", percent, mains))
    nodes.append(Text("clock", text=clock, size=SMALL, place="status", align="right"))
    if shop:
        nodes.append(Text("shop", text=shop, most=2, optional=1 if told else 0))
    if not told:
        nodes.append(Text("prompt", "idle.prompt", size=NORMAL))
    else:
        nodes.append(Text("notice", told[0], fields, size=NORMAL))
        nodes.append(Text("notice_do", told[0] + ".do", size=SMALL, maybe=True, optional=2))
    marked = test or emulated
    if marked:
        mark = "idle.mark.both" if test and emulated else "idle.mark.test"
        if not test:
            mark = "idle.mark.emulated"
        nodes.append(
            Text("mark", mark, size=SMALL, inverse=True, single=True, place="foot", align="left")
        )
    nodes.append(Hint("hint", "menu", "hint.menu", align="right", beside=marked, optional=3))
    return Screen("idle", nodes)


def amount(text: str, currency: str = "", note_key: str = "") -> Screen:
    """Amount entry: ``text`` as it stands so far; ``note_key``: why a key was refused."""
    nodes: "list[Node]" = [_title("sale.title", 2)]
    if currency:
        nodes.append(
            Text(
                "currency", text=currency, size=SMALL, single=True,
                place="title", align="right", optional=2,
            )
        )  # fmt: skip
    if note_key:
        nodes.append(Text("prompt", note_key, size=SMALL))
    else:
        nodes.append(Text("prompt", "sale.amount.prompt", size=SMALL, optional=1))
    nodes.append(Amount("amount", text, GIANT))
    return Screen("amount", nodes + _foot("hint.cancel", "hint.ok"))


def confirm_amount(amount_text: str) -> Screen:
    """The customer agrees to the amount."""
    nodes: "list[Node]" = [
        _title("sale.confirm.title", 1),
        Text("prompt", "sale.confirm.prompt", size=SMALL),
        Amount("amount", amount_text, HUGE),
    ]
    return Screen("confirm_amount", nodes + _foot("hint.no", "hint.yes"))


def present_card(
    amount_text: str, again: bool = False, who: str = "", training: bool = False
) -> Screen:
    """Insert the card; ``again``: it could not be read, once more. ``who``: the register
    that asks; ``training``: no money is meant."""
    key = "sale.card.again" if again else "sale.card.prompt"
    nodes: "list[Node]" = [
        Amount("amount", amount_text, BIG),
        Icon("icon", "card", optional=1),
        Text("prompt", key),
    ]
    if training:
        nodes.insert(0, Text("training", "training.title", inverse=True, single=True))
    elif who:
        nodes.insert(0, Text("who", text=who, size=SMALL, most=1))
    return Screen("present_card", nodes + _foot("hint.cancel", ""))


def choose(title_key: str, items: "list[str]", selected: int) -> Screen:
    """Pick one of ``items``, words that are not ours (application labels, languages)."""
    return Screen("choose", [_title(title_key), Menu("items", items, selected)])


def menu(title_key: str, keys: "list[str]", selected: int, marked: "int | None" = None) -> Screen:
    """Pick one of our own choices, by text keys; ``marked`` is in force now."""
    items = Menu("items", keys, selected, keys=True, marked=marked)
    return Screen("menu", [_title(title_key), items])


def pin(
    amount_text: str,
    count: int,
    tries_left: "int | None" = None,
    last_try: bool = False,
    retry: bool = False,
    bypass: bool = False,
) -> Screen:
    """PIN entry: dots only, the amount in view.

    ``tries_left``: offline tries that the card says are left; ``retry``: the
    PIN before was wrong; ``bypass``: Enter without a digit goes on without one.
    """
    nodes: "list[Node]" = [Amount("amount", amount_text, BIG)]
    if last_try:
        nodes.append(Text("prompt", "sale.pin.last_try"))
    elif retry and tries_left is not None:
        nodes.append(Text("prompt", "sale.pin.wrong_left", {"tries": tries_left}))
    elif retry:
        nodes.append(Text("prompt", "sale.pin.wrong"))
    else:
        nodes.append(Text("prompt", "sale.pin.prompt"))
    nodes.append(Dots("pin", count))
    enter = "hint.bypass" if bypass and not count else "hint.ok"
    return Screen("pin", nodes + _foot("hint.cancel", enter))


def progress(
    stage_key: str, seconds: int = 0, amount_text: str = "", too_late: bool = False
) -> Screen:
    """Work in hand: which stage, for how long. ``too_late``: Cancel was pressed
    where nothing may be cancelled; the screen says so."""
    nodes: "list[Node]" = []
    if amount_text:
        nodes.append(Amount("amount", amount_text, BIG))
    nodes.append(Text("stage", stage_key))
    if too_late:
        nodes.append(Text("wait", "sale.cancel_not_now", size=SMALL))
    else:
        nodes.append(Text("wait", "progress.wait", size=SMALL, optional=1))
    nodes.append(Progress("progress", seconds))
    return Screen("progress", nodes)


def result(
    kind: str,
    key: str = "",
    fields: "dict[str, Any] | None" = None,
    amount_text: str = "",
    code: str = "",
) -> Screen:
    """How the payment ended.

    ``kind``: "approved", "declined", "cancelled", "unknown" or "reversed".
    ``key`` says why (``host.51``, ``sale.torn``) and ``key + ".do"`` what to do
    next; ``code`` is the authorisation code of an approval, else the host's
    answer code. Whether the customer was charged is always said.
    """
    given = dict(fields or {})
    given["code"] = code
    if kind == "approved":
        return _approved(key, given, amount_text)
    nodes: "list[Node]" = [
        Text("result", "result." + kind, place="banner", align="left", single=True),
        Hint(
            "hint_enter", "enter", "hint.ok",
            bare=kind == "unknown",  # the longest of these words leave no room
            place="banner", align="right",
        ),
    ]  # fmt: skip
    if code:
        nodes.append(
            Text("code", text=code, size=SMALL, place="banner", align="right", single=True)
        )
    from_host = key[:5] == "host."
    if key:
        nodes.append(Text("reason", key, given, fallback="host.other" if from_host else ""))
    nodes.append(Text("charged", _CHARGED[kind], align="left"))
    if amount_text:
        nodes.append(Amount("amount", amount_text, NORMAL, align="right", beside=True, optional=3))
    if key:
        fallback = "host.other.do" if from_host else ""
        nodes.append(Text("do", key + ".do", given, size=SMALL, fallback=fallback, maybe=True))
    return Screen("result", nodes)


def _approved(key: str, given: "dict[str, Any]", amount_text: str) -> Screen:
    nodes: "list[Node]" = [
        Icon("icon", "check", optional=1),
        Text("result", "result.approved", size=BIG),
        Amount("amount", amount_text, HUGE),
    ]
    if given["code"]:
        nodes.append(Text("code", "result.auth_code", given, size=SMALL, optional=2))
    if key:
        nodes.append(Text("reason", key, given, size=SMALL, maybe=True))
    return Screen("result", nodes)


def message(key: str, fields: "dict[str, Any] | None" = None, foot: str = "hint.ok") -> Screen:
    """Something to know, and what to do about it (``key + ".do"`` where there is one)."""
    nodes: "list[Node]" = [
        Text("text", key, fields),
        Text("do", key + ".do", fields, size=SMALL, maybe=True),
    ]
    return Screen("message", nodes + _foot("", foot))


def question(
    key: str,
    fields: "dict[str, Any] | None" = None,
    no: str = "hint.no",
    yes: str = "hint.yes",
) -> Screen:
    """Enter is yes, Cancel is no; ``no`` and ``yes`` are the hints' text keys."""
    nodes: "list[Node]" = [
        Text("text", key, fields),
        Text("do", key + ".do", fields, size=SMALL, maybe=True),
    ]
    return Screen("question", nodes + _foot(no, yes))


def secret(title_key: str, count: int) -> Screen:
    """A number of which only the length is shown."""
    nodes: "list[Node]" = [_title(title_key), Dots("secret", count)]
    return Screen("secret", nodes + _foot("hint.cancel", "hint.ok"))


def supervisor(count: int) -> Screen:
    """The supervisor's code, as dots."""
    return secret("supervisor.code", count)


def number(title_key: str, digits: str) -> Screen:
    """A number that may be seen (a voucher number to reprint)."""
    nodes: "list[Node]" = [_title(title_key), Text("number", text=digits or "_", size=BIG)]
    return Screen("number", nodes + _foot("hint.cancel", "hint.ok"))


def remove_card(kind: str = "", amount_text: str = "") -> Screen:
    """Take the card out; the result stays in view."""
    nodes: "list[Node]" = []
    if kind:
        nodes.append(
            Text("result", "result." + kind, place="banner", align="left", single=True, least=TINY)
        )
    if amount_text:
        nodes.append(Amount("amount", amount_text, NORMAL, optional=1))
    nodes.append(Icon("icon", "card_out"))
    nodes.append(Text("prompt", "sale.card.remove", size=NORMAL))
    return Screen("remove_card", nodes)


def printing(copy_key: str) -> Screen:
    """The printer works; ``copy_key`` names the copy."""
    return Screen("printing", [Text("stage", "print.stage"), Text("copy", copy_key, size=SMALL)])
