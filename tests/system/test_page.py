"""The emulator as its users meet it: a real Chromium on a real emulator.

Order is asserted, never duration; every wait is for a condition.
"""

import json
import os
import re
from pathlib import Path

import pytest

from firmware.app import menu
from tests.support.at_the_page import CHROMIUM, Hands, play

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Debian's chromium is not installed"),
]


def test_a_whole_sale_by_mouse(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.click("1", "2", "3", "4")
        await hands.says("12.34")
        await hands.click("enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        assert await hands.page.text_content("#steps [aria-current]") == "PIN"
        await hands.click("1", "2", "3", "4", "enter")
        await hands.screen("question")
        await hands.click("enter")
        await hands.screen("remove_card")
        await hands.ledger("approved")
        await hands.page.click("#remove")
        await hands.screen("idle")
        await hands.until(
            "() => [...document.querySelectorAll('#paper img')].map(i => i.alt).join('\\n')"
            ".includes('CARDHOLDER COPY')"
        )
        trace = await hands.trace()
        order = [
            next(at for at, line in enumerate(trace) if title in line)
            for title in ("RESET", "GENERATE ACARQC", "0200 to bank", "0210 from bank", "ACTC")
        ]
        assert order == sorted(order)
        everything = "\n".join(trace) + "\n".join(str(frame) for frame in hands.frames)
        for spec in hands.machine.deck.cards.values():
            assert spec.pan not in everything
        # The paper goes when it is torn off, and can be read afterwards.
        await hands.page.click("#tear-paper")
        await hands.until("() => document.getElementById('paper').hidden")
        await hands.page.click("#torn")
        await hands.until("() => document.querySelectorAll('#shelf img').length > 0")

    play(tmp_path, story)


def test_a_whole_sale_by_keyboard_alone(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.type("5", "0", "0", "Backspace", "0", "Enter")  # as fast as they come
        await hands.screen("present_card")
        # The deck by keyboard: find, walk to the card, take it.
        await hands.page.focus("#find")
        await hands.page.keyboard.type("online PIN only")
        await hands.page.keyboard.press("Tab")
        await hands.page.keyboard.press("Enter")
        await hands.screen("pin")
        assert hands.machine.inserted == "online-pin"
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.screen("question")
        await hands.type("Escape")
        await hands.screen("remove_card")
        await hands.ledger("approved")
        assert hands.machine.acquirer.transactions()[0]["amount"] == 500

    play(tmp_path, story)


def test_after_a_click_enter_goes_to_the_handheld_and_not_to_the_button(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.type("7", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.screen("question")

    play(tmp_path, story)


def test_a_card_torn_out_costs_nobody_anything(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.type("9", "9", "0", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.page.click("#tear")
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.screen("result")
        await hands.until("() => document.getElementById('slot').textContent === 'no card'")
        assert hands.machine.acquirer.approved_total() == 0
        assert any("card torn out" in line for line in await hands.trace())

    play(tmp_path, story)


def test_power_cut_in_a_payment_ends_in_a_reversal(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.page.select_option("#rule", "drop")
        await hands.page.click("#set-rule")
        await hands.until("() => document.getElementById('waiting').textContent !== ''")
        await hands.type("4", "2", "0", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.ledger("approved")
        await hands.page.click("#cut")
        await hands.until("() => !document.getElementById('on').disabled")
        await hands.page.click("#remove")
        await hands.page.click("#on")
        await hands.screen("boot")
        await hands.screen("idle")
        await hands.ledger("reversed")
        assert hands.machine.acquirer.approved_total() == 0
        trace = await hands.trace()
        order = [
            next(at for at, line in enumerate(trace) if title in line)
            for title in ("0200 to bank", "power cut", "0400 to bank", "0410 from bank")
        ]
        assert order == sorted(order)

    play(tmp_path, story)


def test_paper_out_is_asked_about_and_printed_after_a_new_roll(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.page.uncheck("#sw-paper")
        await hands.type("8", "0", "0", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.says("paper")
        await hands.ledger("approved")
        assert await hands.page.is_hidden("#paper")
        await hands.page.check("#sw-paper")
        await hands.until("() => document.getElementById('sw-paper').checked")
        await hands.type("Enter")
        await hands.until(
            "() => [...document.querySelectorAll('#paper img')].map(i => i.alt).join('\\n')"
            ".includes('MERCHANT COPY')"
        )

    play(tmp_path, story)


def test_chinese_from_the_boot_screen_on(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.says("开源测试商店")
        await hands.page.click("#cut")
        await hands.until("() => !document.getElementById('on').disabled")
        await hands.page.click("#on")
        await hands.screen("boot")
        await hands.screen("idle")
        shown = [json.loads(str(frame)) for frame in hands.frames]
        boots = [
            m["tree"] for m in shown if m["type"] == "screen" and m["tree"]["screen"] == "boot"
        ]
        assert any("开机自检" in json.dumps(tree, ensure_ascii=False) for tree in boots)
        await hands.type("1", "Enter")
        await hands.says("卡")

    play(tmp_path, story, "zh")


def test_a_refused_connection_is_said_and_mended(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        filled = "() => document.querySelectorAll('#trace li').length > 0"
        await hands.until(filled)
        before = len(await hands.trace())
        await hands.page.evaluate("socket.close()")
        await hands.until("() => document.body.dataset.link === 'gone'")
        assert "make run" in (await hands.page.text_content("#link") or "")
        # What is pressed now would be lost, and the page shows that it is not taken.
        closed = [".bench", ".side", ".links"]
        assert await hands.page.locator("[inert]").count() == len(closed)
        for part in closed:
            assert await hands.page.locator(part + "[inert]").count() == 1
        await hands.type("9")
        assert await hands.page.locator(".held").count() == 0
        await hands.until("() => document.body.dataset.link === 'up'")
        await hands.until(filled)
        assert await hands.page.locator("[inert]").count() == 0
        await hands.type("3")
        await hands.says("0.03")
        assert len(await hands.trace()) == before  # what came again has replaced what was there

    play(tmp_path, story)


@pytest.mark.parametrize("board", ["virtual", "virtual-links"])
def test_nothing_is_cut_off_from_1100_to_1920(tmp_path: Path, board: str) -> None:
    async def story(hands: Hands) -> None:
        hands.machine.rack.printer.paper.add([1] * 1200, "a slip")
        await hands.page.wait_for_selector("#paper", state="visible")
        await hands.insert("offline-pin-icc-key")
        await hands.until("() => document.getElementById('slot').textContent !== 'no card'")
        for width, height in ((1100, 800), (1280, 720), (1366, 768), (1440, 900), (1920, 1080)):
            await hands.page.set_viewport_size({"width": width, "height": height})
            cut = await hands.page.evaluate(
                """() => [...document.querySelectorAll(
                    'button, label, select, h1, h2, th, td, li, .hint')]
                  .filter(e => e.offsetParent && (e.scrollWidth > e.clientWidth + 1 && e.clientWidth
                    || e.getBoundingClientRect().right > innerWidth + 1))
                  .map(e => e.id || e.textContent)"""
            )
            assert cut == [], (width, cut)
            wide = await hands.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
            # Paper, screen, keys, slot and books are in view, and nothing is to be scrolled.
            assert await hands.page.evaluate("document.documentElement.scrollHeight") <= height
            for part in ("tear-paper", "paper", "oled", "keys", "slot", "ledger", "trace"):
                box = await hands.page.locator("#" + part).bounding_box()
                assert box and box["y"] >= 0 and box["y"] + box["height"] <= height, part
            paper = await hands.page.locator("#paper").bounding_box()
            assert paper and paper["height"] >= 120
            trace = await hands.page.locator("#trace").bounding_box()
            assert trace and trace["height"] >= 300

    play(tmp_path, story, board=board)


def test_a_phone_shows_the_whole_handheld_in_its_width(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.page.set_viewport_size({"width": 390, "height": 844})
        assert await hands.page.evaluate("document.documentElement.scrollWidth") <= 390
        for part in ("oled", "keys", "slot", "deck", "trace"):
            box = await hands.page.locator("#" + part).bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390, part

    play(tmp_path, story)


def test_a_phone_goes_to_the_cards_and_back_to_the_display(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        async def in_view(part: str) -> None:
            await hands.until(
                "part => { const b = document.querySelector(part).getBoundingClientRect();"
                " return b.height > 0 && b.top >= 0 && b.bottom <= innerHeight; }",
                part,
            )

        await hands.page.set_viewport_size({"width": 390, "height": 844})
        # Without paper nothing stands between the top and the handheld.
        roll = await hands.page.locator("#roll").bounding_box()
        assert roll and roll["height"] < 60
        await in_view("#help-open")
        await in_view("#device")
        assert await hands.page.is_hidden("#to-cards")
        await hands.click("1", "enter")
        await hands.screen("present_card")
        await in_view("#to-cards")
        await hands.page.click("#to-cards")
        await in_view("#deck button")
        await hands.insert("no-cvm")
        await hands.screen("question", "remove_card")
        await in_view("#device")
        assert await hands.page.is_hidden("#to-cards")

    play(tmp_path, story)


def test_the_small_paper_shows_the_amount_and_opens_large(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.page.set_viewport_size({"width": 1280, "height": 720})
        paper = hands.machine.rack.printer.paper
        paper.add([1] * 500, "header")
        paper.add([1] * 40, "   CNY 12.34")
        paper.add([1] * 400, "footer")
        paper.add([0] * 216)
        await hands.until(
            "() => { const p = document.getElementById('paper'), at = 540 + 8 - p.scrollTop;"
            " return p.children.length === 1 && at > 40 && at < p.clientHeight; }"
        )
        await hands.page.click("#look")
        await hands.page.wait_for_selector("#receipts", state="visible")
        assert await hands.page.locator("#shelf img").count() >= 1
        await hands.page.keyboard.press("Escape")
        await hands.page.click("#paper")
        await hands.page.wait_for_selector("#receipts", state="visible")

    play(tmp_path, story)


def test_help_says_what_the_keyboard_does_and_where_the_terminal_has_its_language(
    tmp_path: Path,
) -> None:
    async def story(hands: Hands) -> None:
        await hands.type("?")
        await hands.page.wait_for_selector("#help", state="visible")
        said = await hands.page.text_content("#help") or ""
        assert "Esc for Cancel" in said and "Menu, then 4" in said
        await hands.type("5", "Escape")  # the dialog's, not the terminal's
        await hands.page.wait_for_selector("#help", state="hidden")
        assert await hands.page.evaluate("document.body.dataset.screen") == "idle"
        assert "Menu, then 4" in (await hands.page.get_attribute("#language", "title") or "")
        await hands.click("menu")
        await hands.screen("menu")
        await hands.click("4")
        await hands.says("中文")

    play(tmp_path, story)


def test_the_display_is_spoken_in_the_terminals_language(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.page.click("#language")  # the page is Chinese, the terminal is not
        await hands.type("1", "2", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.type("1", "2")
        await hands.says("PIN digits, hidden")
        label = await hands.page.get_attribute("#oled", "aria-label") or ""
        assert not re.search(r"[\u4e00-\u9fff]", label)
        assert await hands.page.get_attribute("#oled", "lang") == "en"

    play(tmp_path, story)


def test_the_paper_shows_the_newest_slip_and_a_line_to_tear_at(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        paper = hands.machine.rack.printer.paper
        for name in ("first", "second"):
            paper.add([1] * 900, name)
            await hands.until(
                "name => document.getElementById('paper').lastElementChild?.textContent !== null &&"
                " [...document.querySelectorAll('.slip:last-child img')]"
                ".some(i => i.alt.includes(name))",
                name,
            )
            paper.add([0] * 216)
        top = (
            "() => { const p = document.getElementById('paper');"
            " return p.children.length === 2"
            " && Math.abs(p.scrollTop - p.lastElementChild.offsetTop) < 3; }"
        )
        await hands.until(top)
        mark = "getComputedStyle(document.querySelector('.slip + .slip')).borderTopStyle"
        assert await hands.page.evaluate(mark) == "dashed"
        # While a slip comes, its latest print is what is seen.
        paper.add([1] * 900, "third")
        await hands.until(
            "() => { const p = document.getElementById('paper'); return p.children.length === 3"
            " && p.scrollTop + p.clientHeight >= p.scrollHeight - 3; }"
        )

    play(tmp_path, story)


def test_off_is_off(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.type("7", "7")
        await hands.says("0.77")
        await hands.page.click("#cut")
        await hands.says("Display: off")
        assert await hands.page.locator("#steps [aria-current]").count() == 0
        lit = (
            "() => { const c = document.getElementById('oled');"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            " return !d.some((v, i) => i % 4 !== 3 && v > 40); }"
        )
        await hands.until(lit)
        state = await hands.page.evaluate("fetch('/state').then(r => r.json())")
        assert state["screen"] == {"screen": "off", "nodes": []}
        assert state["powered"] is False and state["ended"] is None

    play(tmp_path, story)


def test_tearing_out_is_shown_and_can_be_called_off(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.insert("approve")
        await hands.page.click("#tear")
        await hands.until("() => document.getElementById('tear').ariaPressed === 'true'")
        assert "next command" in (await hands.page.text_content("#slot") or "")
        await hands.page.click("#tear")
        await hands.until("() => document.getElementById('tear').ariaPressed === 'false'")
        assert "next command" not in (await hands.page.text_content("#slot") or "")
        await hands.type("5", "Enter")
        await hands.screen("pin")

    play(tmp_path, story)


def test_a_terminal_that_ends_by_itself_is_said_and_started_again(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        board = hands.machine.folder / "board.py"
        whole = board.read_text()
        await hands.page.click("#cut")
        await hands.says("Display: off")
        board.write_text("raise ValueError('no such board')")
        await hands.page.click("#on")
        await hands.page.wait_for_selector("#ended", state="visible")
        said = await hands.page.text_content("#ended-text") or ""
        assert "exit code 1" in said and "was not made by till board build" in said
        assert any("ended by itself" in line for line in await hands.trace())
        board.write_text(whole)
        hands.machine.printed_stderr.clear()
        await hands.page.click("#on-again")
        await hands.screen("idle")
        await hands.page.wait_for_selector("#ended", state="hidden")

    play(tmp_path, story)


def test_the_page_speaks_the_language_of_the_terminal_and_the_other(tmp_path: Path) -> None:
    han = re.compile(r"[\u4e00-\u9fff]")

    async def story(hands: Hands) -> None:
        await hands.type("1", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.type("1", "2")
        english = await hands.page.evaluate(
            """() => [...document.querySelectorAll('body *')].flatMap(e => [
                 e.getAttribute('aria-label'), e.title, e.placeholder,
                 ...[...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent)])
               .filter(Boolean)"""
        )
        plain = {"OpenTill ", "STAN", "English"}
        code = re.compile(
            r"[A-Z0-9 .,:;*…%♪▲▼·–●▮()?+/-]*|[a-z0-9-]+|.*Hz|(Enter|Esc|Backspace|↑|↓)"
        )
        trace = set(await hands.page.eval_on_selector_all(
            "#trace *", "all => all.flatMap(e => [...e.childNodes].map(n => n.textContent))"
        ))  # fmt: skip
        left = [
            text for text in english
            if not han.search(text) and not code.fullmatch(text.strip())
            and text not in plain and text not in trace and not re.search(r"\d{6}\*+\d{4}", text)
            and text != hands.machine.pc.target
        ]  # fmt: skip
        assert left == ["Show this page in English"]
        await hands.page.click("#language")
        await hands.until("() => document.getElementById('cut').textContent === 'Power cut'")
        assert not han.search(await hands.page.text_content("#deck") or "")
        assert await hands.page.evaluate("document.documentElement.lang") == "en"

    play(tmp_path, story, "zh")


def test_the_kernels_rules_and_bits_stand_in_the_trace(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        told = await hands.page.eval_on_selector_all(
            "#trace .emv", "items => items.map(item => item.textContent)"
        )
        assert any("TSI byte 1 bit 8" in line and "B3 10.3" in line for line in told)
        assert not any("outcome" in line for line in told)
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.screen("question")
        await hands.until(
            "() => [...document.querySelectorAll('#trace .emv')]"
            ".some(item => item.textContent.includes('approved'))"
        )
        online_pin = [line for line in await hands.trace() if "TVR byte 3 bit 3" in line]
        assert len(online_pin) == 1 and "B3 10.5" in online_pin[0]
        text = await hands.page.evaluate("fetch('/trace').then(r => r.text())")
        entries = [json.loads(line) for line in text.splitlines()]
        tvr = bytearray(5)
        for entry in entries:
            if entry["t"] == "bit" and entry["word"] == "TVR":
                tvr[entry["byte"] - 1] |= 1 << (entry["bit"] - 1)
        assert f"TVR: {tvr.hex().upper()}" in hands.machine.rack.printer.text()
        spec = hands.machine.deck.cards["approve"]
        assert spec.pan not in text and spec.pan not in "".join(hands.frames)
        await hands.page.uncheck("#show-emv")
        assert await hands.page.locator("#trace .emv:visible").count() == 0
        zone = await hands.page.text_content("#zone")
        assert zone == "UTC+08:00"  # as the terminal was enrolled, and as its slips say

    play(tmp_path, story)


def test_every_control_has_a_name_for_a_screen_reader(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        nameless = await hands.page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, canvas, table, ol')]
              .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.hidden
                || (e.labels && e.labels.length))).map(e => e.outerHTML)"""
        )
        assert nameless == []

    play(tmp_path, story)


def test_every_reader_is_tried_by_mouse(tmp_path: Path) -> None:
    async def story(hands: Hands) -> None:
        await hands.click("menu")
        await hands.screen("menu")
        await hands.click(str(menu.ITEMS.index("menu.readers") + 1))
        await hands.screen("info")
        await hands.page.select_option("#hand", "tap")
        await hands.page.click('[data-card="approve"]')
        await hands.says("PPSE")
        assert "))) " in str(await hands.page.text_content("#slot"))
        trace = "\n".join(await hands.trace())
        assert "TAP" in trace and "2PAY.SYS.DDF01" in trace
        await hands.page.select_option("#hand", "swipe")
        await hands.page.click('[data-card="approve"]')
        await hands.says("Tracks, 2")
        await hands.page.click("#scan")
        await hands.says("ean13")
        await hands.page.click("#remove")
        await hands.until("() => document.getElementById('remove').disabled")

    play(tmp_path, story)


def test_a_sale_goes_over_to_the_next_link_before_ones_eyes(tmp_path: Path) -> None:
    """The merchant pulls the cable while the PIN is keyed, and sees what carries."""

    async def story(hands: Hands) -> None:
        async def says(link: str, *words: str) -> None:
            await hands.until(
                "([link, words]) => words.every(word => document.querySelector("
                "`[data-link=${link}] .at`).textContent.includes(word))",
                [link, list(words)],
            )

        await says("cable", "carries")
        await says("wifi", "ready")
        await says("mobile", "ready")
        assert not await hands.page.is_visible("#sw-network")
        await hands.type("5", "0", "0", "Enter")
        await hands.screen("present_card")
        await hands.insert("approve")
        await hands.screen("pin")
        await hands.page.select_option("[data-link=cable] .condition", "unplugged")
        await hands.type("1", "2", "3", "4", "Enter")
        await hands.screen("question")
        await hands.ledger("approved")
        await says("wifi", "carries", "KB")
        await says("cable", "down", "no connection")
        trace = await hands.trace()
        assert any("wifi: carry (no_carrier), instead of cable" in line for line in trace)
        # What was chosen stands in the page's other language, too.
        await hands.page.click("#language")
        await says("wifi", "正在使用")
        chosen = await hands.page.input_value("[data-link=cable] .condition")
        assert chosen == "unplugged"
        await hands.page.select_option("[data-link=mobile] .signal", "weak")
        await hands.page.select_option("[data-link=wifi] .condition", "password")
        await says("wifi", "不通", "被拒绝")
        await says("mobile", "正在使用")
        assert hands.machine.rack.modem.rsrp == -112

    play(tmp_path, story, board="virtual-links")
