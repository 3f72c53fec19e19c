"""Banks that lie, whole device: a defined screen, the books right, the next sale good."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import virtual_time
from tests.support.handheld import Handheld
from tests.support.hostile import clean_screens, to_idle
from tests.support.hostile_bank import ENDS

# Thousands of stories through code that others cover: tracing them would double their time.
pytestmark = pytest.mark.no_cover

REVERSED, APPROVED, DECLINED = "reversed", "approved", "declined"
SCRIPTS = "7100" * 60
#: Fields of a 0210 under a right MAC (None: left out), and how the sale must end.
ANSWERS: dict[str, tuple[dict[int, str | None], str]] = {
    "38_commands": ({38: "\x1b@\x1bp\x00\x01"}, REVERSED),
    "38_national": ({38: "\xff\xfe\xfd\xfc\xfb\xfa"}, REVERSED),
    "38_missing": ({38: None}, APPROVED),
    "38_blank": ({38: "      "}, APPROVED),
    "39_commands": ({39: "\x1b\x07"}, REVERSED),
    "39_blank": ({39: "  "}, REVERSED),
    "39_braces": ({39: "{0"}, REVERSED),
    "39_missing": ({39: None}, REVERSED),
    "39_unasked_partial": ({39: "10", 4: "000000000000"}, REVERSED),
    "44_commands": ({44: "\x1b@\x1bp\x00\x19\x19ABC   \x00\x07\x1b\x1b{x}%s"}, REVERSED),
    "44_braces": ({44: "{x}%s{0!r:>99999}"}, APPROVED),
    "37_commands": ({37: "\x1b@\x1bp\x00\x19\x19ABC\x00\x07"}, REVERSED),
    "never_a_date": ({12: "999999", 13: "9999", 15: "0000", 14: "9999"}, APPROVED),
    "other_terminal": ({41: "99999999"}, REVERSED),
    "other_amount": ({4: "000000000001"}, REVERSED),
    "no_amount": ({4: None}, REVERSED),
    "no_stan": ({11: None}, REVERSED),
    "other_kind": ({3: "200000"}, REVERSED),
    "55_nested": ({55: "7082000470027000"}, APPROVED),
    "55_cut": ({55: "910A1122"}, REVERSED),
    "55_empty_scripts": ({55: SCRIPTS}, APPROVED),
    "55_script_of_247": ({55: "7281FA8681F7" + "00" * 247}, APPROVED),
    "55_not_an_apdu": ({55: "710A86080084000000000000"}, APPROVED),
    "55_other_application": ({55: "710D860B00A4040006A00000033301"}, REVERSED),
    "55_odd_arc": ({55: "8A0530303030309100"}, APPROVED),
    "55_padding_only": ({55: "FF" * 250}, APPROVED),
    "55_endless_tag": ({55: "1F" + "FF" * 100}, REVERSED),
}
#: Fields of the answer to a sign-in.
SIGN_INS: dict[str, dict[int, str | None]] = {
    "62_short": {62: "00"},
    "62_zero": {62: "00" * 40},
    "62_missing": {62: None},
    "62_long": {62: "11" * 400},
    "60_short": {60: "0012"},
    "60_odd": {60: "000000011"},
    "39_commands": {39: "\x1b\x1b"},
    "39_missing": {39: None},
    "refused": {39: "97"},
}


def _spoil(t: Handheld, mti: str, changes: dict[int, str | None], times: int) -> None:
    """Change fields of the bank's next ``times`` answers to ``mti``, then sign."""
    bank: Any = t.acquirer.bank
    actions: Callable[[Any, Any], Any] = bank._actions
    left = [times]

    def spoilt(request: Any, answer: Any) -> Any:
        if request.mti != mti or left[0] == 0:
            return actions(request, answer)
        left[0] -= 1
        fields = answer.message.fields
        code = fields[39]
        for number, value in changes.items():
            if value is None:
                fields.pop(number, None)
            else:
                fields[number] = value
        if 39 in fields:
            return actions(request, answer)
        answer.message.fields = _Codeless(fields, code)
        return actions(request, answer)

    bank._actions = spoilt


class _Codeless(dict[int, str]):
    """Fields without 39 for the wire; the bank's own code still asks for it."""

    def __init__(self, fields: dict[int, str], code: str) -> None:
        super().__init__(fields)
        self._code = code

    def __missing__(self, number: int) -> str:
        return self._code


async def _good_sale(t: Handheld) -> None:
    """What went before is over: the next payment is approved."""
    t.remove()
    await t.pay("100", "approve")
    assert "result.approved" in t.keys_shown(), t.text
    await t.back_to_idle()
    assert t.books()[-1][1:] == (100, "approved")


@pytest.mark.parametrize("name", ANSWERS)
def test_an_absurd_answer_under_a_right_mac(name: str) -> None:
    changes, state = ANSWERS[name]

    async def story() -> None:
        t = Handheld()
        _spoil(t, "0200", changes, 1)
        await t.power_on()
        await t.pay("1234", "approve")
        words = "result.approved" if state == APPROVED else "result.reversed"
        await t.when(lambda tree: words in t.keys_shown(), words)
        if state == REVERSED:
            assert "NOT CHARGED" in t.text
            assert "under way" not in t.text
        await to_idle(t)
        clean_screens(t)
        assert [row[1:] for row in t.books()] == [(1234, state)]
        assert "\x1b" not in t.paper
        await _good_sale(t)
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("name", SIGN_INS)
def test_an_absurd_answer_to_a_sign_in(name: str) -> None:
    async def story() -> None:
        t = Handheld()
        _spoil(t, "0800", SIGN_INS[name], 1)
        await t.power_on()
        await t.pay("1234", "approve", "message")
        assert "Internal" not in t.text and t.keys_shown() & {
            "error.network_host", "network.failed", "error.key_refused",
        }, (t.keys_shown(), t.text)  # fmt: skip
        await to_idle(t)
        clean_screens(t)
        assert t.books() == []
        await _good_sale(t)
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("code", ["25", "96", "\x1b\x1b", None])
def test_an_absurd_answer_to_a_reversal(code: str | None) -> None:
    async def story() -> None:
        t = Handheld()
        _spoil(t, "0400", {39: code}, 2)
        await t.power_on()
        await t.pay("7712", "approve")  # the bank's MAC on it is wrong
        await to_idle(t)
        await asyncio.sleep(600)
        assert t.books() == [("000002", 7712, "reversed")]
        assert "idle.reversal_owed" not in t.keys_shown()
        await _good_sale(t)
        await t.power_off()

    virtual_time.run(story())


@pytest.mark.parametrize("signed_in", [pytest.param(False, marks=pytest.mark.soak), True])
@pytest.mark.parametrize("name", ENDS)
def test_a_stranger_on_the_banks_line(name: str, signed_in: bool) -> None:
    async def story() -> None:
        t = Handheld()
        hostile = [False]
        honest = t.rack.net.dial
        t.rack.net.dial = lambda host, port: ENDS[name](t) if hostile[0] else honest(host, port)
        await t.power_on()
        if signed_in:
            await _good_sale(t)
        hostile[0] = True
        await t.pay("1234", "approve", "result", "message")
        assert not t.keys_shown() & {"result.approved", "error.internal"}, t.text
        hostile[0] = False
        await to_idle(t)
        clean_screens(t)
        await asyncio.sleep(700)
        assert not [row for row in t.books() if row[1] == 1234 and row[2] == "approved"]
        assert "idle.reversal_owed" not in t.keys_shown()
        await _good_sale(t)
        await t.power_off()

    virtual_time.run(story())
