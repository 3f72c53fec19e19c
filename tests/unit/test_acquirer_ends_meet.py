"""Terminal, card and bank, each by its own author, over one message.

The kernel reads the deck's cards, the terminal's codec and ciphers make the
request, the bank judges it with other libraries, and the card judges the
bank's answer. No screen, journal or network: those are tested as a device.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from firmware.crypto import mac, pin_block
from firmware.crypto.backend import des
from firmware.payment.emv import steps
from firmware.payment.emv.config import Transaction
from firmware.payment.emv.kernel import Kernel
from firmware.payment.emv.trace import Trace
from firmware.payment.host import messages, unionpay
from firmware.payment.host.frame import Frame, decode_frame, encode_frame
from firmware.payment.host.iso8583 import Message
from firmware.payment.host.subfields import split_55, split_62_keys
from host_tools.acquirer.bank import PeerInfo
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.ledger import Terminal
from host_tools.emulator.deck import Deck, load
from tests.support import deck_terminal
from tests.support.acquirer_client import MERCHANT, NOW

TPDU, HEADER = bytes.fromhex("6000030000"), bytes.fromhex("603100310000")


class Till:
    """The terminal's codec and ciphers around one enrolment."""

    def __init__(self, acquirer: InProcessAcquirer, **wishes: Any) -> None:
        self.acquirer = acquirer
        made = acquirer.enrolment("T1", **wishes)
        self.terminal_id = made.terminal_id
        with acquirer.ledger.session() as session:
            row = session.get(Terminal, self.terminal_id)
            assert row is not None
            self.tmk = bytes.fromhex(row.tmk)
        self.stan = 0
        self.pin_key = self.mac_key = b""
        self.sign_in(wishes.get("sign_in_code", "003"))

    def next(self) -> int:
        self.stan += 1
        return self.stan

    def ask(self, request: Message, signed: bool) -> Message | None:
        if signed:
            request.fields[64] = bytes(8)
            body = unionpay.codec().encode(request)
            request.fields[64] = mac.cup_ecb(self.mac_key, body[:-8])
        frame = encode_frame(Frame(TPDU, HEADER, unionpay.codec().encode(request)))
        actions = self.acquirer.bank.handle(frame[2:], PeerInfo("T1", "test"))
        if not actions or actions[0].close:
            return None
        answer = decode_frame(actions[0].data)
        assert (answer.tpdu, answer.header) == (bytes.fromhex("6000000003"), HEADER)
        message = unionpay.codec().decode(answer.body)
        if signed and message.text(39) not in unionpay.UNSIGNED:
            assert message.fields[64] == mac.cup_ecb(self.mac_key, answer.body[:-8])
        return message

    def sign_in(self, code: str) -> None:
        request = messages.sign_in(self.next(), 1, self.terminal_id, MERCHANT, code, "001")
        answer = self.ask(request, False)
        assert answer is not None
        assert answer.text(39) == "00"
        field = answer.fields[62]
        assert isinstance(field, bytes)
        keys = split_62_keys(field)
        assert keys
        size = 8 if code == "001" else 16
        self.pin_key = self._unwrap(field[:size])
        wrapped = field[size + 4 : 2 * size + 4]
        if wrapped[8:] == bytes(8):
            wrapped = wrapped[:8]
        self.mac_key = self._unwrap(wrapped)

    def _unwrap(self, wrapped: bytes) -> bytes:
        cipher = des(self.tmk)
        parts = [wrapped[at : at + 8] for at in range(0, len(wrapped), 8)]
        return b"".join(bytes(cipher.decrypt(part)) for part in parts)

    def sale(self, tags: dict[int, bytes], amount: int, pin: str | None) -> Message:
        pan = tags[0x5A].hex().rstrip("f")
        block = None
        if pin is not None:
            block = pin_block.encipher_0(self.pin_key, bytearray(pin.encode()), pan)
        return messages.sale(
            stan=self.next(),
            batch=1,
            amount=amount,
            currency=156,
            terminal_id=self.terminal_id,
            merchant_id=MERCHANT,
            pan=pan,
            emv=tags,
            expiry=tags[0x5F24].hex()[:4],
            csn=int(tags[0x5F34].hex()) if 0x5F34 in tags else None,
            pin_block=block,
        )


