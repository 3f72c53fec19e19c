"""The bank's core: honest answers, refusals, reversals, scripts."""

import json
from collections.abc import Iterator

import pytest
from pyemv import ac

from host_tools.acquirer import keys
from host_tools.acquirer.bank import PeerInfo
from host_tools.acquirer.inprocess import InProcessAcquirer
from host_tools.acquirer.wire import Message, build, parse
from host_tools.emulator.deck import Deck, load
from tests.support.acquirer_client import NOW, Client, session_key, tlv
from tests.support.vectors import vectors


@pytest.fixture(scope="module")
def deck() -> Deck:
    return load()


@pytest.fixture
def acquirer(deck: Deck) -> Iterator[InProcessAcquirer]:
    made = InProcessAcquirer(deck, now=lambda: NOW)
    yield made
    assert made.ledger.inconsistencies() == []
    made.close()


@pytest.fixture
def client(acquirer: InProcessAcquirer) -> Client:
    made = Client(acquirer)
    assert made.sign_in().code == "00"
    return made


def test_published_vectors() -> None:
    table = vectors("mac.json")
    for vector in table["unionpay_ecb_mac"] + table["unionpay_ecb_mac_derived"]:
        mac = keys.cup_ecb_mac(bytes.fromhex(vector["key"]), bytes.fromhex(vector["mab"]))
        assert mac.hex().upper() == vector["field64"]
    (vector,) = table["unionpay_signin_working_keys"]
    made = keys.WorkingKeys(bytes.fromhex(vector["pik"]), bytes.fromhex(vector["mak"]), b"")
    assert made.field62(bytes.fromhex(vector["tmk"])).hex().upper() == vector["field62"]
    for vector in table["unionpay_pin"]:
        if "field52" not in vector:
            continue
        key, block = bytes.fromhex(vector["pik"]), bytes.fromhex(vector["field52"])
        typed = keys.decipher_pin(key, block, vector["pan"], bool(vector["pan"]))
        assert typed == vector["pin"]
    frame = bytes.fromhex("6000030000603100310000")
    vector = table["unionpay_ecb_mac"][0]
    frame += bytes.fromhex(vector["mab"] + vector["field64"])
    message = parse(frame)
    assert message.mac_input.hex().upper() == vector["mab"]
    assert build(message) == frame


@pytest.mark.parametrize(("code", "length"), [("001", 24), ("003", 40), ("004", 60)])
def test_sign_in_gives_fresh_keys(acquirer: InProcessAcquirer, code: str, length: int) -> None:
    client = Client(acquirer, sign_in_code=code)
    first = client.sign_in(code).message
    assert len(first.binary(62)) == length
    assert (first.mti, first.get(12), first.get(13)) == ("0810", "130607", "0304")
    assert first.get(60) == f"00000001{code}"
    assert first.tpdu == bytes.fromhex("6000000003")
    before = client.mac_key
    client.sign_in(code)
    assert client.mac_key != before
    assert client.sale().code == "00"


def test_single_length_mac_key_has_zero_tail(acquirer: InProcessAcquirer) -> None:
    client = Client(acquirer, mac_length=8)
    block = client.sign_in().message.binary(62)
    assert block[28:36] == bytes(8)
    assert len(client.mac_key) == 8
    answer = client.sale()
    assert answer.code == "00"
    assert client.mac_state(answer.message) == "ok"


@pytest.mark.parametrize("algorithm", ["cup-ecb", "x9.19", "x9.9"])
def test_mac_algorithms(acquirer: InProcessAcquirer, algorithm: str) -> None:
    client = Client(acquirer, mac_algorithm=algorithm)
    client.sign_in()
    answer = client.sale()
    assert (answer.code, client.mac_state(answer.message)) == ("00", "ok")
    assert client.send(client.sale_message(), spoil=True).code == "A0"


