"""Issuer scripts: Book 3, 10.10; results: Book 4, Annex A5."""

from firmware.payment.emv import scripts, steps
from tests.portable.emv_card import FakeCard, drive

PIN_UNBLOCK = bytes.fromhex("8424000004AABBCCDD")
BLOCK = bytes.fromhex("841E000004AABBCCDD")


def _script(*commands, identifier="11223344"):
    body = b"\x9f\x18\x04" + bytes.fromhex(identifier) if identifier else b""
    for command in commands:
        body += b"\x86" + bytes((len(command),)) + command
    return body


def _run(*given, card=None):
    card = card or FakeCard()
    run = drive(card, host=steps.HostAnswer(b"00", None, list(given)))
    return run, [c[1] for c in card.log]


def test_before_and_after_the_second_cryptogram():
    run, order = _run((0x72, _script(BLOCK)), (0x71, _script(PIN_UNBLOCK)))
    assert order[-4:] == [0xAE, 0x24, 0xAE, 0x1E]
    assert run.outcome.script_results.hex() == "2011223344" * 2
    assert run.outcome.tsi[0] & 0x04 and run.outcome.tvr[4] == 0
    assert run.outcome.kind == "approved"
    assert run.outcome.tags[0xDF31] == run.outcome.script_results
    assert "B3 10.10 b" in run.rules()


def test_failure_stops_the_script_and_names_the_command():
    for tag, bit in ((0x71, 0x20), (0x72, 0x10)):
        card = FakeCard()
        card.answers["841E0000"] = (b"", 0x6A80)
        run, order = _run((tag, _script(PIN_UNBLOCK, BLOCK, PIN_UNBLOCK)), card=card)
        assert run.outcome.script_results.hex() == "1211223344"
        assert run.outcome.tvr[4] == bit
        assert order.count(0x24) == 1
        assert "B3 10.10 f" in run.rules() and "B3 10.10 c" in run.rules()


def test_warnings_go_on():
    card = FakeCard()
    card.answers["84240000"] = (b"", 0x6283)
    run, order = _run((0x71, _script(PIN_UNBLOCK, BLOCK)), card=card)
    assert run.outcome.script_results[0] == 0x20 and 0x1E in order


def test_a_script_after_a_failed_one_still_runs():
    card = FakeCard()
    card.answers["841E0000"] = (b"", 0x6A80)
    run, _ = _run((0x71, _script(BLOCK)), (0x71, _script(PIN_UNBLOCK, identifier="")), card=card)
    assert run.outcome.script_results.hex() == "1111223344" + "2000000000"


def test_malformed_scripts_are_not_performed():
    for body in (b"\x86\x09\x84", b"\x9f\x18\x04\x11\x22\x33\x44\x5a\x01\x00", b"\x86"):
        run, order = _run((0x71, body))
        assert run.outcome.script_results[0] == 0x00
        assert run.outcome.tvr[4] == 0x20
        assert "B3 10.10 d" in run.rules()
        assert run.outcome.kind == "approved" and order[-1] == 0xAE


def test_a_command_that_is_no_apdu_is_not_sent():
    for command in (b"\x84\x24", b"\x84\x24\x00\x00\x05\xaa"):
        run, order = _run((0x71, _script(PIN_UNBLOCK, command)))
        assert run.outcome.script_results.hex() == "1211223344"
        assert order.count(0x24) == 1
        assert "B3 10.10 e" in run.rules()


def test_apdu_shapes():
    for good in ("00A40400", "00A4040000", "00A404000141", "00A40400014100"):
        assert scripts.is_apdu(bytes.fromhex(good))
    for bad in ("00A404", "00A404000041", "00A4040002", "00A404000241424344"):
        assert scripts.is_apdu(bytes.fromhex(bad)) == (bad == "00A4040002")
    assert not scripts.is_apdu(bytes(262))


def test_128_bytes_in_all():
    filler = bytes.fromhex("84DA000037") + bytes(0x37)
    fits = _script(filler, identifier="")  # 62 bytes, 64 with its template
    run, order = _run((0x71, fits), (0x72, fits))
    assert order.count(0xDA) == 2 and run.outcome.tvr[4] == 0
    run, order = _run((0x71, fits), (0x72, fits), (0x72, _script(PIN_UNBLOCK)))
    assert order.count(0xDA) == 2 and order.count(0x24) == 0
    assert run.outcome.tvr[4] == 0x10
    assert run.outcome.script_results[10] == 0x00
    assert "B3 10.10 a" in run.rules()


def test_many_scripts_are_bounded():
    run, _ = _run(*[(0x71, b"")] * 50)
    assert len(run.outcome.script_results) <= 5 * scripts.MAX_SCRIPTS
    assert run.outcome.tvr[4] == 0x20


def test_declined_transactions_run_scripts_too():
    card = FakeCard()
    card.kinds = [0x80, 0x00]
    run = drive(card, host=steps.HostAnswer(b"05", None, [(0x72, _script(BLOCK))]))
    assert run.outcome.kind == "declined" and run.outcome.script_results[0] == 0x20
