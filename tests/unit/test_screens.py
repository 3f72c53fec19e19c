"""Every screen, in both languages, with worst-case values: nothing is cut, pictures are kept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from firmware.app import sms_menu
from firmware.hal.mobile import ShortMessage
from firmware.services.reader_test import KINDS
from firmware.text.canvas import Canvas
from firmware.text.faces import Face
from firmware.text.texts import LANGUAGES, Texts
from firmware.ui import link_screens, parts, pc_screens, screens, tree
from firmware.ui.draw import draw
from firmware.ui.multi_tap import DIGITS, LOWER, UPPER, MultiTap
from firmware.ui.tree import Screen
from host_tools import catalogue_build
from tests.support import pictures

#: The widest amounts that a 128x64 panel must show, and an ordinary one.
WIDE = "¥99,999,999.99"
KWD = "KWD 999,999.999"
PLAIN = "¥128.50"
LABEL = "UNIONPAY CREDIT1"  # 16 characters, the most that tag 50 holds
SHOP = "Golden Dragon Tea House Ltd"
SHOP_ZH = "金龙茶叶有限公司"
KEYS = sorted(catalogue_build.read_catalogue(catalogue_build.LOCALE / "en.po"))
#: 40 characters, the most that a bundle holds, with long words; and 20 Chinese ones.
SHOP_LONG = "Internationale Teehandelsgesellschaft AG"
SHOP_ZH_LONG = "上海市浦东新区金龙茶叶贸易有限责任总公司"
PANELS = [(128, 64), (128, 128), (240, 128), (256, 64), (320, 240)]

DEVICES = (
    "display", "keypad", "files", "entropy", "vault", "clock", "tamper", "power",
    "card_reader", "printer", "network", "indicators",
)  # fmt: skip
FIELDS = {
    "label": LABEL, "amount": WIDE, "limit": WIDE, "batch": "000123", "ms": 12345, "left": 4,
    "code": "Z9", "tries": 2, "count": 12, "minutes": 30, "reason": "no paper", "detail": "x",
    "version": "10.20.30", "serial": "V-0000000001",
}  # fmt: skip


def _reasons(*groups: str) -> list[str]:
    return [k for k in KEYS if k.split(".")[0] in groups and f"{k}.do" in KEYS]


def _tried() -> Iterator[list[tuple[str, str]]]:
    """The page that tries the readers: what to do, and every line that may be said."""
    yield [("boot.device." + kind, "readers." + kind) for kind in KINDS]
    yield [
        ("boot.device.contactless", "boot.state.ok"), ("readers.type", "A"),
        ("ATS", "FF" * 8), ("", "DD" * 8), ("PPSE", "9000  4949 ms"), ("AID", "A0" * 8),
        ("", LABEL),
    ]  # fmt: skip
    yield [
        ("boot.device.stripe", "boot.state.fail"), ("readers.cause", "ScannerMissing"),
        ("readers.tracks", "1 2 3"), ("readers.number", "...8888"),
        ("readers.code", "gs1_datamatrix"), ("readers.length", "4296"), ("readers.text", "...WWWW"),
    ]  # fmt: skip


def worst() -> Iterator[tuple[str, Screen]]:
    """Every screen with values that are as wide as they get."""
    yield "boot_splash", screens.boot([], "10.20.30")
    states = ("ok", "warn", "fail")
    lines = [(kind, states[i % 3]) for i, kind in enumerate(DEVICES)]
    for count in (1, 5, 12):
        yield f"boot_{count}", screens.boot(lines[:count])
    yield "self_test", screens.self_test(lines, 4)
    readers = [(kind, states[i % 3]) for i, kind in enumerate((*KINDS, "watchdog"))]
    yield "self_test_readers", screens.self_test(readers)
    for at, shown in enumerate(_tried()):
        yield f"readers_{at}", screens.info("menu.readers", shown)
    yield "info", screens.info(
        "menu.about",
        [("about.version", "10.20.30"), ("about.merchant", "123456789012345"),
         ("about.serial", "V-0000000001"), ("about.batch", "000123"), ("tmk", "A1B2C3 TEST")],
    )  # fmt: skip
    counted = [(k, "-") for k in KEYS if k.startswith("counters.")]
    yield "counters_none", screens.info("menu.counters", counted, 0, "hint.print")
    counted = [(k, "999999.9 m" if k == "counters.paper" else "999999999") for k, _ in counted]
    for at in (0, 4):
        yield f"counters_{at}", screens.info("menu.counters", counted, at, "hint.print")
    for test in (False, True):
        for emulated in (False, True):
            yield (
                f"idle_{test:d}{emulated:d}",
                screens.idle("23:59", 4, 100, True, SHOP, test=test, emulated=emulated),
            )
    yield "idle_zh_shop", screens.idle("23:59", 0, 5, False, SHOP_ZH)
    yield "idle_long_shop", screens.idle("23:59", 4, 100, True, SHOP_LONG, None, True, True)
    yield "idle_long_zh", screens.idle("23:59", 4, 100, True, SHOP_ZH_LONG, None, True, True)
    yield "idle_no_shop", screens.idle("--:--", 2, None, True)
    for key in _reasons("error", "idle", "service"):
        yield (
            f"idle_{key}",
            screens.idle(
                "23:59",
                4,
                100,
                True,
                SHOP_ZH,
                [key, "error.network_link"],
                True,
                True,
                fields=FIELDS,
            ),
        )
    for name, amount in (("plain", PLAIN), ("wide", WIDE), ("kwd", KWD)):
        yield f"amount_{name}", screens.amount(amount, "CNY")
        yield f"amount_note_{name}", screens.amount(amount, "CNY", "sale.amount.too_large")
        yield f"confirm_amount_{name}", screens.confirm_amount(amount)
        yield f"present_card_{name}", screens.present_card(amount)
        yield f"present_again_{name}", screens.present_card(amount, again=True)
        yield f"present_who_{name}", screens.present_card(amount, who=SHOP_LONG)
        yield f"present_who_zh_{name}", screens.present_card(amount, who=SHOP_ZH_LONG)
        yield f"present_training_{name}", screens.present_card(amount, training=True)
        yield f"pin_{name}", screens.pin(amount, 4)
        yield f"pin_full_{name}", screens.pin(amount, 12, 2, retry=True, bypass=True)
        yield f"pin_wrong_{name}", screens.pin(amount, 0, None, retry=True)
        yield f"pin_last_{name}", screens.pin(amount, 0, 1, last_try=True, bypass=True)
        yield f"approved_{name}", screens.result("approved", "", {}, amount, "123456")
        yield f"approved_plain_{name}", screens.result("approved", "", {}, amount)
        yield f"unknown_{name}", screens.result("unknown", "unknown.hold", {}, amount, "96")
        yield f"remove_{name}", screens.remove_card("approved", amount)
        yield f"progress_late_{name}", screens.progress("sale.stage.waiting", 999, amount, True)
    yield "remove", screens.remove_card()
    for key in KEYS:
        if key.startswith("sale.stage.") and not key.endswith(".do"):
            yield f"progress_{key}", screens.progress(key, 59, WIDE)
    for key in _reasons("host", "sale", "error", "unknown"):
        code = key[5:7] if key.startswith("host.") else ""
        for kind in ("declined", "reversed", "cancelled"):
            yield f"{kind}_{key}", screens.result(kind, key, FIELDS, WIDE, code)
    yield "declined_unlisted", screens.result("declined", "host.Z9", {}, WIDE, "Z9")
    yield "unknown_owed", screens.result("unknown", "error.reversal_owed", {}, WIDE, "98")
    yield "unknown_lost", screens.result("unknown", "error.network_lost", {}, WIDE, "")
    for key in _reasons(*{k.split(".")[0] for k in KEYS}):
        if not key.startswith("host."):
            yield f"message_{key}", screens.message(key, FIELDS)
            yield f"question_{key}", screens.question(key, FIELDS, "hint.skip", "hint.retry")
    for key in ("app.confirm", "print.customer_question", "print.none", "sale.cancel_not_now"):
        yield f"ask_{key}", screens.question(key, FIELDS)
    for count in (0, 12):
        yield f"supervisor_{count}", screens.supervisor(count)
    yield "number", screens.number("menu.reprint", "000123")
    items = [LABEL, "Second Brand", "中文应用名称", "Four", "Five"]
    for at in (0, 2, 4):
        yield f"choose_{at}", screens.choose("app.choose.title", items, at)
    menu = [k for k in KEYS if k.startswith("menu.") and k != "menu.title"]
    for at in range(len(menu)):
        yield f"menu_{at}", screens.menu("menu.title", menu, at, marked=1)
    yield "languages", screens.choose("menu.language", [name for _, name in LANGUAGES], 1)
    for copy in ("print.copy.merchant", "print.copy.cardholder"):
        yield f"printing_{copy}", screens.printing(copy)
    yield from _links()
    yield from _pairing()


def _links() -> Iterator[tuple[str, Screen]]:
    """The screens of the network menu."""
    for mode in (LOWER, UPPER, DIGITS):
        entry = MultiTap(63, (mode,))
        yield f"typed_none_{mode}", link_screens.typed("wifi.password", entry, True, 63)
        entry = MultiTap(63, (mode,), text="W" * 62)
        entry.press("9")
        for title in ("wifi.password", "wifi.name", "ip.mask", "ip.address", "mobile.user"):
            yield f"typed_{title}_{mode}", link_screens.typed(title, entry, True, 63)
            yield f"typed_seen_{title}_{mode}", link_screens.typed(title, entry, False, 63)
    for note in [k for k in KEYS if k in _NOTES]:
        entry = MultiTap(63, text="@" * 14)
        yield f"typed_{note}", link_screens.typed("wifi.password", entry, False, 63, note)
    air = [
        (SHOP, 4, True, True), ("W" * 32, 3, True, False), (SHOP_ZH_LONG, 1, False, False),
        ("Guest", 0, False, False), ("小店", 2, True, False),
    ]  # fmt: skip
    for at in (0, 1, 2, 4):
        yield f"networks_{at}", link_screens.networks("wifi.find", air, at)
    states = [k for k in KEYS if k.startswith(("link.state.", "link.cause."))]
    known = [("link.state", one) for one in states]
    known += [("link.carrier", "W" * 16), ("network.step.address", "255.255.255.255")]
    known += [("link.dns", "255.255.255.255"), ("link.metered", "link.yes"), ("link.order", "1")]
    known += [("link.tries", "3"), ("link.apn", "x" * 16), ("link.roaming", "link.no")]
    for first in range(len(known)):
        yield f"link_{first}", link_screens.link("network.kind.mobile", known, first, True)
    for title, items in (
        ("network.kind.wifi", ("wifi.find", "wifi.hidden", "wifi.known",
                               "link.first", "link.pay")),
        ("network.kind.mobile", ("mobile.pin", "mobile.apn", "mobile.roaming", "link.first",
                                 "link.pay", "mobile.messages")),
        ("wifi.protection", ("wifi.wpa2", "wifi.wpa3", "wifi.open")),
        ("ip.how", ("ip.dhcp", "ip.static")),
        ("mobile.apn", ("mobile.apn_auto", "mobile.apn_hand")),
        ("mobile.roaming", ("mobile.roam_on", "mobile.roam_off")),
        ("wifi.known", ("wifi.again", "wifi.forget")),
    ):  # fmt: skip
        for at in range(len(items)):
            yield f"menu_{title}_{at}", screens.menu(title, list(items), at, marked=0)
    yield "choose_messages", screens.choose("mobile.messages", ["+8613800138000", "W" * 16], 1)
    for name, text in (
        ("zh", "【小店】您的验证码是482913，请勿告诉他人。" * 3),
        ("wide", "W" * 160),
    ):
        shown = sms_menu.lines(ShortMessage("W" * 20, text, 12, 15, "2026-11-21 14:05:09"))
        for first in range(len(shown)):
            yield f"sms_{name}_{first}", screens.info("mobile.messages", shown, first)
    for key in KEYS:
        if key.startswith("link.stage."):
            yield f"progress_{key}", link_screens.working(key, 59)


def _pairing() -> Iterator[tuple[str, Screen]]:
    """A PC that is paired, whose name is as long as it may be."""
    yield "pair_wait", pc_screens.waiting(120)
    for at, name in enumerate(("Office PC", "W" * 40, SHOP_ZH_LONG * 2)):
        yield f"pair_asks_{at}", pc_screens.asks(name, "0123456789abcdef")
        yield f"pair_done_{at}", pc_screens.paired(name)
        known = [("pc.key", "dddddddd"), ("", "dddddddd")]
        known += [("pc.may", key) for key in KEYS if key.startswith("pc.role.")]
        known += [("pc.made", "2026-11-22"), ("pc.seen", "-")]
        for first in (0, len(known) - 1):
            yield f"pair_{at}_{first}", pc_screens.pair(name, known, first)
    for language, _ in LANGUAGES:
        texts = Texts(language)
        words = [texts.get(key) for key in KEYS if key.startswith("pc.role.")]
        yield f"pair_roles_{language}", pc_screens.roles(texts.get("pc.and").join(words))
        texts.close()
    yield "pair_code", pc_screens.code("000000")
    yield "pair_choose", screens.menu("menu.pc", ["pc.pair", "pc.paired"], 1)
    yield "pair_stage", screens.progress("pc.stage.agreed", 9)
    yield "pair_revoke", screens.question("pc.revoke", {})
    for key in ("pc.none", "pc.nobody", "pc.nobody_asked", "pc.failed", "pc.revoked"):
        yield f"message_{key}", screens.message(key)
    yield "message_pc.wrong", screens.message("pc.wrong", {"left": 2})
    yield "message_pc.locked", screens.message("pc.locked", {"minutes": 60})


#: Why a typed line is not taken.
_NOTES = (
    "wifi.short", "wifi.bad_name", "wifi.bad_key", "ip.wrong", "ip.wrong_mask", "ip.wrong_gateway",
    "mobile.bad_pin", "mobile.bad_apn",
)  # fmt: skip


#: Screens that differ only in their words are judged by the fit, not by a picture.
_WORDS_ONLY = (
    "message_",
    "question_",
    "reversed_",
    "cancelled_",
    "idle_error",
    "menu_",
    "progress_",
    "typed_",
    "link_",
    "sms_",
)
_KEPT = (
    "declined_host.51", "declined_host.05", "reversed_sale.torn", "cancelled_error.network_host",
    "message_error.printer_paper", "question_release.confirm", "idle_error.not_provisioned",
    "menu_0", "menu_4", "progress_sale.stage.waiting", "progress_late_plain",
    "typed_wifi.password_upper", "typed_seen_wifi.name_lower", "typed_wifi.short", "link_3",
    "link_12", "sms_zh_2", "sms_wide_2",
)  # fmt: skip


def _pictured(name: str) -> bool:
    return name in _KEPT or not name.startswith((*_WORDS_ONLY, "declined_"))


@pytest.mark.parametrize("language", [code for code, _ in LANGUAGES])
@pytest.mark.parametrize(("width", "height"), PANELS)
def test_no_text_is_cut(language: str, width: int, height: int) -> None:
    texts = Texts(language)
    faults = []
    for name, screen in worst():
        drawing = draw(screen, texts, width, height)
        if drawing.overflow:
            faults.append(f"{name}: {drawing.overflow}")
        for node in screen.to_tree(texts)["nodes"]:
            if "[" in json.dumps(node.get("text", "")):
                faults.append(f"{name}: missing key in {node}")
    texts.close()
    assert faults == []


class _Marked(Canvas):
    """A canvas that remembers the boxes of all glyphs and pictures."""

    last: "_Marked"

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.boxes: list[tuple[int, int, int, int]] = []
        _Marked.last = self

    def blit(self, x: int, y: int, width: int, height: int, strips: Any, on: bool = True) -> None:
        self.boxes.append((x, y, x + width, y + height))
        super().blit(x, y, width, height, strips, on)


def _collision(canvas: _Marked) -> str:
    """The first box outside the panel or over another one; "" for none."""
    taken: list[int] = [0] * canvas.height
    for left, top, right, bottom in canvas.boxes:
        if left < 0 or top < 0 or right > canvas.width or bottom > canvas.height:
            return f"outside: {(left, top, right, bottom)}"
        columns = (1 << right) - (1 << left)
        for y in range(top, bottom):
            if taken[y] & columns:
                return f"overlap: {(left, top, right, bottom)}"
            taken[y] |= columns
    return ""


@pytest.mark.parametrize("language", [code for code, _ in LANGUAGES])
@pytest.mark.parametrize(("width", "height"), PANELS)
def test_nothing_overlaps_or_leaves_the_panel(
    language: str, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firmware.ui.draw.Canvas", _Marked)
    texts = Texts(language)
    faults = []
    for name, screen in worst():
        draw(screen, texts, width, height)
        assert _Marked.last.boxes, name
        fault = _collision(_Marked.last)
        if fault:
            faults.append(f"{name}: {fault}")
    texts.close()
    assert faults == []


def test_a_collision_is_found() -> None:
    canvas = _Marked(16, 16)
    for at, expected in ((0, ""), (8, ""), (4, "overlap"), (9, "outside")):
        canvas.boxes = [(0, 0, 8, 8), (at, 8 if at == 0 else 0, at + 8, 16 if at == 0 else 8)]
        assert _collision(canvas).startswith(expected), at


@pytest.mark.parametrize("language", [code for code, _ in LANGUAGES])
def test_the_hints_are_on_the_panel_whatever_the_words(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key that a screen waits for is shown with its picture."""
    texts = Texts(language)
    drawn: list[str] = []
    plain = parts.hint

    def hint(node: tree.Hint, texts: Texts, style: parts.Style) -> Any:
        drawn.append(node.name)
        return plain(node, texts, style)

    monkeypatch.setattr(parts, "hint", hint)
    faults = []
    for name, screen in worst():
        wanted = [node.name for node in screen.nodes if isinstance(node, tree.Hint)]
        drawn.clear()
        draw(screen, texts, 128, 64)
        if drawn[len(drawn) - len(wanted) :] != wanted:
            faults.append(name)
    texts.close()
    assert faults == []


