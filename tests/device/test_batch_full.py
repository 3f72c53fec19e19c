"""A batch holds 400 payments, and nothing on the terminal closes it yet."""

from firmware.drivers.soft_vault import SoftVault
from firmware.payment.journal.fold import MAX_TRANSACTIONS
from firmware.payment.journal.journal import Journal
from tests.device.stories import menu, owe, sell, shown, tell
from tests.support.handheld import Handheld
from tests.support.journal_script import sale
from tests.support.vault_parts import SeededEntropy


async def _fill(t: Handheld, payments: int) -> None:
    """A first start, then that many payments in the journal; the power is off."""
    await t.power_on()
    await t.power_off()
    files = t.disk.files()
    vault = SoftVault(files, SeededEntropy())
    await vault.open()
    journal = Journal(files, vault)
    assert (await journal.open()).trading == "ok"
    for _ in range(payments):
        await sale(journal)
    await journal.close()


async def _refused(t: Handheld) -> None:
    """A payment ends at its amount: no card is asked for, nothing leaves."""
    sent = len(t.messages("0200"))
    t.screens.clear()
    await t.press("5", "enter")
    await t.until("message")
    assert {"error.batch_full", "error.batch_full.do"} <= t.keys_shown()
    assert not shown(t, "sale.card.prompt")
    assert len(t.messages("0200")) == sent
    await t.back_to_idle()


def test_a_full_batch_takes_no_card_and_keeps_what_else_a_merchant_needs() -> None:
    async def story(t: Handheld) -> None:
        await _fill(t, MAX_TRANSACTIONS - 1)
        await owe(t)
        await t.power_on("result")
        assert "result.reversed" in t.keys_shown(), "what is owed goes"
        await t.when(lambda _: "NOT CHARGED" in t.paper, "its slip")
        await t.press("enter")
        await t.until("idle")
        await sell(t)
        assert "result.approved" in t.keys_shown(), "the last that it holds"
        await t.back_to_idle()
        await _refused(t)
        await menu(t, 1)
        await t.when(lambda _: "DUPLICATE" in t.paper, "the last receipt once more")
        await t.until("idle")
        await t.power_off()
        await t.power_on()
        await _refused(t)
        assert [state for _, _, state in t.books()] == ["reversed", "approved"]

    tell(story)
