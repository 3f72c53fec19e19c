"""Screen trees, their drawing and the view, on both interpreters."""

import sys

from firmware import aio
from firmware.app import quiet
from firmware.hal.display import Display
from firmware.text import fonts
from firmware.text.texts import Texts
from firmware.ui import parts, screens, tree
from firmware.ui.draw import draw
from firmware.ui.view import View


class PaperDisplay(Display):
    """Remembers its frames."""

    def __init__(self, width: int = 128, height: int = 64) -> None:
        self.width = width
        self.height = height
        self.frames: "list[bytes]" = []

    async def show(self, frame: "bytes | bytearray") -> None:
        assert len(frame) == self.width * (self.height // 8)
        self.frames.append(bytes(frame))


def test_pin_screens_show_dots_and_never_their_number_in_the_tree() -> None:
    texts = Texts("en")
    screen = screens.pin("¥1.00", 5)
    assert screen.find("pin").count == 5
    shown = [node for node in screen.to_tree(texts)["nodes"] if node["name"] == "pin"]
    assert shown == [{"name": "pin", "kind": "dots", "count": tree.REDACTED}]
    shown = [node for node in screens.supervisor(3).to_tree()["nodes"] if node["kind"] == "dots"]
    assert shown[0]["count"] == tree.REDACTED
    texts.close()


def test_a_redacted_text_hides_every_value() -> None:
    texts = Texts("en")
    node = tree.Text("pan", "app.confirm", {"label": "6227001234567890"}, redacted=True)
    assert "6227" not in str(tree.Screen("x", [node]).to_tree(texts))
    assert "6227" not in str(tree.Screen("x", [node]).to_tree())
    texts.close()


def test_results_say_what_happened_whether_charged_and_what_to_do() -> None:
    texts = Texts("en")

    def words(screen: tree.Screen) -> "dict[str, str]":
        return {n["name"]: n.get("text", "") for n in screen.to_tree(texts)["nodes"]}

    said = words(screens.result("declined", "host.51", {}, "¥5.00", "51"))
    assert said["result"] == "DECLINED"
    assert said["code"] == "51"
    assert said["reason"] == "Not enough funds"
    assert said["charged"] == "NOT CHARGED"
    assert said["do"] == "Use another card"
    assert said["amount"] == "¥5.00"
    said = words(screens.result("declined", "host.Z9", {}, "¥5.00", "Z9"))
    assert said["reason"] == "Bank refuses: Z9"
    assert said["do"] == "Call the acquirer"
    said = words(screens.result("unknown", "unknown.hold", {}, "¥5.00", ""))
    assert said["charged"] == "CHARGED? UNKNOWN"
    assert "do not try again" in said["reason"]
    said = words(screens.result("approved", "", {}, "¥5.00", "123456"))
    assert said["result"] == "APPROVED"
    assert said["code"] == "Approval code 123456"
    assert "charged" not in said
    texts.close()


def test_pin_prompts() -> None:
    def prompt(screen: tree.Screen) -> str:
        return str(screen.find("prompt").key)

    assert prompt(screens.pin("1", 0)) == "sale.pin.prompt"
    assert prompt(screens.pin("1", 0, 3, retry=True)) == "sale.pin.wrong_left"
    assert prompt(screens.pin("1", 0, None, retry=True)) == "sale.pin.wrong"
    assert prompt(screens.pin("1", 0, 1, True, retry=True)) == "sale.pin.last_try"
    assert screens.pin("1", 0, bypass=True).find("hint_enter").key == "hint.bypass"
    assert screens.pin("1", 0).find("hint_enter").key == "hint.ok"


def test_idle_marks_a_test_terminal() -> None:
    assert screens.idle("1", 0, None, True).find("mark") is None
    marks = []
    for test, emulated in ((True, False), (False, True), (True, True)):
        marks.append(screens.idle("1", 0, None, True, "", [], test, emulated).find("mark").key)
    assert marks == ["idle.mark.test", "idle.mark.emulated", "idle.mark.both"]


def test_menus_scroll_to_the_selected_line() -> None:
    texts = Texts("en")
    items = ["Item " + str(i) for i in range(9)]
    frames = []
    for selected in range(9):
        drawing = draw(screens.choose("menu.title", items, selected), texts, 128, 64)
        assert drawing.overflow == []
        frames.append(bytes(drawing.frame))
        # The selected line is inverse: some page is full right of its words.
        lit = [drawing.frame[page * 128 + 100 : page * 128 + 104] for page in range(2, 8)]
        assert any(part == b"\xff\xff\xff\xff" for part in lit), selected
    assert len(set(frames)) == 9
    assert draw(screens.choose("menu.title", [], 0), texts, 128, 64).overflow == []
    texts.close()


def test_boot_shows_the_latest_lines() -> None:
    texts = Texts("en")
    lines = [("vault", "ok")] * 20
    one = draw(screens.boot(lines + [("printer", "fail")]), texts, 128, 64)
    other = draw(screens.boot(lines + [("printer", "ok")]), texts, 128, 64)
    assert one.overflow == []
    assert one.frame != other.frame
    texts.close()


def test_larger_panels_get_larger_type() -> None:
    texts = Texts("en")
    screen = screens.result("approved", "", {}, "¥1.00", "")
    ink = []
    for width, height in ((128, 64), (256, 128), (384, 192)):
        drawing = draw(screen, texts, width, height)
        assert drawing.overflow == []
        assert len(drawing.frame) == width * height // 8
        ink.append(sum(bin(byte).count("1") for byte in drawing.frame))
    assert ink[1] > 3 * ink[0]
    assert ink[2] > 6 * ink[0]
    texts.close()


def test_the_view_shows_and_changes_language() -> None:
    async def main() -> None:
        display = PaperDisplay()
        view = View(display, Texts("en"))
        assert view.tree() == {"screen": "", "nodes": [], "language": "en"}
        await view.refresh()
        heard = []
        view.on_screen = heard.append
        await view.show(screens.remove_card())
        assert view.screen is not None
        assert view.screen.name == "remove_card"
        assert view.frame == display.frames[-1]
        assert heard[-1]["screen"] == "remove_card"
        view.set_language("zh")
        assert view.language == "zh"
        await view.refresh()
        assert display.frames[-1] != display.frames[0]
        assert heard[-1]["language"] == "zh"
        assert view.tree()["nodes"][-1]["text"] == "请取出银行卡"
        view.set_language("zh")
        view.texts.close()

    aio.run(main())


def test_a_view_that_forgot_shows_the_same() -> None:
    view = View(PaperDisplay(), Texts("zh"))
    screen = screens.message("error.network_link")
    view.forget()
    aio.run(view.show(screen))
    shown, words = view.frame, view.tree()
    assert view.texts._cache and parts._faces
    view.forget()
    assert not view.texts._cache and not parts._faces
    for font in fonts._open_fonts.values():
        assert not font._cache
    aio.run(view.show(screen))
    assert view.frame == shown and view.tree() == words
    view.texts.close()


def test_between_flows_a_microcontroller_has_what_paying_needs() -> None:
    quiet.prepare()
    quiet.tidy(View(PaperDisplay(), Texts("en")))
    assert ("firmware.app.sale" in sys.modules) or sys.implementation.name == "cpython"
