"""Action analysis, GENERATE AC, online, completion (Book 3, 10.7 to 10.11)."""

from firmware.crypto import hashes
from firmware.payment.emv import steps
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import Trace
from tests.portable.emv_card import (
    FakeCard,
    aid_config,
    approve,
    config,
    drive,
    template,
    transaction,
)

ZERO = bytes(5)


def _asked(card):
    return [command[2] for command in card.log if command[1] == 0xAE]


def _three(codes):
    """Issuer action codes default, denial, online with their tags."""
    return [(0x9F0D, codes[0]), (0x9F0E, codes[1]), (0x9F0F, codes[2])]


def _first(tvr_codes, terminal=None, **static):
    """P1 of the first GENERATE AC for a card with these issuer action codes."""
    card = FakeCard(cvm="1F00")
    card.kinds = [0x00, 0x00]
    for tag, value in _three(tvr_codes):
        card.static[tag] = value
    run = drive(card, terminal=terminal, payment=transaction(amount=1))
    return _asked(card)[0], run


def _codes(**changes):
    values = {"tac_default": ZERO, "tac_online": ZERO, "tac_denial": ZERO}
    values.update(changes)
    return [aid_config(**values)]


HIT = b"\x80\x00\x00\x00\x00"  # ODA not performed, which this card always has


def test_denial_online_and_approval_by_codes():
    quiet = config(aids=_codes())
    asked, run = _first((ZERO, HIT, ZERO), quiet)
    assert asked == 0x00 and "B3 10.7 a" in run.rules()
    asked, run = _first((ZERO, ZERO, ZERO), config(aids=_codes(tac_denial=HIT)))
    assert asked == 0x00
    asked, run = _first((ZERO, ZERO, HIT), quiet)
    assert asked == 0x80 and "B3 10.7 d" in run.rules()
    asked, run = _first((ZERO, ZERO, ZERO), config(aids=_codes(tac_online=HIT)))
    assert asked == 0x80
    asked, run = _first((ZERO, ZERO, ZERO), quiet)
    assert asked == 0x40 and "B3 10.7 e" in run.rules()


def test_absent_issuer_codes():
    asked, _ = _first((None, None, None), config(aids=_codes()))
    assert asked == 0x80


def test_terminal_types():
    asked, run = _first((ZERO, ZERO, ZERO), config(aids=_codes(), terminal_type=0x21))
    assert asked == 0x80 and "B3 10.7 b" in run.rules()
    asked, run = _first((ZERO, ZERO, ZERO), config(aids=_codes(), online_only=True))
    assert asked == 0x80
    asked, run = _first((ZERO, ZERO, HIT), config(aids=_codes(), terminal_type=0x23))
    assert asked == 0x40
    asked, run = _first((HIT, ZERO, ZERO), config(aids=_codes(), terminal_type=0x23))
    assert asked == 0x00 and "B3 10.7 c" in run.rules()


def test_card_may_only_answer_as_asked_or_lower():
    quiet = config(aids=_codes())
    for codes, answers in (
        ((ZERO, HIT, ZERO), {0x00: "declined", 0x40: "terminated", 0x80: "terminated"}),
        ((ZERO, ZERO, HIT), {0x00: "declined", 0x40: "terminated", 0xC0: "terminated"}),
        ((ZERO, ZERO, ZERO), {0x00: "declined", 0x40: "approved", 0xC0: "terminated"}),
    ):
        for kind, outcome in answers.items():
            card = FakeCard(cvm="1F00")
            card.kinds = [kind]
            for tag, value in _three(codes):
                card.static[tag] = value
            run = drive(card, terminal=quiet, payment=transaction(amount=1))
            assert run.outcome.kind == outcome, (codes, kind)
            assert ("B3 9.3 a" in run.rules()) == (outcome == "terminated")


def test_offline_results_and_reason_code():
    quiet = config(aids=_codes())
    card = FakeCard(cvm="1F00")
    card.static[0x9F0F] = ZERO
    card.kinds = [0x40]
    run = drive(card, terminal=quiet, payment=transaction(amount=1))
    assert "B3 10.8 d" in run.rules() and "B3 10.8 c" in run.rules()
    assert run.outcome.tags[0x8A] == b"Y1" and run.outcome.tsi[0] & 0x20
    card = FakeCard()
    card.kinds = [0x00]
    run = drive(card)
    assert "B3 10.8 e" in run.rules() and "B3 10.8 a" in run.rules()
    assert run.outcome.tags[0x8A] == b"Z1"
    card = FakeCard()
    card.kinds = [0x01]
    run = drive(card)
    assert (run.outcome.kind, run.outcome.reason) == ("not_accepted", "service_not_allowed")
    assert "B3 10.8 b" in run.rules()