def transmit(card: Any, command: bytes) -> tuple[bytes, int]:
    """T=0 and T=1 alike, as the channel does it (EMV 4.4 Book 1, 9.3.1)."""
    if card.protocol == 0 and len(command) == 4:
        command += b"\0"
    if card.protocol == 0 and len(command) > 5 and len(command) == 6 + command[4]:
        command = command[:-1]
    answer, _ = card.exchange(command)
    while card.protocol == 0 and len(answer) == 2 and answer[0] in (0x61, 0x6C):
        if answer[0] == 0x6C:
            answer, _ = card.exchange(command[:4] + answer[1:2])
        else:
            answer, _ = card.exchange(bytes((0, 0xC0, 0, 0, answer[1])))
    return (answer[:-2], int.from_bytes(answer[-2:], "big")) if answer else (b"", 0)


def kernel_for(deck: Deck, amount: int) -> Kernel:
    config = deck_terminal.config(deck)
    transaction = Transaction(amount, date=bytes.fromhex("260304"), time=bytes.fromhex("130607"))
    return Kernel(config, transaction, lambda n: b"\x29" * n, Trace(True))


def pay(till: Till, deck: Deck, name: str, amount: int) -> tuple[steps.Outcome, Message | None]:
    """One payment with a fresh card; the outcome and the bank's answer."""
    spec = deck.cards[name]
    card = spec.make_card()
    card.power_on()
    kernel = kernel_for(deck, amount)
    typed = list(spec.typed)
    online_pin: str | None = None
    answer: Message | None = None
    step = kernel.start()
    for _ in range(500):
        reply: object
        if isinstance(step, steps.Outcome):
            return step, answer
        if isinstance(step, steps.SendApdu):
            data, sw = transmit(card, step.command)
            reply = (data, sw, 5)
        elif isinstance(step, steps.EnterPin):
            online_pin = typed.pop(0) if typed else None
            reply = ("entered", None) if online_pin else ("bypassed", None)
        elif isinstance(step, steps.GoOnline):
            entered = bool(step.tags[0x95][2] & 0x04)
            request = till.sale(step.tags, amount, online_pin if entered else None)
            answer = till.ask(request, True)
            reply = steps.Unable(True) if answer is None else host_answer(answer)
        else:
            reply = 0 if isinstance(step, steps.ChooseApplication) else True
        step = kernel.resume(reply)
    raise AssertionError("endless")


def host_answer(answer: Message) -> steps.HostAnswer:
    code = answer.text(39)
    field = answer.fields.get(55, b"")
    assert isinstance(field, bytes)
    proof, scripts = None, []
    for node in split_55(field):
        if node.tag == 0x91:
            proof = node.value
        else:
            scripts.append((node.tag, node.value))
    return steps.HostAnswer(code.encode(), proof, scripts, code in unionpay.APPROVED)


@pytest.fixture(scope="module")
def deck() -> Deck:
    return load()


@pytest.fixture
def acquirer(deck: Deck) -> Iterator[InProcessAcquirer]:
    made = InProcessAcquirer(deck, now=lambda: NOW)
    yield made
    assert made.ledger.inconsistencies() == []
    made.close()


ONLINE_PIN_CARDS = ("approve", "sda", "dda", "dda-65537", "cda", "cda-large", "no-oda", "t1")


@pytest.mark.parametrize("name", [*ONLINE_PIN_CARDS, "external-auth", "signature", "no-cvm"])
def test_card_terminal_and_bank_agree(acquirer: InProcessAcquirer, deck: Deck, name: str) -> None:
    outcome, answer = pay(Till(acquirer), deck, name, 1200)
    assert answer is not None
    assert (outcome.kind, answer.text(39)) == ("approved", "00")
    (row,) = acquirer.transactions()
    assert (row["state"], row["approved_amount"]) == ("approved", 1200)
    assert row["pin_verified"] == (name not in ("signature", "no-cvm"))


@pytest.mark.parametrize("code", ["001", "003", "004"])
def test_each_form_of_sign_in(acquirer: InProcessAcquirer, deck: Deck, code: str) -> None:
    till = Till(acquirer, sign_in_code=code)
    outcome, _ = pay(till, deck, "approve", 1200)
    assert outcome.kind == "approved"


