"""nexo over the gate: messages, ids, what is kept, and numbers."""

import asyncio
import copy
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.payment.money import Currency
from host_tools.errors import UserError
from host_tools.register.memory import KEPT_S, UNIQUE_S, Memory
from host_tools.register.nexo import messages, number_json
from host_tools.register.nexo.messages import BadMessage
from host_tools.register.nexo.station import RETRY_S
from tests.support.nexo_desk import (
    AMOUNTS,
    CONDITIONS,
    KEY,
    OTHER,
    STAMP,
    Desk,
    condition,
    sealed_bytes,
    settle,
    told,
)


def test_a_payment_is_answered_with_all_that_a_register_keeps() -> None:
    async def story(desk: Desk) -> None:
        answer = await desk.send(desk.payment(Decimal("12.34")))
        assert answer["MessageHeader"] == {
            "ProtocolVersion": "3.0", "MessageClass": "Service", "MessageCategory": "Payment",
            "MessageType": "Response", "SaleID": "POS-1", "ServiceID": "1", "POIID": "POI-1",
        }  # fmt: skip
        assert answer["PaymentResponse"] == {
            "Response": {"Result": "Success", "AdditionalResponse": "test=true"},
            "SaleData": {"SaleTransactionID": {"TransactionID": "27908", "TimeStamp": STAMP}},
            "POIData": {
                "POITransactionID": {
                    "TransactionID": "TERM0001.000003.000001", "TimeStamp": "2026-11-22T01:02:03",
                },
                "POIReconciliationID": "3",
            },
            "PaymentResult": {
                "PaymentType": "Normal",
                "OnlineFlag": True,
                "AmountsResp": {"Currency": "EUR", "AuthorizedAmount": Decimal("12.34")},
                "PaymentInstrumentData": {
                    "PaymentInstrumentType": "Card",
                    "CardData": {
                        "MaskedPan": "622848******0014", "PaymentBrand": "UnionPay Credit",
                        "EntryMode": ["ICC"],
                    },
                },
                "PaymentAcquirerData": {
                    "MerchantID": "MERCHANT0000001",
                    "AcquirerPOIID": "TERM0001",
                    "AcquirerTransactionID": {
                        "TransactionID": "000000000001", "TimeStamp": "2026-11-22T01:02:03",
                    },
                    "ApprovalCode": "A1B2C3",
                },
            },
        }  # fmt: skip
        assert desk.terminal.started[0][3] == 1234
        assert desk.terminal.started[0][1].startswith("nexo:POS-1:1.")

    told(story)


@pytest.mark.parametrize(
    "ending, wanted",
    [(124, "Refusal"), (125, "Refusal"), (126, "Refusal"), (127, "Refusal"),
     (128, "InvalidCard"), (134, "WrongPIN")],
)  # fmt: skip
def test_amount_endings_force_their_declines(ending: int, wanted: str) -> None:
    async def story(desk: Desk) -> None:
        body = await desk.paid(desk.payment(Decimal(10_000 + ending).scaleb(-2)))
        assert condition(body) == wanted
        assert body["PaymentResult"]["AmountsResp"]["AuthorizedAmount"] == 0

    told(story)


def test_what_the_terminal_refuses_has_its_condition() -> None:
    async def story(desk: Desk) -> None:
        desk.terminal.keyed = 500
        body = await desk.paid(desk.payment())
        assert condition(body) == "Busy" and "500" in body["Response"]["AdditionalResponse"]
        desk.terminal.keyed, desk.terminal.currency = 0, 156
        assert condition(await desk.paid(desk.payment())) == "NotAllowed"
        desk.terminal.currency, desk.terminal.blocked = 978, "blocked.no_bundle"
        assert condition(await desk.paid(desk.payment())) == "UnavailableDevice"
        desk.terminal.blocked = ""
        desk.terminal.cut()
        assert condition(await desk.paid(desk.payment())) == "DeviceOut"
        desk.terminal.mend()
        assert desk.terminal.started == []
        message = desk.payment()
        message["SaleToPOIRequest"]["PaymentRequest"]["PaymentData"] = {"PaymentType": "Refund"}
        assert condition(await desk.paid(message)) == "UnavailableService"

    told(story)


