"""Builds the printer's documents (hal.printer) from plain values.

Slips carry Chinese and English both, as UnionPay slips do; the language of
the screen comes first. Nothing secret is known here: the values hold no full
card number and no track.

Values of a payment, all text unless said otherwise; an absent one is left out:
``shop``, ``shop_zh``, ``address``, ``merchant_id``, ``terminal_id``,
``operator``, ``acquirer``, ``issuer``, ``type`` ("sale"), ``batch``, ``stan``,
``rrn``, ``auth_code``, ``date``, ``time``, ``amount_text`` (formatted),
``currency_text`` (ISO 4217 code), ``pan_masked`` (first 6, last 4),
``pan_last4``, ``entry`` ("I" inserted, "S" swiped, "C" tapped, "M" keyed),
``label``, ``aid``, ``tvr``, ``tsi``, ``atc``, ``csn``, ``cryptogram``,
``cryptogram_kind`` ("TC", "ARQC", "AAC"), ``cvm`` ("pin", "offline_pin",
"signature", "none"), ``response_code``, ``test`` (bool), ``emulated`` (bool).

Other slips: "release" (of a reversal) and "release_scripts" (of script results)
take ``stan``, ``amount_text``, ``currency_text``, ``who``, ``reason``;
"damage" and "restored" take ``who``, ``notices`` (list of text); "self_test" takes
``results`` (list of (kind, state, detail)), ``serial``, ``version``; "counters"
takes ``counters`` (list of (text key, text)), ``due`` (list of text keys),
``serial``, ``version``; "training" takes ``amount_text``, ``currency_text``. They take
``shop``, ``merchant_id``, ``terminal_id``, ``date``, ``time``, ``test`` and
``emulated`` too.
"""

from firmware.text import faces
from firmware.text.texts import Texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = list[tuple[object, ...]]

#: Slips of a payment, with the English and Chinese heading each.
PAYMENTS = ("sale", "declined", "reversed", "unknown")
KINDS = PAYMENTS + (
    "release", "release_scripts", "damage", "restored", "self_test", "counters", "training",
)  # fmt: skip

_CVM_LINES = {
    "pin": "slip.pin",
    "offline_pin": "slip.pin",
    "signature": "slip.signature",
    "none": "slip.no_cvm",
}