def test_the_chosen_entry_stands_off_its_title() -> None:
    """A title is no inverse bar where an inverse entry may follow it."""
    for language, _ in LANGUAGES:
        texts = Texts(language)
        frame = draw(screens.menu("menu.title", ["menu.echo", "menu.about"], 0), texts, 128, 64)
        right = [frame.frame[page * 128 + 100] for page in range(8)]
        assert right[2:4] == [0xFF, 0xFF], language  # the entry
        assert bin(right[0]).count("1") + bin(right[1]).count("1") == 1, language  # a rule
        texts.close()


@pytest.mark.parametrize("language", [code for code, _ in LANGUAGES])
@pytest.mark.parametrize("shop", [SHOP_LONG, SHOP_ZH_LONG])
def test_a_long_shop_name_ends_in_an_ellipsis(
    language: str, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole characters only: every line set is the name's own text, up to the mark."""
    set_lines: list[str] = []
    plain = parts.line

    def line(words: str, of: Face, inverse: bool = False) -> Any:
        set_lines.append(words)
        return plain(words, of, inverse)

    monkeypatch.setattr(parts, "line", line)
    texts = Texts(language)
    screen = screens.idle("23:59", 4, 100, True, shop, None, True, True)
    assert draw(screen, texts, 128, 64).overflow == []
    # The last try's lines: the strip, the foot's mark, then the name.
    start = len(set_lines) - set_lines[::-1].index(texts.get("idle.mark.both"))
    texts.close()
    cut = next(i for i in range(start, len(set_lines)) if set_lines[i].endswith("…"))
    shown = "".join(set_lines[start : cut + 1]).replace(" ", "")
    assert shop.replace(" ", "").startswith(shown[:-1])
    assert len(shown) >= (8 if shop == SHOP_ZH_LONG else 30)


def test_too_much_is_reported_by_name() -> None:
    screen = screens.message("error.internal")
    screen.nodes[0] = type(screen.nodes[0])("text", text="far too many words " * 40)
    assert "text" in draw(screen, Texts("en"), 128, 64).overflow
    wide = screens.result("approved", "", {}, "¥" + "9" * 40, "1")
    assert draw(wide, Texts("en"), 128, 64).overflow == ["amount"]


def test_pictures_are_the_accepted_ones() -> None:
    book = pictures.PictureBook()
    for language, _ in LANGUAGES:
        texts = Texts(language)
        for name, screen in worst():
            if not _pictured(name):
                continue
            frame = draw(screen, texts, 128, 64).frame
            book.check(f"screen/{language}/{name}", pictures.image(frame, 128, 64))
        for name, screen in (
            ("idle", screens.idle("23:59", 4, 100, True, SHOP, test=True)),
            ("approved", screens.result("approved", "", {}, PLAIN, "123456")),
        ):
            for width, height in PANELS[1:]:
                frame = draw(screen, texts, width, height).frame
                picture = pictures.image(frame, width, height)
                book.check(f"screen/{language}/{width}x{height}_{name}", picture)
        texts.close()
    assert book.finish("screen/") == []


def test_a_changed_picture_fails_and_is_reported(tmp_path: Path) -> None:
    hashes, report = tmp_path / "hashes.json", tmp_path / "report"
    one, other = Image.new("L", (8, 8), 0), Image.new("L", (8, 8), 255)
    hashes.write_text(json.dumps({"a/x": pictures.digest(one), "a/gone": "0"}))
    book = pictures.PictureBook(hashes, report)
    if book._accept:
        pytest.skip("pictures are being accepted")
    assert book.check("a/x", one)
    assert len(book.finish("a/")) == 1
    book = pictures.PictureBook(hashes, report)
    assert not book.check("a/x", other)
    faults = book.finish("a/")
    assert len(faults) == 2
    assert "drawn differently" in faults[0]
    page = (report / "index.html").read_text()
    assert "accepted/a/x.png" in page
    assert "difference/a/x.png" in page


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60),
    st.text(max_size=30),
    st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=6),
    st.integers(-2, 9),
    st.sampled_from([(128, 64), (8, 8), (64, 32), (260, 130 // 8 * 8)]),
)
def test_no_words_can_break_the_drawing(
    words: str, amount: str, lines: list[tuple[str, str]], number: int, size: tuple[int, int]
) -> None:
    texts = Texts("zh")
    labels = [left for left, _ in lines]
    for screen in (
        screens.idle(words, number, number * 40, True, words, ["error.tamper"], True, True),
        screens.amount(amount, words),
        screens.result("declined", "host." + words, {"x": words}, amount, words),
        screens.choose("menu.title", labels, max(0, min(number, len(labels) - 1))),
        screens.info("menu.about", lines, number),
        screens.progress("sale.stage.card", number * 1000, amount),
    ):
        drawing = draw(screen, texts, *size)
        assert len(drawing.frame) == size[0] * size[1] // 8
        assert json.dumps(screen.to_tree(texts))
    texts.close()
