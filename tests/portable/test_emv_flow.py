"""Whole transactions against the scripted card: outcome, TVR, TSI, commands."""

from firmware.payment.emv import steps
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import TOLD_AT_ONCE, Trace
from tests.portable.emv_card import FakeCard, Run, aid_config, config, drive, transaction


def _instructions(card):
    return [command[1] for command in card.log]


def test_online_pin_sale_is_approved():
    card = FakeCard()
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("approved", "online_approved")
    assert run.outcome.tvr.hex() == "8000048000"
    assert run.outcome.tsi.hex() == "7800"
    assert run.outcome.cvm_results.hex() == "020000"
    assert run.outcome.online and not run.outcome.signature
    assert not run.outcome.host_approved_card_declined
    assert run.outcome.cid == 0x40
    assert _instructions(card) == [0xA4, 0xA4, 0xA4, 0xA8, 0xB2, 0xB2, 0xB2, 0xB2, 0xAE, 0x82, 0xAE]
    assert card.log[3].hex() == "80a80000078305" + "0156e0f8c8" + "00"
    amount = "000000012345" + "000000000000" + "0156" + "8000048000" + "0156" + "261121" + "00"
    assert card.log[8].hex() == "80ae80001d" + amount + "5a5a5a5a" + "00"
    assert card.log[10].hex() == "80ae40001f" + "3030" + amount + "5a5a5a5a" + "00"


def test_online_step_carries_field_55():
    run = drive(FakeCard())
    online = next(step for step in run.steps if isinstance(step, steps.GoOnline))
    for tag in (
        0x9F26,
        0x9F27,
        0x9F10,
        0x9F37,
        0x9F36,
        0x95,
        0x9A,
        0x9C,
        0x9F02,
        0x5F2A,
        0x82,
        0x9F1A,
    ) + (0x9F03, 0x9F33, 0x9F34, 0x9F35, 0x9F1E, 0x84, 0x9F09, 0x9F41, 0x57, 0x5A, 0x5F34):
        assert tag in online.tags, hex(tag)
    assert online.tags[0x9F27] == b"\x80"
    assert online.tags[0x95].hex() == "8000048000"


def test_each_oda_method_succeeds():
    for method, tvr, tsi in (("SDA", "0200", "f8"), ("DDA", "0000", "f8"), ("CDA", "0000", "f8")):
        run = drive(FakeCard(method))
        assert run.outcome.kind == "approved", (method, run.rules())
        assert run.outcome.tvr.hex()[:4] == tvr, method
        assert run.outcome.tsi.hex() == tsi + "00", method
    assert run.outcome.cryptogram == b"\xac" * 8


def test_host_declines():
    card = FakeCard()
    card.kinds = [0x80, 0x00]
    run = drive(card, host=steps.HostAnswer(b"51"))
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "host_declined")
    assert card.log[-1][2] == 0x00
    assert not run.outcome.host_approved_card_declined


def test_card_declines_what_the_host_approved():
    card = FakeCard()
    card.kinds = [0x80, 0x00]
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "card_declined")
    assert run.outcome.host_approved_card_declined


def test_unable_to_go_online_asks_aac_when_bytes_left():
    card = FakeCard()
    card.kinds = [0x80, 0x00]
    run = drive(card, host=steps.Unable(True))
    assert run.outcome.kind == "declined"
    assert card.log[-1][2] == 0x00
    assert card.log[-1][5:7] == b"Z3"


def test_unable_by_default_codes():
    for default, kind, asked, code in (
        ("0000000000", "approved", 0x40, b"Y3"),
        ("8000000000", "declined", 0x00, b"Z3"),
    ):
        card = FakeCard()
        card.kinds = [0x80, asked]
        terminal = config(aids=[aid_config(tac_default=bytes.fromhex(default))])
        run = drive(card, terminal=terminal, host=steps.Unable(False))
        assert run.outcome.kind == kind
        assert card.log[-1][2] == asked
        assert card.log[-1][5:7] == code
        assert not run.outcome.online


def test_offline_approval_and_decline():
    quiet = config(aids=[aid_config(tac_online=bytes(5))])
    card = FakeCard(cvm="1F00")
    card.kinds = [0x40]
    run = drive(card, terminal=quiet, payment=transaction(amount=100))
    assert (run.outcome.kind, run.outcome.reason) == ("approved", "offline_approved")
    assert not run.outcome.online
    card = FakeCard()
    card.static[0x9F0E] = b"\x80\x00\x00\x00\x00"
    card.kinds = [0x00]
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("declined", "offline_declined")


def test_masked_trace_hides_a_pan_in_any_object():
    card = FakeCard()
    card.data[0xDF01] = card.static[0x5A]
    text = "\n".join(drive(card).trace.lines())
    assert "6210940000000012" not in text and "*" * 16 in text
    assert "6210940000000012" in "\n".join(drive(FakeCard(), full=True).trace.lines())


def test_trace_limit():
    trace = Trace(limit=3)
    for _ in range(5):
        trace.rule("house a")
    assert (len(trace.entries), trace.dropped) == (3, 2)


def test_abort_says_what_to_reverse():
    card = FakeCard()
    run = drive(card)
    kernel = run.kernel
    assert kernel.abort("card_removed") is run.outcome


def test_a_told_trace_waits_for_the_number_and_then_leaves_step_by_step():
    told = []
    card = FakeCard()
    card.data[0xDF01] = card.static[0x5A]
    run = Run()
    run.trace = Trace(tell=told.append)
    kernel = Kernel(config(), transaction(), lambda n: b"\x5a" * n, run.trace)
    step = kernel.start()
    before = []
    while isinstance(step, steps.SendApdu):
        before.append(len(told))
        data, sw = card.exchange(step.command)
        step = kernel.resume((data, sw, 1000))
    assert before[:4] == [0, 0, 0, 0] and told
    assert run.trace.entries == []
    kernel.abort("cancelled")
    lines = [line for lines in told for line in lines]
    assert '"outcome"' in lines[-1]
    assert "6210940000000012" not in "\n".join(lines)
    assert max([len(lines) for lines in told]) <= TOLD_AT_ONCE
    quiet = Trace(limit=0)
    quiet.apdu(b"\x00\xb2\x01\x0c\x00", b"\x70\x00", 0x9000, 5)
    quiet.bit("B3 1", "TVR", 0x380, "x")
    assert quiet.entries == []
