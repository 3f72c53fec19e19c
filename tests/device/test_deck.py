"""Every card of the deck, whole device: screen, journal, bank, paper agree with ``expect``."""

import pytest

from firmware.payment.journal import records as r
from tests.support import virtual_time
from tests.support.handheld import DECK, Handheld

AMOUNT = "1234"
#: Text key on the last result screen by ``expect``; several where the card says more.
ENDS = {
    "approved": {"result.approved"},
    "declined": {"result.declined"},
    "declined_reversed": {"result.reversed"},
    "unknown": {"result.reversed"},
    "not_accepted": {"sale.no_app", "sale.app_blocked"},
    "card_blocked": {"sale.card_blocked"},
    "card_removed": {"sale.torn"},
    "mute": {"error.card_mute", "sale.reader"},
    "terminated": {"error.card_data"},
}


async def sell(t: Handheld, card: str, amount: str = AMOUNT) -> None:
    """One sale up to its last result or message, answering what the card asks."""
    await t.press(*amount, "enter")
    await t.until("present_card")
    t.insert(card)
    typed = list(DECK.cards[card].typed)
    ends = ("result", "message", "printing", "remove_card")
    while True:
        tree = await t.until("pin", "choose", "question", *ends)
        if tree["screen"] == "choose":
            await t.press("enter")
            await t.when(lambda tree: tree["screen"] != "choose", "the choice taken")
        elif tree["screen"] == "question":
            await t.press("enter")
            await t.when(lambda tree: tree["screen"] != "question", "the answer taken")
        elif tree["screen"] == "pin":
            await t.pins(typed, "choose", "question", "progress", *ends)
        elif {"result.unknown"} & t.keys_shown() or "host.55" in t.keys_shown():
            shown = len(t.screens)
            await t.when(lambda tree, n=shown: len(t.screens) > n, "what follows")  # type: ignore[misc]
        else:
            return


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("card", sorted(DECK.cards))
def test_a_card_ends_as_the_deck_says(card: str, language: str) -> None:
    expect = DECK.cards[card].expect

    async def story() -> None:
        t = Handheld(languages=(language, "en" if language == "zh" else "zh"))
        await t.power_on()
        await sell(t, card)
        assert ENDS[expect] & t.keys_shown(), (t.screen["screen"], t.text)
        if expect == "unknown":
            assert any(
                "result.unknown" in {node.get("key") for node in tree["nodes"]}
                for tree in t.screens
            )
        await t.back_to_idle()
        _check_books(t, expect)
        _check_paper(t, expect)
        assert not t.acquirer.ledger.inconsistencies()
        await t.power_off()

    virtual_time.run(story())


def _check_books(t: Handheld, expect: str) -> None:
    """Journal and ledger tell the same."""
    journal = t.journal()
    asked = [body[r.K_STAN] for kind, body in journal if kind == "REQUEST"]
    sent = [row["fields"]["11"] for row in t.messages("0200")]
    assert sent == [f"{stan:06d}" for stan in asked], "each request once"
    commits = [body[r.K_OUTCOME] for kind, body in journal if kind == "COMMIT"]
    states = [state for _, _, state in t.books()]
    if expect == "approved":
        assert commits[-1] == "approved"
        assert states[-1] == "approved"
        assert states.count("approved") == 1
        assert t.records(asked[-1]) == [
            "INTENT",
            "REQUEST",
            "ANSWER",
            "COMMIT",
            "PRINTED",
            "PRINTED",
        ]
    elif expect in ("declined_reversed", "unknown"):
        assert commits == ["reverse"]
        assert states == ["reversed"]
        kinds = t.records(asked[-1])
        assert kinds[-3:] == ["REVERSAL_SENT", "REVERSED", "PRINTED"]
        assert ("ANSWER" in kinds) == (expect == "declined_reversed")
    else:
        assert "approved" not in states
        assert "reverse" not in commits
        assert len(commits) == len(asked)
    assert t.acquirer.approved_total() == (int(AMOUNT) if expect == "approved" else 0)


def _check_paper(t: Handheld, expect: str) -> None:
    if expect == "approved":
        assert t.paper.count("12.34") == 2
        assert "629999******" in t.paper
    elif expect in ("declined_reversed", "unknown"):
        assert "12.34" in t.paper
    for account in DECK.accounts():
        assert account.pan not in t.paper.replace(" ", "")


@pytest.mark.parametrize(
    ("card", "ended"), [("mute", "fallback: no_atr"), ("mute-at-apdu", "terminated: reader")]
)
def test_only_a_chip_that_never_spoke_signals_the_stripe(card: str, ended: str) -> None:
    async def story() -> None:
        t = Handheld()
        await t.power_on()
        await sell(t, card)
        (notice,) = [body for kind, body in t.journal() if kind == "NOTICE"]
        assert (notice[r.K_CODE], notice[r.K_DETAIL]) == ("not_online", ended)
        await t.power_off()

    virtual_time.run(story())