def test_generate_ac_answers_that_are_wrong():
    ac = (0x9F26, bytes(8))
    for answer, rule in (
        ((b"", 0x6985), "B3 9 b"),
        ((b"\x80\x0a" + bytes(10), 0x9000), "B3 6.5.5.4 a"),
        ((b"\x80\x2c" + bytes(44), 0x9000), "B3 6.5.5.4 a"),
        ((b"\x70\x00", 0x9000), "B3 6.5.5.4 b"),
        ((b"", 0x9000), "B3 6.5.5.4 b"),
        ((template(0x77, [ac, (0x9F36, b"\x00\x01")]), 0x9000), "B3 6.5.5.4 c"),
        ((template(0x77, [ac, (0x9F27, b"\x80")]), 0x9000), "B3 6.5.5.4 c"),
        ((template(0x77, [(0x9F27, b"\x80"), (0x9F36, b"\x00\x01")]), 0x9000), "B3 6.5.5.4 c"),
        ((template(0x77, [(0x9F27, b""), (0x9F36, b"\x00\x01"), ac]), 0x9000), "B3 7.5 a"),
        ((template(0x77, [ac, ac]), 0x9000), "B3 10.2 d"),
        ((b"\x77\x7f", 0x9000), "B3 7.5 a"),
    ):
        card = FakeCard()
        card.answers["80AE8000"] = answer
        run = drive(card)
        assert run.outcome.kind == "terminated", rule
        assert rule in run.rules(), (rule, run.rules())


def test_generate_ac_is_traced_with_its_request():
    assert "B3 9 a" in drive(FakeCard()).rules()


def test_tc_hash_by_tdol():
    for own, default, flag in (
        (bytes.fromhex("9F0206"), b"", 0),
        (None, bytes.fromhex("5F2A02"), 0x80),
        (None, b"", 0x80),
    ):
        card = FakeCard()
        card.data[0x97] = own
        card.data[0x8C] = bytes.fromhex("98149505")
        run = drive(card, terminal=config(aids=[aid_config(default_tdol=default)]))
        covered = {0: bytes.fromhex("000000012345"), 0x80: b"\x01\x56" if default else b""}[flag]
        data = next(c for c in card.log if c[1] == 0xAE)[5:-1]
        assert data[:20] == hashes.sha1(covered)
        assert data[24] & 0x80 == flag
        assert ("B3 9.2.2 a" in run.rules()) == bool(flag)


def test_issuer_authentication():
    card = FakeCard()
    run = drive(card)
    assert run.outcome.tsi[0] & 0x10 and not run.outcome.tvr[4]
    assert "B3 10.9 c" in run.rules() and "B3 10.9 a" in run.rules()
    card = FakeCard()
    card.answers["00820000"] = (b"", 0x6300)
    run = drive(card)
    assert run.outcome.tvr[4] == 0x40 and "B3 10.9 d" in run.rules()
    assert run.outcome.kind == "approved"
    card = FakeCard(aip=0x18)
    run = drive(card)
    assert not run.outcome.tsi[0] & 0x10 and "B3 10.9 b" in run.rules()
    assert 0x82 not in [c[1] for c in card.log]
    card = FakeCard()
    run = drive(card, host=steps.HostAnswer(b"00", bytes(5)))
    assert run.outcome.tvr[4] == 0x40 and "house f" in run.rules()
    run = drive(FakeCard(), host=steps.HostAnswer(b"00"))
    assert not run.outcome.tsi[0] & 0x10


def test_issuer_data_in_cdol2():
    card = FakeCard(aip=0x18)
    card.data[0x8D] = bytes.fromhex("910A8A02")
    drive(card)
    data = [c for c in card.log if c[1] == 0xAE][1][5:-1]
    assert data.hex() == "11223344556677883030" + "3030"


def test_response_codes_decide():
    for arc, asked in ((b"00", 0x40), (b"10", 0x40), (b"11", 0x40), (b"05", 0x00), (None, 0x00)):
        card = FakeCard()
        card.kinds = [0x80, asked]
        run = drive(card, host=steps.HostAnswer(arc))
        assert _asked(card)[1] == asked
        assert run.outcome.online
        rule = "B3 10.11 a" if asked else "B3 10.11 b"
        assert rule in run.rules()
    card = FakeCard()
    drive(card, host=steps.HostAnswer(b"A2", approved=True))
    assert _asked(card)[1] == 0x40
    card = FakeCard()
    card.kinds = [0x80, 0x00]
    drive(card, host=steps.HostAnswer(b"00", approved=False))
    assert _asked(card)[1] == 0x00