def test_approved_sale(acquirer: InProcessAcquirer, client: Client) -> None:
    message = client.sale_message("approve", 1234)
    before = acquirer.ledger.balance(message.get(2))
    answer = client.send(message)
    got = answer.message
    assert got.mti == "0210"
    assert client.mac_state(got) == "ok"
    for number in (3, 4, 11, 41, 42):
        assert got.get(number) == message.get(number)
    assert len(got.get(37)) == 12
    assert len(got.get(38)) == 6
    arqc = bytes.fromhex(acquirer.transactions()[0]["arqc"])
    account = client.account("approve")
    arpc = ac.generate_arpc_1(session_key(account, client.atc), arqc, b"00")
    assert got.binary(55) == b"\x91\x0a" + arpc + b"00"
    assert acquirer.approved_total() == 1234
    assert acquirer.ledger.balance(message.get(2)) == before - 1234
    (row,) = acquirer.transactions(client.terminal_id)
    assert row["state"] == "approved"
    assert row["pin_verified"]
    assert row["rrn"] == got.get(37)


def test_no_clear_secret_in_the_log(acquirer: InProcessAcquirer, client: Client) -> None:
    message = client.sale_message()
    client.send(message)
    text = json.dumps(acquirer.ledger.messages()) + json.dumps(acquirer.transactions())
    assert message.get(2) not in text
    assert message.get(52) not in text
    assert client.mac_key.hex() not in text.lower()
    assert message.get(2) not in json.dumps(acquirer.ledger.accounts())


def test_stan_twice_is_a_duplicate(acquirer: InProcessAcquirer, client: Client) -> None:
    message = client.sale_message(amount=700)
    assert client.send(message).code == "00"
    assert client.send(message).code == "94"
    assert acquirer.approved_total() == 700
    assert len(acquirer.transactions()) == 1


def test_cryptogram_twice_is_refused(acquirer: InProcessAcquirer, client: Client) -> None:
    first = client.sale_message()
    assert client.send(first).code == "00"
    again = client.sale_message(fields={55: first.get(55)})
    assert client.send(again).code == "05"
    assert acquirer.transactions()[-1]["reason"] == "ARQC was used before"


@pytest.mark.parametrize("byte", range(8))
def test_wrong_cryptogram(acquirer: InProcessAcquirer, client: Client, byte: int) -> None:
    good = client.sale_message()
    field = bytearray(good.binary(55))
    place = field.index(bytes.fromhex("9F2608")) + 3 + byte
    field[place] ^= 1
    good.fields[55] = field.hex().upper()
    answer = client.send(good)
    assert answer.code == "05"
    assert 55 not in answer.message.fields
    assert acquirer.approved_total() == 0


def test_altered_terminal_data_break_the_cryptogram(client: Client) -> None:
    changed = client.sale_message(objects={"9F37": bytes(4)})
    assert client.send(changed).code == "05"


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        ({"9F02": bytes(6)}, "9F02 is not field 4"),
        ({"5F2A": bytes.fromhex("0840")}, "5F2A is not field 49"),
        ({"9F27": b"\x40"}, "no request cryptogram"),
        ({"95": bytes.fromhex("0000008000")}, "disagree about an online PIN"),
        ({"95": bytes.fromhex("0100048000")}, "unused bits"),
        ({"9F10": b"\1"}, "9F10"),
        ({"9F36": b"\1"}, "9F36"),
    ],
)
def test_card_data_that_do_not_fit(
    acquirer: InProcessAcquirer, client: Client, objects: dict[str, bytes], reason: str
) -> None:
    assert client.sale(objects=objects).code == "30"
    assert reason in acquirer.transactions()[-1]["reason"]


def test_garbled_field_55(client: Client) -> None:
    for value in ("9F26", "9F2608AA", "FFFFFF", "70039F2600"):
        assert client.sale(fields={55: value}).code == "30"


def test_wrong_pin_three_times_then_75(acquirer: InProcessAcquirer, client: Client) -> None:
    assert [client.sale(pin="9999").code for _ in range(4)] == ["55", "55", "55", "75"]
    assert client.sale().code == "75"
    assert acquirer.approved_total() == 0


def test_right_pin_restores_the_tries(client: Client) -> None:
    codes = [client.sale(pin=pin).code for pin in ("9999", "9999", "", "9999", "9999", "")]
    assert codes == ["55", "55", "00", "55", "55", "00"]