def change(path: str, value: Any) -> Callable[[Any], None]:
    def do(message: Any) -> None:
        *way, last = path.split(".")
        part = message["SaleToPOIRequest"]
        for name in way:
            part = part.setdefault(name, {})
        part[last] = value

    return do


@pytest.mark.parametrize(
    "path, value, wanted",
    [
        (AMOUNTS + "RequestedAmount", Decimal("1.001"), "MessageFormat"),
        (AMOUNTS + "RequestedAmount", -1, "MessageFormat"),
        (AMOUNTS + "RequestedAmount", 0, "MessageFormat"),
        (AMOUNTS + "RequestedAmount", "10", "MessageFormat"),
        (AMOUNTS + "RequestedAmount", True, "MessageFormat"),
        (AMOUNTS + "RequestedAmount", 10**12, "MessageFormat"),
        (AMOUNTS + "RequestedAmount", None, "MessageFormat"),
        (AMOUNTS + "Currency", "XYZ", "MessageFormat"),
        (AMOUNTS + "Currency", "eur", "MessageFormat"),
        (AMOUNTS + "TipAmount", 11, "MessageFormat"),
        (AMOUNTS + "CashBackAmount", 5, "UnavailableService"),
        (CONDITIONS + "ForceEntryMode", ["Keyed"], "UnavailableService"),
        ("PaymentRequest.PaymentData.PaymentType", "FirstReservation", "UnavailableService"),
        ("PaymentRequest.PaymentData.PaymentType", 3, "MessageFormat"),
        ("PaymentRequest.SaleData", None, "MessageFormat"),
        ("PaymentRequest.SaleData.SaleTransactionID.TransactionID", "a\nb", "MessageFormat"),
        ("PaymentRequest", [], "MessageFormat"),
    ],
)  # fmt: skip
def test_a_payment_that_cannot_be_kept_to_is_refused_whole(
    path: str, value: Any, wanted: str
) -> None:
    async def story(desk: Desk) -> None:
        message = desk.payment()
        change(path, value)(message)
        assert condition(await desk.paid(message)) == wanted
        assert desk.terminal.started == []

    told(story)


@pytest.mark.parametrize(
    "name, value",
    [("MessageClass", "Device"), ("MessageClass", 3), ("MessageCategory", "Paiment"),
     ("MessageType", "Response"), ("ProtocolVersion", "2.0"), ("SaleID", ""), ("SaleID", None),
     ("ServiceID", "12345678901"), ("ServiceID", None), ("POIID", "x" * 65)],
)  # fmt: skip
def test_a_header_that_is_none_is_a_bad_request(name: str, value: Any) -> None:
    async def story(desk: Desk) -> None:
        status, answer = await desk.raw(sealed_bytes(KEY, desk.payment(**{name: value})))
        assert status == 400 and json.loads(answer)["errors"]
        assert desk.terminal.started == []

    told(story)


def test_one_id_is_one_payment_whatever_is_sent_under_it() -> None:
    async def story(desk: Desk) -> None:
        message = desk.payment()
        desk.terminal.go.clear()
        first = asyncio.create_task(desk.paid(message))
        await settle()
        assert condition(await desk.paid(message)) == "InProgress"
        assert condition(await desk.paid(desk.payment())) == "Busy"
        desk.terminal.go.set()
        done = await first
        assert await desk.paid(message) == done
        # Long forgotten by the terminal, and after the id may be used again: still the answer.
        desk.terminal.results.clear()
        desk.clock += UNIQUE_S + 1
        assert await desk.paid(message) == done
        other = copy.deepcopy(message)
        change(AMOUNTS + "RequestedAmount", 99)(other)
        desk.clock -= UNIQUE_S
        assert condition(await desk.paid(other)) == "NotAllowed"
        assert len(desk.terminal.started) == 1
        desk.clock += UNIQUE_S
        assert (await desk.paid(other))["Response"]["Result"] == "Success"

    told(story)


