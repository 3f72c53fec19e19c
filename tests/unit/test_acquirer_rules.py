"""Every way in which the bank misbehaves on demand."""

from collections.abc import Iterator
from typing import Any

import pytest
from pyemv import ac, tlv

from firmware.payment.host import unionpay
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.rules import (
    APPROVALS,
    BEHAVIOUR_ENDINGS,
    DECLINE_ENDINGS,
    HONEST,
    KINDS,
    REGISTER_ENDINGS,
    SCRIPTS,
    RuleError,
    Rules,
    plan_by_amount,
    plan_for,
)
from host_tools.acquirer.wire import WireError, parse
from host_tools.emulator import deck_schema
from host_tools.emulator.deck import load
from tests.support.acquirer_client import NOW, Client, session_key


@pytest.fixture
def acquirer() -> Iterator[InProcessAcquirer]:
    made = InProcessAcquirer(load(), now=lambda: NOW)
    yield made
    assert made.ledger.inconsistencies() == []
    made.close()


@pytest.fixture
def client(acquirer: InProcessAcquirer) -> Client:
    made = Client(acquirer)
    assert made.sign_in().code == "00"
    return made


def test_every_rule_of_the_deck_is_known() -> None:
    for account in load().accounts():
        if account.host_rule is not None:
            plan_for(account.host_rule)
    assert set(deck_schema.HOST_RULES) <= set(KINDS)
    assert set(deck_schema.SCRIPTS) == set(SCRIPTS)