def test_pin_under_another_key_is_99_without_mac(client: Client) -> None:
    answer = client.sale(fields={52: "0123456789ABCDEF"})
    assert answer.code == "99"
    assert client.mac_state(answer.message) == "missing"


def test_pin_fields_go_together(client: Client) -> None:
    assert client.sale(without=(53,)).code == "30"
    assert client.sale(without=(26,)).code == "30"
    assert client.sale(fields={53: "9600000000000000"}).code == "99"
    assert client.sale(fields={22: "052"}).code == "30"


def test_sale_without_pin(acquirer: InProcessAcquirer, client: Client) -> None:
    assert client.sale(pin=None).code == "00"
    assert not acquirer.transactions()[0]["pin_verified"]


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("decline", "51"),
        ("decline-code", "05"),
        ("account-blocked", "62"),
        ("card-lost", "41"),
        ("expired", "54"),
    ],
)
def test_cards_that_the_bank_declines(client: Client, card: str, code: str) -> None:
    answer = client.sale(card)
    assert answer.code == code
    assert client.mac_state(answer.message) == "ok"


def test_limit_and_balance(client: Client) -> None:
    assert client.sale(amount=5_000_100).code == "61"
    assert client.sale(amount=0).code == "13"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({2: "6299990000000009999"}, "14"),
        ({14: "3001"}, "54"),
        ({49: "840"}, "12"),
        ({22: "021"}, "40"),
        ({23: "077"}, "14"),
        ({25: "06"}, "40"),
        ({3: "200000"}, "40"),
        ({42: "SOMEOTHERSHOP01"}, "03"),
        ({41: "99999999"}, "97"),
    ],
)
def test_refusals(
    acquirer: InProcessAcquirer, client: Client, fields: dict[int, str], code: str
) -> None:
    assert client.sale(fields=fields).code == code
    assert acquirer.approved_total() == 0


@pytest.mark.parametrize("number", [2, 3, 4, 22, 25, 49, 55])
def test_missing_field(acquirer: InProcessAcquirer, client: Client, number: int) -> None:
    assert client.sale(without=(number,)).code in ("30", "40")
    assert acquirer.approved_total() == 0


def test_foreign_certificate_is_97(client: Client) -> None:
    client.peer = PeerInfo("another", "test")
    answer = client.sale()
    assert answer.code == "97"
    assert client.mac_state(answer.message) == "missing"


def test_unsigned_or_badly_signed_request_is_a0(
    acquirer: InProcessAcquirer, client: Client
) -> None:
    assert client.send(client.sale_message(), mac=False).code == "A0"
    answer = client.send(client.sale_message(), spoil=True)
    assert answer.code == "A0"
    assert client.mac_state(answer.message) == "missing"
    assert acquirer.transactions() == []


def test_not_signed_in_is_77(acquirer: InProcessAcquirer, client: Client) -> None:
    out = client.send(client.base("0820", "00000001002"), mac=False)
    assert (out.message.mti, out.code) == ("0830", "00")
    assert client.sale().code == "77"
    client.sign_in()
    assert client.sale().code == "00"


def test_other_batch_is_77(client: Client) -> None:
    assert client.sale(fields={60: "2200000200050"}).code == "77"


def test_echo_and_unknown_messages(client: Client) -> None:
    assert client.send(client.base("0820", "00000001301"), mac=False).code == "00"
    assert client.send(client.base("0820", "00000001999"), mac=False).code == "40"
    answer = client.send(client.base("0500", "00000001201"), mac=False)
    assert (answer.message.mti, answer.code) == ("0510", "40")
    assert client.send(client.base("0800", "00"), mac=False).code == "30"


def test_an_answer_as_request_closes(client: Client) -> None:
    answer = client.send(client.base("0210", "22000001000"), mac=False)
    assert [action.close for action in answer.actions] == [True]