def test_what_the_terminal_never_heard_of_may_be_sent_again_for_a_while() -> None:
    async def story(desk: Desk) -> None:
        message = desk.payment()
        desk.terminal.cut()
        assert condition(await desk.paid(message)) == "DeviceOut"
        desk.terminal.mend()
        desk.clock += RETRY_S
        assert (await desk.paid(message))["Response"]["Result"] == "Success"
        message = desk.payment()
        desk.terminal.cut()
        await desk.paid(message)
        desk.terminal.mend()
        desk.clock += RETRY_S + 1
        assert condition(await desk.paid(message)) == "NotAllowed"
        assert len(desk.terminal.started) == 1

    told(story)


def test_a_payment_whose_end_was_not_heard_is_asked_for_before_the_next() -> None:
    async def story(desk: Desk) -> None:
        desk.terminal.go.clear()
        first, lost = desk.payment(), desk.payment()
        paying = asyncio.create_task(desk.paid(first))
        await settle()
        assert condition(await desk.paid(lost)) == "Busy"
        await desk.gate.close()  # this PC is stopped
        await asyncio.gather(paying, return_exceptions=True)
        desk.terminal.go.set()
        await settle()
        desk.clock += RETRY_S + 1
        assert (await desk.paid(desk.payment()))["Response"]["Result"] == "Success"
        assert desk.memory.unsettled("Payment") == []
        desk.terminal.results.clear()  # many payments later
        assert (await desk.paid(first))["Response"]["Result"] == "Success"
        assert condition(await desk.paid(lost)) == "NotAllowed"  # and nothing begins
        assert len(desk.terminal.started) == 2

    told(story)


def test_a_lost_answer_is_asked_for_by_its_reference() -> None:
    async def story(desk: Desk) -> None:
        def ask(**about: Any) -> Any:
            body = {"MessageReference": {"MessageCategory": "Payment", **about}} if about else {}
            return desk.message("TransactionStatus", body)

        async def status(**about: Any) -> Any:
            return (await desk.send(ask(**about)))["TransactionStatusResponse"]

        assert condition(await status()) == "NotFound"
        assert condition(await status(SaleID="POS-1", ServiceID="77")) == "NotFound"
        desk.terminal.go_online.clear()
        message = desk.payment(ServiceID="A1")
        first = asyncio.create_task(desk.paid(message))
        await settle()
        assert condition(await status(ServiceID="A1")) == "InProgress"
        desk.terminal.go_online.set()
        paid = await first
        for about in ({"SaleID": "POS-1", "ServiceID": "A1"}, {"ServiceID": "A1"}, {}):
            body = await status(**about)
            assert body["Response"]["Result"] == "Success"
            assert body["MessageReference"]["ServiceID"] == "A1"
            repeated = body["RepeatedMessageResponse"]
            assert repeated["MessageHeader"]["ServiceID"] == "A1"
            assert repeated["RepeatedResponseMessageBody"]["PaymentResponse"] == paid
        assert condition(await status(SaleID="POS-2", ServiceID="A1")) == "NotAllowed"
        # Another register of the shop neither reads it nor the terminal's last one.
        other = desk.message("TransactionStatus", {}, SaleID="POS-2")
        answer = await desk.send(other, OTHER)
        assert condition(answer["TransactionStatusResponse"]) == "NotFound"
        desk.terminal.cut()
        assert (await status(ServiceID="A1"))["Response"]["Result"] == "Success"
        assert condition(await status(ServiceID="A2")) == "DeviceOut"

    told(story)


