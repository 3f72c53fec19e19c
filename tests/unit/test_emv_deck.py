"""The kernel against the deck's virtual cards, which share no code with it."""

import pytest
from pyemv import ac, kd

from firmware.payment.emv import steps
from firmware.payment.emv.config import TerminalConfig, Transaction
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import Trace
from host_tools.emulator import deck as decks
from tests.support import deck_terminal

DECK = decks.load()


def _transmit(card, command: bytes) -> tuple[bytes, int]:
    """Resolve the T=0 procedures that the channel resolves (Book 1, 9.3.1)."""
    if card.protocol == 1:
        answer, _ = card.exchange(command)
        return answer[:-2], int.from_bytes(answer[-2:], "big")
    if len(command) > 5 and len(command) == 6 + command[4]:
        answer, _ = card.exchange(command[:-1])
    else:
        answer, _ = card.exchange(command if len(command) > 4 else command + b"\x00")
    if not answer:
        return b"", 0
    warning = answer[-2:] if answer[-2] in (0x62, 0x63) and len(answer) == 2 else b""
    if answer[0] == 0x6C and len(answer) == 2:
        answer, _ = card.exchange(command[:4] + answer[1:2])
    for _ in range(4):
        if len(answer) == 2 and (answer[0] == 0x61 or warning):
            follow, _ = card.exchange(bytes((0, 0xC0, 0, 0, answer[1] if not warning else 0)))
            if follow[0] == 0x6C:
                follow, _ = card.exchange(bytes((0, 0xC0, 0, 0, follow[1])))
            if warning and len(follow) == 2:
                break
            answer = follow[:-2] + warning if warning else follow
            warning = b""
    return answer[:-2], int.from_bytes(answer[-2:], "big")


def _verify(card, pin: str, enciphered: tuple[bytes, int] | None) -> int:
    block = bytes.fromhex(f"2{len(pin):X}{pin}".ljust(16, "F"))
    if enciphered is None:
        return _transmit(card, b"\x00\x20\x00\x80\x08" + block)[1]
    challenge, sw = _transmit(card, b"\x00\x84\x00\x00\x00")
    if sw != 0x9000:
        return 0
    modulus, exponent = enciphered
    plain = b"\x7f" + block + challenge + b"\x01" * (len(modulus) - 17)
    number = pow(int.from_bytes(plain, "big"), exponent, int.from_bytes(modulus, "big"))
    data = number.to_bytes(len(modulus), "big")
    return _transmit(card, bytes((0, 0x20, 0, 0x88, len(data))) + data)[1]


def _issuer(name: str, arc: bytes = b"00", arpc: bool = True):
    """An issuer for a card of the deck: checks the ARQC with pyemv, answers."""

    def answer(tags: dict[int, bytes]) -> steps.HostAnswer:
        account = next(a for a in DECK.accounts() if a.pan == tags[0x5A].hex().rstrip("f"))
        master = kd.derive_icc_mk_a(account.imk["ac"], account.pan, account.csn)
        session = kd.derive_common_sk(master, tags[0x9F36] + bytes(6))
        covered = b"".join(
            tags[tag] for tag in (0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37)
        )
        covered += tags[0x82] + tags[0x9F36] + tags[0x9F10][3:7]
        expected = ac.generate_ac(session, covered, ac.PaddingType.EMV, 8)
        assert tags[0x9F26] == expected, name
        proof = ac.generate_arpc_1(session, expected, arc)
        if not arpc:
            proof = bytes(8)
        return steps.HostAnswer(arc, proof + arc)

    return answer