def test_single_length_mac_key(acquirer: InProcessAcquirer, deck: Deck) -> None:
    outcome, _ = pay(Till(acquirer, mac_length=8), deck, "approve", 1200)
    assert outcome.kind == "approved"


@pytest.mark.parametrize(
    ("name", "code"),
    [("decline", "51"), ("decline-code", "05"), ("account-blocked", "62"), ("card-lost", "41")],
)
def test_declined_by_the_bank(
    acquirer: InProcessAcquirer, deck: Deck, name: str, code: str
) -> None:
    outcome, answer = pay(Till(acquirer), deck, name, 1200)
    assert answer is not None
    assert (outcome.kind, answer.text(39)) == ("declined", code)
    assert acquirer.approved_total() == 0


def test_wrong_pin_at_the_bank(acquirer: InProcessAcquirer, deck: Deck) -> None:
    outcome, answer = pay(Till(acquirer), deck, "pin-wrong-host", 1200)
    assert answer is not None
    assert (outcome.kind, answer.text(39)) == ("declined", "55")


@pytest.mark.parametrize("name", ["wrong-arpc", "no-arpc", "host-yes-card-no"])
def test_bank_says_yes_and_the_card_decides(
    acquirer: InProcessAcquirer, deck: Deck, name: str
) -> None:
    """A wrong ARPC is refused by the card; without one this card goes along."""
    outcome, answer = pay(Till(acquirer), deck, name, 1200)
    assert answer is not None
    assert answer.text(39) == "00"
    assert (55 in answer.fields) == (name != "no-arpc")
    refused = deck.cards[name].expect == "declined_reversed"
    assert refused == (name != "no-arpc")
    assert outcome.host_approved_card_declined == refused


@pytest.mark.parametrize(
    "name", ["script-put-data", "script-pin-unblock", "script-app-block", "script-card-block"]
)
def test_card_carries_out_the_banks_scripts(
    acquirer: InProcessAcquirer, deck: Deck, name: str
) -> None:
    """The card checks each script's MAC; its result says 2: processed."""
    till = Till(acquirer)
    outcome, answer = pay(till, deck, name, 1200)
    assert answer is not None
    assert outcome.kind == "approved"
    assert outcome.script_results.hex()[0] == "2"
    original = acquirer.transactions()[0]
    notice = messages.script_result(
        stan=till.next(),
        batch=1,
        amount=1200,
        currency=156,
        terminal_id=till.terminal_id,
        merchant_id=MERCHANT,
        processing="000000",
        entry="051",
        condition="00",
        original_batch=1,
        original_stan=int(original["stan"]),
        script_results=outcome.script_results,
        emv=outcome.tags,
    )
    acknowledged = till.ask(notice, True)
    assert acknowledged is not None
    assert (acknowledged.mti, acknowledged.text(39)) == ("0630", "00")
    stored = acquirer.transactions()[0]["script_results"]
    assert stored == outcome.script_results.hex().upper()


@pytest.mark.parametrize("amount", [7722, 7725])
def test_scripts_by_amount(acquirer: InProcessAcquirer, deck: Deck, amount: int) -> None:
    outcome, _ = pay(Till(acquirer), deck, "approve", amount)
    assert outcome.kind == "approved"
    assert outcome.script_results.hex()[0] == "2"


def test_reversal_of_a_lost_answer(acquirer: InProcessAcquirer, deck: Deck) -> None:
    till = Till(acquirer)
    outcome, answer = pay(till, deck, "host-timeout", 1200)
    assert answer is None
    assert outcome.kind == "declined"
    assert acquirer.approved_total() == 1200
    spec = deck.cards["host-timeout"]
    reversal = messages.reversal(
        stan=till.stan,
        batch=1,
        amount=1200,
        currency=156,
        terminal_id=till.terminal_id,
        merchant_id=MERCHANT,
        reason="98",
        processing="000000",
        entry="051",
        condition="00",
        kind="22",
        pan=spec.pan,
        emv=outcome.tags,
    )
    for _ in range(2):
        done = till.ask(reversal, True)
        assert done is not None
        assert (done.mti, done.text(39)) == ("0410", "00")
    assert acquirer.approved_total() == 0