def receipt(
    kind: str,
    data: "dict[str, Any]",
    copy: str,
    duplicate: bool,
    columns: int,
    texts: Texts,
) -> "Document":
    """The document of one slip.

    ``kind``: one of KINDS. ``copy``: "merchant", or anything else for the
    cardholder. ``columns`` of the paper (32, 48). ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError("no slip of kind " + kind)
    slip = _Slip(data, copy == "merchant", columns, texts)
    slip.marks(duplicate)
    if kind in PAYMENTS:
        slip.payment(kind)
        slip.both("slip.copy.merchant" if slip.merchant else "slip.copy.cardholder", "c")
        if kind == "sale" and not slip.merchant:
            slip.both("slip.keep", "c")
    elif kind in ("release", "release_scripts"):
        slip.release(kind)
    elif kind in ("damage", "restored"):
        slip.journal(kind)
    elif kind == "counters":
        slip.counters()
    elif kind == "training":
        slip.training()
    else:
        slip.self_test()
    if duplicate:
        slip.both("slip.duplicate", "cb")
    slip.test_mark()
    slip.document.append(("feed", 3))
    slip.document.append(("cut",))
    return slip.document


class _Slip:
    """A document in the making."""

    def __init__(self, data: "dict[str, Any]", merchant: bool, columns: int, texts: Texts) -> None:
        self.data = data
        self.merchant = merchant
        self.columns = columns
        # The other language lives as long as the slip: a catalogue remembers its texts.
        self.texts = (texts, Texts("en" if texts.language == "zh" else "zh"))
        self.document: "Document" = []

    def value(self, name: str) -> str:
        """A value as text, "" when absent."""
        found = self.data.get(name)
        return "" if found is None else str(found)

    def words(self, key: str, separator: str = " ", **fields: "Any") -> str:
        """A text in both languages, once where they are the same."""
        first = self.texts[0].get(key, **fields)
        second = self.texts[1].get(key, **fields)
        return first if first == second else first + separator + second

    def line(self, text: str, style: str = "") -> None:
        """A text, broken at the paper's columns."""
        room = self.columns // 2 if "w" in style else self.columns
        for part in faces.wrap(text, room, faces.columns):
            self.document.append(("text", part, style))

    def both(self, key: str, style: str = "", **fields: "Any") -> None:
        """A text in both languages: on one line where it fits, else on two."""
        joined = self.words(key, **fields)
        if faces.columns(joined) * (2 if "w" in style else 1) <= self.columns:
            self.line(joined, style)
            return
        for part in self.words(key, "\n", **fields).split("\n"):
            self.line(part, style)

    def item(self, key: str, value: str) -> None:
        """A named value: on one line, else the value right-aligned below its name."""
        if not value:
            return
        label = self.words(key) + ":"
        if faces.columns(label) + 1 + faces.columns(value) <= self.columns:
            self.document.append(("pair", label, value, ""))
        else:
            self.line(label)
            self.line(value, "r")

    def rule(self) -> None:
        """A line across the paper."""
        self.document.append(("rule",))

    def test_mark(self) -> None:
        """A terminal with test keys, or made of software, says so on every slip."""
        if self.data.get("test"):
            self.both("slip.test", "cbi")
            self.both("slip.not_real", "cbi")
        if self.data.get("emulated"):
            self.both("slip.emulated", "cbi")

    def marks(self, duplicate: bool) -> None:
        """Head of every slip: test marks, shop, DUPLICATE."""
        self.test_mark()
        chinese, latin = self.value("shop_zh"), self.value("shop")
        names = [chinese, latin] if self.texts[0].language == "zh" else [latin, chinese]
        names = [name for name in names if name]
        if names:
            # The first name large, if the paper is wide enough for it.
            fits = faces.columns(names[0]) * 2 <= self.columns
            self.line(names[0], "cbwh" if fits else "cbh")
            for name in names[1:]:
                if name != names[0]:
                    self.line(name, "c")
        if self.value("address"):
            self.line(self.value("address"), "c")
        if duplicate:
            self.both("slip.duplicate", "cb")

    def ids(self) -> None:
        """Who took the payment."""
        self.item("slip.merchant_id", self.value("merchant_id"))
        self.item("slip.terminal_id", self.value("terminal_id"))
        self.item("slip.operator", self.value("operator"))

    def when(self) -> None:
        """Date and time."""
        self.item("slip.datetime", (self.value("date") + " " + self.value("time")).strip())

    def amount(self) -> None:
        """The amount, bold and large; readable at arm's length."""
        amount = self.value("amount_text")
        if not amount:
            return
        code = self.value("currency_text")
        if code:
            at = 0
            while at < len(amount) and not amount[at].isdigit():
                at += 1
            amount = code + " " + amount[at:]
        self.line(self.words("slip.amount") + ":")
        self.line(amount, "rbwh" if 2 * faces.columns(amount) <= self.columns else "rbh")

    def card(self) -> None:
        """The truncated card number with its entry letter."""
        if self.merchant:
            number = self.value("pan_masked")
        else:
            last = self.value("pan_last4")[-4:]
            number = "*" * 12 + last if last else ""
        if number:
            self.item("slip.card", (number + " " + self.value("entry")).strip())

    def emv(self) -> None:
        """What the chip gave, for disputes."""
        for name, label in (("aid", "AID"), ("cryptogram", self.value("cryptogram_kind") or "AC")):
            if self.value(name):
                self.line(label + ": " + self.value(name))
        pairs = []
        for name in ("tvr", "tsi", "atc", "csn"):
            if self.value(name):
                pairs.append(name.upper() + ": " + self.value(name))
        line = ""
        for pair in pairs:
            joined = line + "  " + pair if line else pair
            if len(joined) > self.columns:
                self.line(line)
                joined = pair
            line = joined
        if line:
            self.line(line)

    def payment(self, kind: str) -> None:
        """A payment that reached the acquirer."""
        if kind == "sale":
            self.both("slip.title." + (self.value("type") or "sale"), "cb")
        else:
            self.both("slip.title." + kind, "cbh")
        self.rule()
        self.ids()
        self.item("slip.acquirer", self.value("acquirer"))
        self.item("slip.issuer", self.value("issuer"))
        self.card()
        self.item("slip.label", self.value("label"))
        if kind != "sale":
            self.item("slip.type", self.words("slip.title." + (self.value("type") or "sale"), "/"))
        self.item("slip.batch", self.value("batch"))
        self.item("slip.voucher", self.value("stan"))
        self.item("slip.auth", self.value("auth_code"))
        self.item("slip.rrn", self.value("rrn"))
        self.when()
        self.rule()
        self.amount()
        self.rule()
        if kind == "sale":
            self.verification()
        else:
            self.failure(kind)
        self.emv()
        self.rule()

    def verification(self) -> None:
        """How the cardholder agreed."""
        code = self.value("response_code")
        self.line(self.words("slip.approved") + (" " + code if code else ""), "c")
        cvm = self.value("cvm")
        key = _CVM_LINES.get(cvm)
        if key is None:
            return
        if cvm == "signature" and not self.merchant:
            return  # the signed copy is the merchant's
        self.both(key, "" if cvm == "signature" else "c")
        if cvm == "signature":
            self.document.append(("feed", 3))
            self.rule()
        if self.merchant:
            self.both("slip.acknowledge")

    def failure(self, kind: str) -> None:
        """Why there is no payment, and whether the customer was charged."""
        code = self.value("response_code")
        if code and kind != "unknown":
            known = self.texts[0].has("host." + code)
            self.both("host." + code if known else "host.other", "c", code=code)
            if known:
                self.item("slip.response", code)
        if kind == "unknown":
            self.both("slip.unknown", "b")
            self.both("slip.may_be_charged")
        elif kind == "reversed":
            self.both("slip.reversed", "cb")
        else:
            self.both("slip.not_charged", "cb")

    def release(self, kind: str) -> None:
        """A supervisor gave up a reversal, or script results."""
        self.both("slip.title." + kind, "cbh")
        self.rule()
        self.ids()
        self.item("slip.original", self.value("stan"))
        self.item("slip.reason", self.value("reason"))
        self.item("slip.released_by", self.value("who"))
        self.when()
        self.rule()
        self.amount()
        self.rule()
        self.both("slip.may_be_charged" if kind == "release" else "slip.scripts_lost", "b")
        self.rule()

    def journal(self, kind: str) -> None:
        """A supervisor let a terminal with a damaged or restored journal trade on."""
        self.both("slip.title.journal", "cbh")
        self.rule()
        self.ids()
        self.when()
        for notice in self.data.get("notices") or []:
            self.line("- " + str(notice))
        self.item("slip.released_by", self.value("who"))
        self.both("slip.damage" if kind == "damage" else "slip.restored")
        self.rule()

    def training(self) -> None:
        """A training sale: no payment at all."""
        self.both("training.title", "cbhi")
        self.rule()
        self.ids()
        self.when()
        self.rule()
        self.amount()
        self.rule()
        self.both("slip.not_real", "cb")
        self.both("training.title", "cbhi")
        self.rule()

    def machine(self, title: str) -> None:
        """Head of a slip about the terminal itself."""
        self.both(title, "cbh")
        self.rule()
        self.item("slip.serial", self.value("serial"))
        self.item("slip.version", self.value("version"))
        self.ids()
        self.when()
        self.rule()

    def counters(self) -> None:
        """What the terminal has done, and which parts are due for service."""
        self.machine("slip.title.counters")
        for key, text in self.data.get("counters") or []:
            self.item(key, text)
        self.rule()
        for key in self.data.get("due") or []:
            self.both(key, "b")
            self.both(key + ".do")

    def self_test(self) -> None:
        """What each device said, and a sample of everything that can be printed."""
        self.machine("slip.title.self_test")
        for kind, state, detail in self.data.get("results") or []:
            name = self.words("boot.device." + str(kind))
            self.document.append(("pair", name, self.words("boot.state." + str(state)), ""))
            if detail:
                self.line("  " + str(detail))
        self.rule()
        self.both("slip.print_sample")
        self.line("ABCDEFGHIJKLM nopqrstuvwxyz")
        self.line(self.words("slip.amount"), "b")
        self.line("123.45", "rbwh")
        if self.value("serial"):
            self.document.append(("barcode", "code128", self.value("serial")))
            self.document.append(("qr", "OPENTILL " + self.value("serial")))
        self.rule()