def _run(name: str, terminal: TerminalConfig | None = None, issuer=None, full=True):
    spec = DECK.cards[name]
    card = spec.make_card()
    assert card.power_on() or name == "mute"
    trace = Trace(full)
    kernel = Kernel(
        terminal or deck_terminal.config(DECK),
        Transaction(1200, date=bytes.fromhex("261121"), time=bytes.fromhex("101112")),
        lambda n: b"\x17" * n,
        trace,
    )
    typed = list(spec.typed)
    step = kernel.start()
    seen = []
    for _ in range(500):
        seen.append(step)
        if isinstance(step, steps.Outcome):
            return step, seen, trace
        if isinstance(step, steps.SendApdu):
            data, sw = _transmit(card, step.command)
            if sw == 0:
                step = kernel.abort("card_removed")
                continue
            answer: object = (data, sw, 5)
        elif isinstance(step, steps.EnterPin):
            answer = ("entered", None) if typed else ("bypassed", None)
        elif isinstance(step, steps.VerifyPin):
            answer = _verify(card, typed.pop(0) if typed else "0000", step.enciphered)
        elif isinstance(step, steps.GoOnline):
            answer = issuer(step.tags) if issuer else steps.HostAnswer(b"05", None)
        elif isinstance(step, steps.ChooseApplication):
            answer = 0
        else:
            answer = True
        step = kernel.resume(answer)
    raise AssertionError("endless")


@pytest.mark.parametrize("name", sorted(DECK.cards))
def test_every_card_of_the_deck_ends_in_an_outcome(name: str) -> None:
    outcome, _, trace = _run(name)
    assert isinstance(outcome, steps.Outcome)
    assert trace.dropped == 0


#: Name: outcome, reason, TVR, TSI, CVM results, with an issuer that approves.
EXPECTED = {
    "approve": ("approved", "online_approved", "0000048000", "e800", "420300"),
    "t1": ("approved", "online_approved", "0000048000", "e800", "420300"),
    "sda": ("approved", "online_approved", "0200048000", "e800", "420300"),
    "dda": ("approved", "online_approved", "0000048000", "e800", "420300"),
    "dda-65537": ("approved", "online_approved", "0000048000", "e800", "420300"),
    "cda": ("approved", "online_approved", "0000048000", "e800", "420300"),
    "cda-large": ("approved", "online_approved", "0000048000", "e800", "420300"),
    "no-oda": ("approved", "online_approved", "8000048000", "6800", "420300"),
    "external-auth": ("approved", "online_approved", "0000048000", "f800", "420300"),
    "signature": ("approved", "online_approved", "0000008000", "e800", "1e0000"),
    "no-cvm": ("approved", "online_approved", "0000008000", "e800", "1f0002"),
    "offline-pin": ("approved", "online_approved", "0000008000", "e800", "010302"),
    "offline-pin-enciphered": ("approved", "online_approved", "0000008000", "e800", "040302"),
    "offline-pin-icc-key": ("approved", "online_approved", "0000008000", "e800", "040302"),
    "offline-pin-signature": ("approved", "online_approved", "0000008000", "e800", "030300"),
    "pin-wrong-once": ("approved", "online_approved", "0000008000", "e800", "440302"),
    "cda-bad": ("declined", "cda_failed", "0400048000", "e800", "420300"),
    "host-yes-card-no": ("declined", "card_declined", "0000048000", "e800", "420300"),
    "app-blocked": ("not_accepted", "application_blocked", "0000000000", "0000", "3f0000"),
    "card-blocked": ("blocked_card", "card_blocked", "0000000000", "0000", "3f0000"),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_outcome_bits_and_cryptogram(name: str) -> None:
    outcome, _, _ = _run(name, issuer=_issuer(name))
    kind, reason, tvr, tsi, results = EXPECTED[name]
    assert (outcome.kind, outcome.reason) == (kind, reason)
    assert (outcome.tvr.hex(), outcome.tsi.hex()) == (tvr, tsi)
    assert outcome.cvm_results.hex() == results
    assert outcome.signature == (name in ("signature", "offline-pin-signature"))
    assert outcome.host_approved_card_declined == (name == "host-yes-card-no")


def test_wrong_arpc_is_refused_by_the_card() -> None:
    outcome, _, _ = _run("external-auth", issuer=_issuer("external-auth", arpc=False))
    assert outcome.tvr[4] & 0x40
    outcome, _, _ = _run("approve", issuer=_issuer("approve", arpc=False))
    assert outcome.host_approved_card_declined


def test_masked_trace_holds_no_pan() -> None:
    for name in ("sda", "dda", "cda", "approve"):
        _, _, trace = _run(name, issuer=_issuer(name), full=False)
        pan = DECK.cards[name].pan
        assert pan not in "\n".join(trace.lines())
