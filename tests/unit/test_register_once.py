"""nexo: whatever is lost, forgotten or overtaken, a sale is told its own end and charged once."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from host_tools.register.memory import UNIQUE_S, Memory
from host_tools.register.nexo.station import RETRY_S, Speaker, Station
from tests.support.nexo_desk import Desk, condition, settle, told


def test_an_id_that_begins_anew_is_another_payment() -> None:
    async def story(desk: Desk) -> None:
        old, new = desk.payment(ServiceID="1"), desk.payment(5, ServiceID="1")
        first = await desk.paid(old)
        desk.clock += UNIQUE_S + 3600
        second = await desk.paid(new)
        assert second["Response"]["Result"] == "Success"
        assert second["PaymentResult"]["AmountsResp"]["AuthorizedAmount"] == 5
        ids = [body["POIData"]["POITransactionID"]["TransactionID"] for body in (first, second)]
        assert ids[0] != ids[1]
        assert await desk.paid(new) == second and await desk.paid(old) == first
        # Another PC under the same SaleID, whose ids begin at 1 too.
        other = Memory(now=lambda: desk.clock)
        station = Station(desk.gate, other)
        sent = desk.payment(7, ServiceID="1")
        third = await station.answer(sent, Speaker("Till 1"))
        assert third is not None
        body = third["SaleToPOIResponse"]["PaymentResponse"]
        assert body["PaymentResult"]["AmountsResp"]["AuthorizedAmount"] == 7
        assert [started[3] for started in desk.terminal.started] == [1000, 500, 700]
        other.close()

    told(story)


def test_a_reference_that_stands_for_another_request_charges_nobody_for_good() -> None:
    async def story(desk: Desk) -> None:
        message = desk.payment(ServiceID="C1")
        desk.terminal.cut()
        assert condition(await desk.paid(message)) == "DeviceOut"
        desk.terminal.mend()
        kept = desk.memory.find("POS-1", "C1")
        assert kept is not None
        result = {1: kept.reference, 2: "approved", 3: 1000, 4: 978, 5: "", 20: True}
        desk.terminal.results[kept.reference] = (bytes(32), result)
        for _ in range(2):
            body = await desk.paid(message)
            assert condition(body) == "NotAllowed"
            assert "POIReconciliationID" not in body["POIData"]
        ask = desk.message("TransactionStatus", {"MessageReference": {"ServiceID": "C1"}})
        body = (await desk.send(ask))["TransactionStatusResponse"]
        repeated = body["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
        assert condition(repeated["PaymentResponse"]) == "NotAllowed"
        kept = desk.memory.find("POS-1", "C1")
        assert kept is not None and kept.answer["end"] == "conflict"
        assert desk.terminal.started == []

    told(story)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_payment_that_began_and_is_kept_no_longer_is_never_begun_again(restarted: bool) -> None:
    async def story(desk: Desk) -> None:
        message = desk.payment(21, ServiceID="B1")
        desk.terminal.go.clear()
        first = asyncio.create_task(desk.paid(message))
        await settle()
        desk.terminal.cut()
        if restarted:
            await desk.gate.close()
            await asyncio.gather(first, return_exceptions=True)
        desk.terminal.forget()  # approved; later results took its place
        assert restarted or not first.done()
        if restarted:  # and while it cannot be asked nobody says that nothing was charged
            assert condition(await desk.paid(message)) == "InProgress"
        desk.terminal.mend()
        desk.terminal.go.set()
        if not restarted:
            assert condition(await first) == "InProgress"
        for _ in range(2):
            assert condition(await desk.paid(message)) == "InProgress"
            desk.clock += RETRY_S + 1
        ask = desk.message("TransactionStatus", {"MessageReference": {"ServiceID": "B1"}})
        body = (await desk.send(ask))["TransactionStatusResponse"]
        assert condition(body) == "InProgress"
        assert (await desk.paid(desk.payment()))["Response"]["Result"] == "Success"
        assert len(desk.terminal.started) == 2

    told(story)


def test_a_repeated_payment_is_not_told_uncharged_while_nobody_can_be_asked() -> None:
    async def story(desk: Desk) -> None:
        message = desk.payment()
        desk.terminal.cut()
        assert condition(await desk.paid(message)) == "DeviceOut"
        assert condition(await desk.paid(message)) == "InProgress"

    told(story)


def test_an_abort_that_overtakes_its_payment_takes_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(desk: Desk) -> None:
        older = desk.payment()
        desk.terminal.keyed = 500
        assert condition(await desk.paid(older)) == "Busy"  # not settled: it is asked for
        desk.terminal.keyed = 0
        asking, asked = asyncio.Event(), desk.gate.state

        async def slow(*arguments: Any) -> Any:
            await asking.wait()
            return await asked(*arguments)

        monkeypatch.setattr(desk.gate, "state", slow)
        message = desk.payment(ServiceID="P1")
        first = asyncio.create_task(desk.paid(message))
        await settle()
        about = {"MessageCategory": "Payment", "SaleID": "POS-1", "ServiceID": "P1"}
        abort = desk.message("Abort", {"AbortReason": "MerchantAbort", "MessageReference": about})
        assert await desk.send(abort) is None
        asking.set()
        assert condition(await first) == "Aborted"
        assert condition(await desk.paid(message)) == "Aborted"
        assert desk.terminal.started == []

    told(story)


def test_a_file_of_version_1_is_read_and_begins_nothing_again(tmp_path: Path) -> None:
    path = tmp_path / "messages.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.execute(
            "CREATE TABLE message (id INTEGER NOT NULL PRIMARY KEY, register VARCHAR NOT NULL,"
            " request VARCHAR NOT NULL, kind VARCHAR NOT NULL, digest BLOB NOT NULL,"
            " seen INTEGER NOT NULL, context VARCHAR NOT NULL, answer VARCHAR NOT NULL)"
        )
        for request in ("1", "2"):
            row = ("POS", request, "Payment", request.encode(), 1000, "{}", "")
            old.execute("INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", row)
        old.execute("PRAGMA user_version = 1")
        old.commit()
    for _ in range(2):
        memory = Memory(path, lambda: 1001)
        found = [memory.find("POS", request) for request in ("1", "2")]
        assert all(one is not None and one.begun for one in found)
        assert len({one.reference for one in found if one is not None}) == 2
        memory.close()