def test_reversal_is_idempotent(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message(amount=800)
    before = acquirer.ledger.balance(sale.get(2))
    assert client.send(sale).code == "00"
    for _ in range(3):
        answer = client.send(client.reversal_of(sale))
        assert (answer.message.mti, answer.code) == ("0410", "00")
        assert client.mac_state(answer.message) == "ok"
        assert acquirer.ledger.balance(sale.get(2)) == before
    (row,) = acquirer.transactions()
    assert (row["state"], row["reversals"], row["reversal_reason"]) == ("reversed", 3, "98")
    assert acquirer.approved_total() == 0


def test_reversal_of_a_decline_moves_nothing(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message("decline-code")
    assert client.send(sale).code == "05"
    assert client.send(client.reversal_of(sale)).code == "00"
    assert acquirer.transactions()[0]["state"] == "declined"


def test_reversal_before_its_original(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message()
    assert client.send(client.reversal_of(sale)).code == "25"
    assert client.send(client.reversal_of(sale)).code == "25"
    assert client.send(sale).code == "94"
    assert acquirer.approved_total() == 0
    assert acquirer.transactions()[0]["reversals"] == 2


def test_reversal_must_match_and_be_signed(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message(amount=900)
    client.send(sale)
    assert client.send(client.reversal_of(sale, f4="000000000901")).code == "30"
    assert client.send(client.reversal_of(sale, f2="6299990000000000020")).code == "30"
    assert client.send(client.reversal_of(sale), mac=False).code == "A0"
    assert acquirer.approved_total() == 900
    other = Client(acquirer, "T2")
    other.sign_in()
    stranger = other.reversal_of(sale, f41=other.terminal_id)
    assert other.send(stranger).code == "25"
    assert acquirer.approved_total() == 900


def test_reversal_under_new_keys(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message()
    client.send(sale)
    client.sign_in()
    assert client.send(client.reversal_of(sale)).code == "00"
    assert acquirer.approved_total() == 0


def test_script_and_its_result(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message("script-put-data")
    answer = client.send(sale).message
    script = answer.binary(55)[12:]
    assert script[0] == 0x71
    assert script.hex().upper() == acquirer.transactions()[0]["scripts"]
    results = tlv({"DF31": bytes.fromhex("2000000001")}).hex().upper()
    notice = client.base(
        "0620", "00000001951", f3="000000", f4=sale.get(4), f55=results, f61=f"000001{sale.get(11)}"
    )
    for _ in range(2):
        got = client.send(notice)
        assert (got.message.mti, got.code) == ("0630", "00")
    assert acquirer.transactions()[0]["script_results"] == "2000000001"
    notice.fields[61] = "000001999999"
    assert client.send(notice).code == "25"
    notice.fields[61] = "00"
    assert client.send(notice).code == "30"


def test_unreadable_frames(acquirer: InProcessAcquirer, client: Client) -> None:
    def handled(frame: bytes) -> list[bool]:
        return [action.close for action in acquirer.bank.handle(frame, client.peer)]

    good = build(client.sale_message())
    assert handled(b"") == [True]
    assert handled(good[:12]) == [True]
    assert handled(b"\x61" + good[1:]) == [True]
    # All fields to 42 are readable: that is answered with 30.
    actions = acquirer.bank.handle(good[:-3], client.peer)
    assert parse(actions[0].data[2:]).get(39) == "30"


def test_messages_are_kept_in_order(acquirer: InProcessAcquirer, client: Client) -> None:
    client.sale()
    seen = [(entry["direction"], entry["mti"]) for entry in acquirer.ledger.messages()]
    assert seen == [("in", "0800"), ("out", "0810"), ("in", "0200"), ("out", "0210")]


def test_reset_restores_the_accounts(acquirer: InProcessAcquirer, client: Client) -> None:
    sale = client.sale_message()
    client.send(sale)
    acquirer.bank.reset()
    assert acquirer.transactions() == []
    account = client.account("approve")
    assert acquirer.ledger.balance(account.pan) == account.balance
    assert client.send(sale).code == "00"


def test_message_class_is_plain() -> None:
    empty = Message("0800")
    assert (empty.kind, empty.batch, empty.network_code, empty.binary(62)) == ("", "", "", b"")
