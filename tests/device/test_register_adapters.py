"""Registers' protocols on the real terminal: nexo, Concert, Caisse-AP and MIS over the PC's own
client, the cable, and the terminal's flows."""

import asyncio
import base64
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from firmware import aio
from host_tools.pc_link.connection import LinkedTerminal, Settings, connect
from host_tools.pc_link.known import Known, KnownTerminals
from host_tools.pc_link.pipes import Line
from host_tools.pc_link.targets import Target
from host_tools.register import caisse_ap, concert, mis
from host_tools.register.concert import ConcertRequest, ConcertRules
from host_tools.register.gate import Gate
from host_tools.register.memory import Memory
from host_tools.register.nexo import number_json, sealed
from host_tools.register.nexo.server import Client, NexoApp
from host_tools.register.nexo.station import Speaker, Station
from tests.device.test_pairing import pair, pc_of, play
from tests.support.handheld import Handheld
from tests.support.pc_end import RackCable

KEY = sealed.key_of("till-1", 1, "a passphrase of this test")


class RackLine(RackCable, Line):
    """The rack's cable as the PC's tools open one."""

    place = "rack"

    async def close(self) -> None:
        """Nothing to give back."""


@contextlib.asynccontextmanager
async def linked(h: Handheld, folder: Path) -> AsyncIterator[LinkedTerminal]:
    """Paired as a register, and connected by the PC's own client."""
    pc = await pc_of(h).connect()
    assert await pair(h, pc, "register") == ["register"]
    serial, key = pc.session.peer[1], pc.session.peer_key
    await pc.leave()
    known = KnownTerminals(folder)
    known.put(Known(serial, key, roles=("register",), confirmed=True))
    settings = Settings(known, pc.key, "Office PC")
    async with connect(Target(path="rack"), settings, line=RackLine(h.rack.pc)) as terminal:
        yield terminal


class Shop:
    """A gate to the terminal, and the nexo port before it."""

    def __init__(self, terminal: LinkedTerminal, clock: Callable[[], int] = lambda: 1000) -> None:
        async def reach(lost: Any = None) -> LinkedTerminal:
            return terminal

        self.gate = Gate(reach)
        self.memory = Memory(now=clock)
        client = Client(Speaker("Kasse 1", ("POS-1",)), KEY)
        self.app = NexoApp(Station(self.gate, self.memory), [client])

    async def ask(self, category: str, body: Any, service: str) -> Any:
        header = {
            "ProtocolVersion": "3.0", "MessageClass": "Service", "MessageCategory": category,
            "MessageType": "Request", "SaleID": "POS-1", "ServiceID": service, "POIID": "POI-1",
        }  # fmt: skip
        inner = {"SaleToPOIRequest": {"MessageHeader": header, f"{category}Request": body}}
        closed = sealed.seal(KEY, header, number_json.write(inner))
        sent: list[Any] = []

        async def receive() -> Any:
            body = number_json.write({"SaleToPOIRequest": closed}).encode()
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app({"type": "http", "method": "POST", "path": "/nexo/", "headers": []},
                       receive, send)  # fmt: skip
        assert sent[0]["status"] == 200, sent[1]
        if not sent[1]["body"]:
            return None
        answer = number_json.read(sent[1]["body"].decode())["SaleToPOIResponse"]
        assert base64.b64decode(answer["NexoBlob"])
        return sealed.opened([KEY], answer)[2]["SaleToPOIResponse"][f"{category}Response"]

    async def pay(self, amount: int, service: str, currency: str = "CNY") -> Any:
        stamp = {"TransactionID": service, "TimeStamp": "2026-11-22T01:02:03Z"}
        amounts = {"Currency": currency, "RequestedAmount": amount}
        return await self.ask(
            "Payment",
            {"SaleData": {"SaleTransactionID": stamp},
             "PaymentTransaction": {"AmountsReq": amounts}},
            service,
        )  # fmt: skip

    async def close(self) -> None:
        await self.gate.close()
        self.memory.close()


def told(story: Callable[[Handheld, Shop], Awaitable[None]]) -> None:
    async def device(h: Handheld) -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with linked(h, Path(folder)) as terminal:
                shop = Shop(terminal)
                await story(h, shop)
                await shop.close()

    play(device)


async def card(h: Handheld, name: str = "no-cvm") -> None:
    await h.until("present_card")
    h.insert(name)