def test_an_outcome_that_nobody_knows_stays_a_question_until_it_is_reversed() -> None:
    async def story(desk: Desk) -> None:
        message = desk.payment(ServiceID="U1")
        desk.terminal.go_online.clear()
        first = asyncio.create_task(desk.paid(message))
        await settle()
        sale = desk.terminal.sale
        assert sale is not None
        desk.terminal._end(sale, "unknown", "error.no_answer")
        assert condition(await first) == "UnreachableHost"
        ask = {"MessageReference": {"ServiceID": "U1"}}
        body = await desk.send(desk.message("TransactionStatus", ask))
        assert condition(body["TransactionStatusResponse"]) == "InProgress"
        desk.terminal.results[sale.reference][1][2] = "reversed"
        body = (await desk.send(desk.message("TransactionStatus", ask)))[
            "TransactionStatusResponse"
        ]
        repeated = body["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]["PaymentResponse"]
        assert condition(repeated) == "UnreachableHost"
        assert "reversed" in repeated["Response"]["AdditionalResponse"]

    told(story)


def test_abort_is_answered_with_nothing_and_the_payment_says_aborted() -> None:
    async def story(desk: Desk) -> None:
        desk.terminal.go.clear()
        first = asyncio.create_task(desk.paid(desk.payment(ServiceID="P1")))
        await settle()
        about = {"MessageCategory": "Payment", "SaleID": "POS-1", "ServiceID": "P1"}
        other = desk.message("Abort", {"AbortReason": "x", "MessageReference": about})
        other["SaleToPOIRequest"]["MessageHeader"]["SaleID"] = "POS-2"
        assert await desk.send(other, OTHER) is None
        await settle()
        assert not first.done(), "another register took it back"
        abort = desk.message("Abort", {"AbortReason": "MerchantAbort", "MessageReference": about})
        assert await desk.send(abort) is None
        assert condition(await first) == "Aborted"
        assert await desk.send(desk.message("Event", {"EventToNotify": "SaleWakeUp"},
            MessageClass="Event", MessageType="Notification")) is None  # fmt: skip

    told(story)


def test_login_diagnosis_totals_and_logout() -> None:
    async def story(desk: Desk) -> None:
        desk.terminal.roles = ["register", "service"]
        login = {"DateTime": STAMP, "OperatorLanguage": "en", "SaleSoftware": {
            "ManufacturerID": "x", "ApplicationName": "y", "SoftwareVersion": "1",
            "CertificationCode": "z"}}  # fmt: skip
        body = (await desk.send(desk.message("Login", login)))["LoginResponse"]
        assert body["Response"]["Result"] == "Success"
        data = body["POISystemData"]
        assert data["POITerminalData"]["POISerialNumber"] == "OT-0001"
        assert data["POISoftware"]["SoftwareVersion"] == "1.2"
        await desk.paid(desk.payment(Decimal("3.50")))
        body = (await desk.send(desk.message("Diagnosis", {"HostDiagnosisFlag": True})))[
            "DiagnosisResponse"
        ]
        assert body["LoggedSaleID"] == ["POS-1"]
        assert body["POIStatus"] == {
            "GlobalStatus": "OK", "PrinterStatus": "NoPaper", "CommunicationOKFlag": True,
        }  # fmt: skip
        assert body["HostStatus"] == [{"AcquirerID": "MERCHANT0000001", "IsReachableFlag": True}]
        body = (await desk.send(desk.message("GetTotals", {})))["GetTotalsResponse"]
        assert body["POIReconciliationID"] == "3"
        assert body["TransactionTotals"] == [
            {
                "PaymentInstrumentType": "Card", "PaymentCurrency": "EUR",
                "PaymentTotals": [{
                    "TransactionType": "Debit", "TransactionCount": 1,
                    "TransactionAmount": Decimal("3.50"),
                }],
            }
        ]  # fmt: skip
        body = (await desk.send(desk.message("Logout", {})))["LogoutResponse"]
        assert body["Response"] == {"Result": "Success"}
        desk.terminal.cut()
        body = (await desk.send(desk.message("Diagnosis", {})))["DiagnosisResponse"]
        assert body["POIStatus"] == {"GlobalStatus": "Unreachable"} and body["LoggedSaleID"] == []
        body = (await desk.send(desk.message("GetTotals", {})))["GetTotalsResponse"]
        assert condition(body) == "DeviceOut"

    told(story)


def test_every_other_message_is_answered_as_unavailable_in_its_own_shape() -> None:
    bodies: dict[str, Any] = {
        "Reversal": {
            "OriginalPOITransaction": {
                "POITransactionID": {"TransactionID": "1", "TimeStamp": STAMP}
            },
            "ReversalReason": "MerchantCancel",
        },
        "Reconciliation": {"ReconciliationType": "SaleReconciliation"},
        "EnableService": {"TransactionAction": "StartTransaction"},
    }
    done = {"Login", "Logout", "Payment", "TransactionStatus", "Diagnosis", "GetTotals"}

    async def story(desk: Desk) -> None:
        for name, category in messages.CATEGORIES.items():
            if name in done or not category.response:
                continue
            header = desk.header(name, MessageClass=category.message_class)
            message = {"SaleToPOIRequest": {"MessageHeader": header,
                                            category.request: bodies.get(name, {})}}  # fmt: skip
            body = (await desk.send(message))[category.response]
            inner = body.get("OutputResult", [body.get("InputResult", body)])[0]
            assert condition(inner) == "UnavailableService", name

    told(story)


def test_an_id_is_used_once_for_all_messages() -> None:
    async def story(desk: Desk) -> None:
        message = desk.message("Diagnosis", {})
        assert (await desk.send(message))["DiagnosisResponse"]["Response"]["Result"] == "Success"
        body = (await desk.send(message))["DiagnosisResponse"]
        assert condition(body) == "NotAllowed"
        used = message["SaleToPOIRequest"]["MessageHeader"]["ServiceID"]
        assert condition(await desk.paid(desk.payment(ServiceID=used))) == "NotAllowed"
        assert desk.terminal.started == []
        # The other register's numbers are its own.
        other = desk.message("Diagnosis", {}, SaleID="POS-2", ServiceID=used)
        assert (await desk.send(other, OTHER))["DiagnosisResponse"]["Response"][
            "Result"
        ] == "Success"

    told(story)


def test_two_registers_at_once_are_one_payment_and_one_busy() -> None:
    async def story(desk: Desk) -> None:
        desk.terminal.go.clear()
        mine = asyncio.create_task(desk.paid(desk.payment()))
        await settle()
        theirs = await desk.send(desk.payment(5, SaleID="POS-2"), OTHER)
        assert condition(theirs["PaymentResponse"]) == "Busy"
        desk.terminal.go.set()
        assert (await mine)["Response"]["Result"] == "Success"
        # And the name of one is not the other's to use.
        stolen = await desk.send(desk.payment(5, SaleID="POS-1"), OTHER)
        assert condition(stolen["PaymentResponse"]) == "NotAllowed"
        assert len(desk.terminal.started) == 1

    told(story)


def test_a_disk_that_keeps_nothing_charges_nobody_and_hides_no_payment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        def full(*_: Any) -> Any:
            raise UserError("the disk is full")

        monkeypatch.setattr(desk.memory, "settle", full)
        message = desk.payment()
        assert (await desk.paid(message))["Response"]["Result"] == "Success"
        assert (await desk.paid(message))["Response"]["Result"] == "Success"
        assert len(desk.terminal.started) == 1
        monkeypatch.setattr(desk.memory, "note", full)
        assert condition(await desk.paid(desk.payment())) == "UnavailableService"
        assert len(desk.terminal.started) == 1

    told(story)
    path = tmp_path / "messages.sqlite"
    Memory(path).close()
    assert os.name != "posix" or path.stat().st_mode & 0o077 == 0
    with pytest.raises(UserError, match="cannot be opened"):
        Memory(tmp_path)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="cannot be opened"):
        Memory(path)


_VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-5, 10**13) | st.text(max_size=12) | st.just([])
)


@given(st.data())
def test_no_message_of_any_shape_breaks_the_port(data: st.DataObject) -> None:
    """One or two parts of a good message replaced, by its own register."""

    async def story(desk: Desk) -> None:
        message = desk.payment(SaleID="POS-3")
        for _ in range(data.draw(st.integers(1, 2))):
            part: Any = message
            while True:
                name = data.draw(st.sampled_from(sorted(part)))
                if not isinstance(part[name], dict) or not part[name] or data.draw(st.booleans()):
                    break
                part = part[name]
            part[name] = data.draw(_VALUES | st.just({}))
            if not isinstance(message.get("SaleToPOIRequest"), dict):
                break
        raw = number_json.write(message).encode()
        status, answer = await desk.raw(raw, x_api_key="secret")
        assert status in (200, 400, 401), answer
        assert len(desk.terminal.started) <= 1
        if desk.terminal.started:
            amounts = message["SaleToPOIRequest"]["PaymentRequest"]["PaymentTransaction"]
            wanted = Decimal(amounts["AmountsReq"]["RequestedAmount"])
            assert desk.terminal.started[0][3] == wanted * 100

    told(story)


# ---- numbers, shapes and the memory -------------------------------------------------------