def test_amount_table() -> None:
    assert plan_by_amount(1234) is None
    assert plan_by_amount(1) is None
    assert plan_by_amount(100) is None
    for ending, code in DECLINE_ENDINGS.items():
        plan = plan_by_amount(20_000 + ending)
        assert plan is not None
        assert plan.decline == code
    for ending, code in REGISTER_ENDINGS.items():
        plan = plan_by_amount(30_000 + ending)
        assert plan is not None
        assert plan.decline == code
    for ending in BEHAVIOUR_ENDINGS:
        assert plan_by_amount(50_000 + ending) not in (None, HONEST)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "no such"},
        {"kind": None},
        {},
        {"kind": "decline"},
        {"kind": "decline", "code": "5"},
        {"kind": "decline", "code": "٣٤"},
        {"kind": "decline", "code": "é1"},
        {"kind": "refuse", "code": "ßß"},
        {"kind": "refuse", "code": "a0"},
        {"kind": "refuse", "code": "5\n"},
        *({"kind": kind, "code": code} for kind in ("decline", "refuse") for code in APPROVALS),
        {"kind": "late", "ms": "5"},
        {"kind": "late", "ms": -1},
        {"kind": "late", "ms": True},
        {"kind": "script", "script": "format_card"},
        {"kind": "partial", "percent": 100},
    ],
)
def test_bad_rules(rule: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        plan_for(rule)


@pytest.mark.parametrize(
    "arguments",
    [{"ms": 5}, {"times": 0}, {"times": True}, {"amount": "5"}, {"mti": 200}, {"pan": 1}],
)
def test_bad_control_rules(arguments: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        Rules().add("drop", **arguments)


def test_no_rule_declines_with_a_code_that_the_terminal_takes_for_an_approval() -> None:
    assert set(unionpay.APPROVED + unionpay.APPROVED_WITH_DEFECT) <= set(APPROVALS)


def test_rules_that_wait_are_bounded() -> None:
    rules = Rules()
    for _ in range(1000):
        rules.add("drop")
    with pytest.raises(RuleError):
        rules.add("drop")


def test_control_beats_card_beats_amount() -> None:
    rules = Rules()
    late = {"kind": "late", "ms": 7}
    rules.add("drop", amount=5051)
    assert rules.choose("0200", "T", "1", 5051, "62", late).drop
    assert rules.choose("0200", "T", "2", 5051, "62", late).delay_ms == 7
    assert rules.choose("0200", "T", "3", 5051, "62", None).decline == "51"
    assert Rules(by_amount=False).choose("0200", "T", "3", 5051, "62", None) == HONEST
    assert rules.choose("0400", "T", "3", 5051, "62", late) == HONEST


def test_rule_waits_for_its_request() -> None:
    rules = Rules()
    rules.add("drop", mti="0400", times=2, terminal_id="A", stan="000007", pan="62100001")
    others = [("0200", "A", "000007", "62100001"), ("0400", "B", "000007", "62100001")]
    others += [("0400", "A", "000008", "62100001"), ("0400", "A", "000007", "63100001")]
    for mti, terminal, stan, pan in others:
        assert rules.choose(mti, terminal, stan, 1, pan) == HONEST
    got = [rules.choose("0400", "A", "000007", 1, "62100001").drop for _ in range(3)]
    assert got == [True, True, False]
    rules.add("drop", times=None)
    assert all(rules.choose("0200", "A", "1", 1, "").drop for _ in range(5))
    assert rules.waiting()[0]["plan"] == {"drop": True}
    rules.clear()
    assert rules.waiting() == []


def test_forced_decline(acquirer: InProcessAcquirer, client: Client) -> None:
    answer = client.sale(amount=2051)
    assert answer.code == "51"
    assert client.mac_state(answer.message) == "ok"
    account, arc = client.account("approve"), b"51"
    arqc = bytes.fromhex(acquirer.transactions()[0]["arqc"])
    arpc = ac.generate_arpc_1(session_key(account, client.atc), arqc, arc)
    assert answer.message.binary(55) == b"\x91\x0a" + arpc + arc


def test_unsigned_declines_as_an_option() -> None:
    acquirer = InProcessAcquirer(load(), now=lambda: NOW, sign_declines=False)
    client = Client(acquirer)
    client.sign_in()
    declined = client.sale(amount=2051)
    assert (declined.code, client.mac_state(declined.message)) == ("51", "missing")
    sale = client.sale_message()
    assert client.mac_state(client.send(sale).message) == "ok"
    for reversal in (client.reversal_of(sale), client.reversal_of(sale, f11="000999")):
        assert client.mac_state(client.send(reversal).message) == "ok"
    acquirer.close()


def test_late(acquirer: InProcessAcquirer, client: Client) -> None:
    (action,) = client.sale(amount=7702).actions
    assert action.delay_ms == 5000
    assert acquirer.approved_total() == 7702


def test_lost_request_was_never_booked(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message(amount=7707)
    assert client.send(sale).actions == []
    assert acquirer.transactions() == []
    assert client.send(client.reversal_of(sale)).code == "25"


def test_dropped_answer_was_booked(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message(amount=7708)
    assert client.send(sale).actions == []
    assert acquirer.approved_total() == 7708
    assert client.send(client.reversal_of(sale)).code == "00"
    assert acquirer.approved_total() == 0


def test_close(acquirer: InProcessAcquirer, client: Client) -> None:
    (action,) = client.sale(amount=7709).actions
    assert (action.close, action.data) == (True, b"")
    assert acquirer.approved_total() == 7709


def test_partial_approval(acquirer: InProcessAcquirer, client: Client) -> None:
    answer = client.sale(amount=7710, fields={60: "22000001000501"})
    assert answer.code == "10"
    assert answer.message.get(4) == "000000003855"
    assert client.mac_state(answer.message) == "ok"
    assert acquirer.approved_total() == 3855


def test_garble(acquirer: InProcessAcquirer, client: Client) -> None:
    (action,) = client.sale(amount=7711).actions
    with pytest.raises(WireError):
        parse(action.data[2:])
    assert acquirer.approved_total() == 7711


@pytest.mark.parametrize(("amount", "state"), [(7712, "bad"), (7713, "missing")])
def test_mac_of_the_answer(client: Client, amount: int, state: str) -> None:
    answer = client.sale(amount=amount)
    assert answer.code == "00"
    assert client.mac_state(answer.message) == state


def test_wrong_and_missing_arpc(acquirer: InProcessAcquirer, client: Client) -> None:
    wrong = client.sale(amount=7714).message
    arqc = bytes.fromhex(acquirer.transactions()[0]["arqc"])
    arpc = ac.generate_arpc_1(session_key(client.account("approve"), client.atc), arqc, b"00")
    assert wrong.binary(55)[:2] == b"\x91\x0a"
    assert wrong.binary(55)[2:10] != arpc
    assert client.mac_state(wrong) == "ok"
    assert 55 not in client.sale(amount=7715).message.fields


def test_answer_to_another_request(client: Client) -> None:
    sale = client.sale_message(amount=7716)
    answer = client.send(sale).message
    assert int(answer.get(11)) == int(sale.get(11)) + 1
    assert client.mac_state(answer) == "ok"
    answer = client.sale(amount=7717).message
    assert answer.get(4) == "000000007718"
    assert client.mac_state(answer) == "ok"


def test_answer_twice_and_in_bytes(client: Client) -> None:
    first, second = client.sale(amount=7718).actions
    assert first == second
    (action,) = client.sale(amount=7719).actions
    assert action.gap_ms == 5


@pytest.mark.parametrize("amount", [7720, 7721, 7722, 7723, 7724, 7725])
def test_scripts(client: Client, amount: int) -> None:
    field = client.sale(amount=amount).message.binary(55)
    objects = tlv.decode(field)
    template = objects.get("71") or objects["72"]
    assert isinstance(template, dict)
    command = template["86"]
    assert command[0] == 0x84
    assert command[4] == len(command) - 5


@pytest.mark.parametrize(("amount", "code"), [(7777, "77"), (7779, "A0"), (7799, "99")])
def test_session_refusals(
    acquirer: InProcessAcquirer, client: Client, amount: int, code: str
) -> None:
    answer = client.sale(amount=amount)
    assert answer.code == code
    assert client.mac_state(answer.message) == "missing"
    assert acquirer.transactions() == []


def test_once_by_control(acquirer: InProcessAcquirer, client: Client) -> None:
    acquirer.rule("refuse", code="77")
    assert client.sale().code == "77"
    assert client.sale().code == "00"


def test_sign_in_and_reversal_rules(acquirer: InProcessAcquirer, client: Client) -> None:
    acquirer.rule("decline", code="91", mti="0800")
    answer = client.sign_in()
    assert answer.code == "91"
    assert 62 not in answer.message.fields
    acquirer.rule("wrong_mac", mti="0800")
    with pytest.raises(AssertionError):
        client.sign_in()
    client.sign_in()
    sale = client.sale_message()
    client.send(sale)
    acquirer.rule("drop", mti="0400")
    acquirer.rule("wrong_mac", mti="0400")
    acquirer.rule("decline", code="96", mti="0400")
    assert client.send(client.reversal_of(sale)).actions == []
    assert client.mac_state(client.send(client.reversal_of(sale)).message) == "bad"
    assert client.send(client.reversal_of(sale)).code == "96"
    assert client.send(client.reversal_of(sale)).code == "00"
    assert acquirer.approved_total() == 0