def test_second_cryptogram_faults_after_approval_are_reversed():
    for answer in ((b"", 0x6F00), (b"\x77\x7f", 0x9000), (b"\x80\x0b\x80" + bytes(10), 0x9000)):
        card = FakeCard()
        card.answers["80AE4000"] = answer
        run = drive(card)
        assert run.outcome.kind == "terminated"
        assert run.outcome.host_approved_card_declined and run.outcome.online


def test_unable_to_go_online():
    for host, terminal, asked, rule in (
        (steps.Unable(True), config(aids=_codes()), 0x00, "house g"),
        (steps.Unable(False), config(aids=_codes(), online_only=True), 0x00, "house g"),
        (steps.Unable(False), config(aids=_codes()), 0x40, "B3 10.7 g"),
        (steps.Unable(False), config(aids=_codes(tac_default=HIT)), 0x00, "B3 10.7 f"),
    ):
        card = FakeCard()
        card.kinds = [0x80, asked]
        run = drive(card, terminal=terminal, host=host)
        assert _asked(card)[1] == asked
        assert rule in run.rules()
        assert not run.outcome.online and not run.outcome.host_approved_card_declined


def test_offline_only_terminal_completes_an_arqc_by_itself():
    card = FakeCard(cvm="1F00")
    card.static[0x9F0F] = ZERO
    card.kinds = [0x80, 0x40]
    terminal = config(aids=_codes(), terminal_type=0x23)
    run = drive(card, terminal=terminal, payment=transaction(amount=1))
    assert "GoOnline" not in run.kinds() and "B3 10.8 f" in run.rules()
    assert (_asked(card), run.outcome.kind) == ([0x40, 0x40], "approved")


def test_card_removed_at_every_step():
    """Wherever the card goes, one outcome, and after an approval it must be reversed."""
    length = len(drive(FakeCard("CDA", cvm="0100")).steps)
    approvals = 0
    for stop in range(1, length):
        card = FakeCard("CDA", cvm="0100")
        kernel = Kernel(config(), transaction(), lambda n: b"\x5a" * n, Trace())
        step = kernel.start()
        answered = False
        for _ in range(stop - 1):
            if isinstance(step, steps.SendApdu):
                answer = card.exchange(step.command) + (0,)
            elif isinstance(step, steps.EnterPin):
                answer = ("entered", None)
            elif isinstance(step, steps.VerifyPin):
                answer = card.verify()
            else:
                answer = approve()
                answered = True
            step = kernel.resume(answer)
        outcome = kernel.abort("card_removed")
        assert outcome.kind in ("try_again", "terminated")
        assert outcome.host_approved_card_declined == answered
        approvals += answered
    assert approvals


def _until(kind):
    """A kernel stopped at its first step of this class, and the card."""
    card = FakeCard()
    kernel = Kernel(config(), transaction(), lambda n: bytes(n), Trace())
    step = kernel.start()
    while not isinstance(step, kind):
        if isinstance(step, steps.SendApdu):
            step = kernel.resume(card.exchange(step.command) + (0,))
        elif isinstance(step, steps.EnterPin):
            step = kernel.resume(("entered", None))
    return kernel, card


def test_abort_from_outside():
    kernel, _ = _until(steps.SendApdu)
    assert kernel.abort("card_removed").kind == "try_again"
    kernel, _ = _until(steps.SendApdu)
    assert kernel.abort("reader").kind == "fallback"
    kernel, _ = _until(steps.EnterPin)
    outcome = kernel.abort("cancelled")
    assert (outcome.kind, outcome.reason) == ("cancelled", "cancelled")
    assert "house b" in [e.get("rule") for e in kernel.session.trace.entries]
    kernel, _ = _until(steps.GoOnline)
    step = kernel.resume(steps.HostAnswer(b"00"))
    assert isinstance(step, steps.SendApdu)
    outcome = kernel.abort("card_removed")
    assert outcome.kind == "terminated" and outcome.host_approved_card_declined
    assert kernel.abort("reader") is outcome
    for use in (lambda: kernel.resume(None), kernel.start, lambda: _until_bad()):
        try:
            use()
        except ValueError:
            continue
        raise AssertionError("used out of turn")


def _until_bad():
    kernel, _ = _until(steps.SendApdu)
    kernel.abort("boredom")


def test_command_bound():
    card = FakeCard()
    aids = [aid_config(aid=bytes.fromhex(f"A0000000{n:04d}")) for n in range(420)]
    run = drive(card, terminal=config(aids=aids))
    assert (run.outcome.kind, run.outcome.reason) == ("terminated", "too_many_commands")
    assert "house a" in run.rules() and len(card.log) == 400