def test_every_adapter_is_paid_by_a_card() -> None:
    async def story(h: Handheld, shop: Shop) -> None:
        paying = asyncio.ensure_future(shop.pay(12, "1"))
        await h.until("present_card")
        assert "Kasse 1" in h.text
        h.insert("no-cvm")
        paid = await paying
        assert paid["Response"]["Result"] == "Success"
        result = paid["PaymentResult"]
        assert result["AmountsResp"] == {"Currency": "CNY", "AuthorizedAmount": 12}
        shown = result["PaymentInstrumentData"]["CardData"]
        assert shown["EntryMode"] == ["ICC"] and set(shown["MaskedPan"][6:-4]) == {"*"}
        await h.back_to_idle()

        paying = asyncio.ensure_future(caisse_ap.answer(shop.gate, caisse_ap.message(
            {"CJ": "012345678901", "CA": "01", "CE": "156", "CD": "0", "CB": "345"})))  # fmt: skip
        await card(h)
        caisse = caisse_ap.fields(await paying)
        assert (caisse["AE"], caisse["AF"], caisse["CB"], caisse["CI"]) == ("10", "01", "345", "1")
        await h.back_to_idle()

        paying = asyncio.ensure_future(mis.answer(shop.gate, mis.sale("POS1", "C1", 678)))
        await card(h)
        record = mis.unpack(mis.RESPONSE, await paying)
        assert (record["code"], record["amount"]) == ("00", 678)
        assert record["card"] == shown["MaskedPan"] and record["reference"]
        await h.back_to_idle()

        request = ConcertRequest.read("0100000901010156TICKET0001A010B010")
        assert request is not None
        paying = asyncio.ensure_future(concert.paid(shop.gate, request))
        await card(h)
        answer = concert.answered(request, await paying, ConcertRules())
        assert answer == "010000009011156TICKET0001"
        await h.back_to_idle()
        assert h.acquirer.approved_total() == 1200 + 345 + 678 + 901
        totals = (await shop.ask("GetTotals", {}, "9"))["TransactionTotals"]
        assert totals[0]["PaymentTotals"][0]["TransactionCount"] == 4
        diagnosis = await shop.ask("Diagnosis", {}, "10")
        assert diagnosis["POIStatus"]["GlobalStatus"] == "OK"

    told(story)


def test_declined_taken_back_busy_and_refused() -> None:
    async def story(h: Handheld, shop: Shop) -> None:
        paying = asyncio.ensure_future(shop.pay(13, "1"))
        await h.until("present_card")
        busy = await shop.pay(99, "2")
        assert busy["Response"]["ErrorCondition"] == "Busy"
        about = {"MessageCategory": "Payment", "SaleID": "POS-1", "ServiceID": "1"}
        abort = {"AbortReason": "MerchantAbort", "MessageReference": about}
        assert await shop.ask("Abort", abort, "3") is None
        assert (await paying)["Response"]["ErrorCondition"] == "Aborted"
        other = await shop.pay(99, "4", "EUR")
        assert other["Response"]["ErrorCondition"] == "NotAllowed"
        await h.back_to_idle()
        # 1.34: the bank says wrong PIN; the card has none, so it ends there.
        raw = mis.sale("POS1", "C1", 1124)
        declining = asyncio.ensure_future(mis.answer(shop.gate, raw))
        await card(h)
        assert mis.unpack(mis.RESPONSE, await declining)["code"] == "51"
        await h.back_to_idle()
        await h.press("5")  # the merchant keys a sale of his own
        busy = await shop.pay(99, "5")
        assert busy["Response"]["ErrorCondition"] == "Busy"
        await h.press("cancel")
        await h.until("idle")
        assert h.acquirer.approved_total() == 0

    told(story)


def test_a_pulled_cable_and_a_hung_up_register_lose_no_result() -> None:
    async def story(h: Handheld, shop: Shop) -> None:
        paying = asyncio.ensure_future(shop.pay(21, "1"))
        await h.until("present_card")
        h.rack.pc.unplugged = True
        await aio.sleep_ms(2_000)
        h.insert("no-cvm")
        await h.until("result")
        h.rack.pc.unplugged = False
        assert (await paying)["Response"]["Result"] == "Success"
        await h.back_to_idle()
        paying = asyncio.ensure_future(shop.pay(22, "2"))
        await h.until("present_card")
        paying.cancel()  # the register hung up
        h.insert("no-cvm")
        await h.until("result")
        await h.back_to_idle()
        ask = {"MessageReference": {"ServiceID": "2"}}
        status = await shop.ask("TransactionStatus", ask, "3")
        body = status["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]["PaymentResponse"]
        assert body["Response"]["Result"] == "Success"
        assert (await shop.pay(22, "2"))["Response"]["Result"] == "Success"
        assert h.acquirer.approved_total() == 4300 and len(h.messages("0200")) == 2

    told(story)