@given(st.integers(0, 999_999_999_999), st.sampled_from(["EUR", "JPY", "KWD", "CNY"]))
def test_amounts_come_back_as_they_went(value: int, code: str) -> None:
    currency = Currency.by_code(code)
    text = number_json.write({"a": messages.major(value, currency)})
    assert "e" not in text.lower()
    assert messages.minor(number_json.read(text)["a"], currency) == value
    if currency.exponent:
        finer = Decimal(value).scaleb(-currency.exponent) + Decimal(1).scaleb(
            -currency.exponent - 1
        )
        with pytest.raises(BadMessage):
            messages.minor(finer, currency)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=9)
        | st.decimals(-1000, 1000, places=3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=12,
    )
)  # fmt: skip
def test_json_is_read_as_it_was_written_and_its_canonical_form_is_one(value: Any) -> None:
    text = number_json.write(value)
    assert number_json.read(text) == value
    again = number_json.write(number_json.read(text), canonical=True)
    assert again == number_json.write(value, canonical=True)
    assert json.loads(text) == json.loads(again)


def test_a_binary_float_is_never_written() -> None:
    with pytest.raises(TypeError):
        number_json.write({"a": 0.1})


def test_messages_are_kept_on_the_disk(tmp_path: Path) -> None:
    clock = [1000]
    path = tmp_path / "messages.sqlite"
    memory = Memory(path, lambda: clock[0])
    assert memory.note("POS", "1", "Payment", b"d", {"a": 1}, "nexo:POS:1.a") is None
    memory.close()
    memory = Memory(path, lambda: clock[0])
    known = memory.note("POS", "1", "Payment", b"e", {})
    assert known is not None and known.digest == b"d" and known.context == {"a": 1}
    assert (known.reference, known.begun) == ("nexo:POS:1.a", False)
    memory.began("nexo:POS:1.a")
    memory.settle("nexo:POS:1.a", {"end": "approved"})
    memory.settle("nexo:POS:1.a", {"end": "declined"})  # what is settled stays
    found = memory.find("POS", "1")
    assert found is not None and found.answer == {"end": "approved"} and found.begun
    assert memory.find("POS", "2") is None
    clock[0] += KEPT_S + 1
    memory.close()
    memory = Memory(path, lambda: clock[0])
    assert memory.find("POS", "1") is None
    memory.close()
