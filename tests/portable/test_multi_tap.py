"""Letters from a keypad's digits, on both interpreters."""

from firmware.text.texts import Texts
from firmware.ui import link_screens, tree
from firmware.ui.multi_tap import DIGITS, LOWER, SYMBOLS, UPPER, MultiTap, masked


def typed(entry, keys):
    """Press keys; "-" is a rest."""
    for key in keys:
        if key == "-":
            entry.settle()
        else:
            entry.press(key)
    return entry.text


def test_letters_case_and_digits():
    entry = MultiTap(20)
    assert typed(entry, ["7", "7", "7", "7", "4"]) == "sg" and entry.open
    assert typed(entry, ["4", "-", "4"]) == "shg"
    assert typed(entry, ["menu", "2", "2", "func", "0", "00", "5"]) == "shgB0005"
    assert entry.mode == DIGITS and not entry.open
    assert typed(entry, ["menu", "9", "9", "9", "9", "9"]) == "shgB00059"
    assert typed(entry, ["9"]) == "shgB0005w"  # round again
    assert typed(entry, ["clear", "clear", "cancel", "feed"]) == "shgB000"
    assert typed(entry, ["0", "0", "0"]) == "shgB000 "


def test_every_ascii_sign_can_be_typed():
    for sign in [chr(code) for code in range(32, 127)]:
        found = False
        for mode in (LOWER, UPPER, DIGITS):
            for key in "0123456789.":
                entry = MultiTap(1, (mode,))
                for _ in range(9):
                    entry.press(key)
                    found = found or entry.text == sign
        entry = MultiTap(1)
        for _ in SYMBOLS:
            entry.press("down")
            found = found or entry.text == sign
        assert found, sign


def test_up_and_down_go_through_the_symbols_both_ways():
    entry = MultiTap(5)
    assert typed(entry, ["up"]) == SYMBOLS[-1]
    assert typed(entry, ["down"]) == SYMBOLS[0]
    assert typed(entry, ["down", "-", "down"]) == SYMBOLS[1] + SYMBOLS[0]


def test_what_is_typed_is_bounded_and_of_its_kind():
    entry = MultiTap(3, (DIGITS,), ".")
    assert typed(entry, ["1", ".", "00", "2", "menu", "-", "up"]) == "1.2"
    assert entry.mode == DIGITS
    entry = MultiTap(4, (LOWER, DIGITS), ".-")
    assert typed(entry, ["1", "1", "1"]) == "1"  # dot, hyphen, digit
    assert typed(entry, ["-", "0", "-", "func", "func", "2", "-", ".", "-", "2"]) == "10a."
    assert typed(MultiTap(2, (LOWER,), ""), ["1", ".", "up", "0"]) == "10"
    assert typed(MultiTap(2, text="ab"), ["2"]) == "ab"


def test_a_password_shows_its_last_sign_only_while_it_may_change():
    entry = MultiTap(63, text="secre")
    entry.press("8")
    texts = Texts("en")
    screen = link_screens.typed("wifi.password", entry, True, 63)
    assert screen.find("typed").text == "*****t_"
    tree_of = screen.to_tree(texts)
    (line,) = [node for node in tree_of["nodes"] if node["name"] == "typed"]
    assert line["text"] == tree.REDACTED and "secre" not in str(tree_of)
    entry.settle()
    assert link_screens.typed("wifi.password", entry, True, 63).find("typed").text == "******_"
    assert link_screens.typed("wifi.name", entry, False, 32).find("typed").text == "secret_"
    assert (masked("", True), masked("ab", False)) == ("", "**")
    texts.close()
