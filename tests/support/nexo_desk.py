"""One register's side of the nexo port, over a terminal in memory and on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from firmware.payment.money import Currency
from host_tools.register.gate import Gate
from host_tools.register.memory import Memory
from host_tools.register.nexo import number_json, sealed
from host_tools.register.nexo.server import Client, NexoApp
from host_tools.register.nexo.station import Speaker, Station
from tests.support.register_terminal import RegisterTerminal
from tests.support.virtual_time import run

KEY = sealed.key_of("till-1", 1, "correct horse battery staple")
OTHER = sealed.key_of("till-2", 1, "another passphrase")
EUR = Currency.by_code("EUR")
AMOUNTS = "PaymentRequest.PaymentTransaction.AmountsReq."
CONDITIONS = "PaymentRequest.PaymentTransaction.TransactionConditions."
STAMP = "2026-11-22T01:02:03.000Z"


class Desk:
    """A terminal, its gate and the nexo port, as one register sees it."""

    def __init__(self, **app: Any) -> None:
        self.clock = 1_000_000
        self.terminal = RegisterTerminal()
        self.gate = Gate(self.terminal.reach, patience_s=5)
        self.memory = Memory(now=lambda: self.clock)
        self.station = Station(self.gate, self.memory, version="1.2")
        clients = [
            Client(Speaker("Till 1", ("POS-1", "POS-9")), KEY),
            Client(Speaker("Till 2", ("POS-2",)), OTHER),
            Client(Speaker("Till 3", ("POS-3",)), api_key="secret"),
        ]
        self.app = NexoApp(self.station, clients, **app)
        self.service = 0

    def header(self, category: str, **changed: Any) -> dict[str, Any]:
        self.service += 1
        header = {
            "ProtocolVersion": "3.0", "MessageClass": "Service", "MessageCategory": category,
            "MessageType": "Request", "SaleID": "POS-1", "ServiceID": str(self.service),
            "POIID": "POI-1",
        }  # fmt: skip
        return {**header, **changed}

    def message(self, category: str, body: Any, **changed: Any) -> dict[str, Any]:
        name = "EventNotification" if category == "Event" else category + "Request"
        return {"SaleToPOIRequest": {"MessageHeader": self.header(category, **changed), name: body}}

    def payment(self, amount: Any = Decimal("10.00"), **changed: Any) -> dict[str, Any]:
        body = {
            "SaleData": {"SaleTransactionID": {"TransactionID": "27908", "TimeStamp": STAMP}},
            "PaymentTransaction": {"AmountsReq": {"Currency": "EUR", "RequestedAmount": amount}},
        }
        return self.message("Payment", body, **changed)

    async def raw(self, body: bytes, path: str = "/nexo/", **headers: str) -> tuple[int, bytes]:
        return await http(self.app, [body], path, **headers)

    async def send(self, message: Any, key: sealed.Key = KEY) -> Any:
        """Sealed, and the answer opened and checked; None when it is empty."""
        status, answer = await self.raw(sealed_bytes(key, message))
        assert status == 200, answer
        if not answer:
            return None
        value = number_json.read(answer.decode())["SaleToPOIResponse"]
        _, header, inner = sealed.opened([key], value)
        assert header["MessageType"] == "Response"
        return inner["SaleToPOIResponse"]

    async def paid(self, message: Any) -> Any:
        return (await self.send(message))["PaymentResponse"]


async def http(
    app: NexoApp, parts: list[bytes], path: str = "/nexo/", method: str = "POST", **headers: str
) -> tuple[int, bytes]:
    sent: list[Any] = []
    waiting = list(parts)

    async def receive() -> Any:
        if not waiting:
            await asyncio.Event().wait()
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting) or part == b"..."}

    async def send(message: Any) -> None:
        sent.append(message)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": named}
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def sealed_bytes(key: sealed.Key, message: Any) -> bytes:
    header = message["SaleToPOIRequest"]["MessageHeader"]
    closed = sealed.seal(key, header, number_json.write(message))
    return number_json.write({"SaleToPOIRequest": closed}).encode()


def told(story: Callable[[Desk], Awaitable[None]], **app: Any) -> None:
    async def main() -> None:
        desk = Desk(**app)
        await story(desk)
        await desk.gate.close()
        desk.memory.close()

    run(main())


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def condition(body: Any) -> str:
    response = body["Response"]
    assert response["Result"] == "Failure"
    assert parse_qs(response["AdditionalResponse"], strict_parsing=True)["message"]
    return str(response["ErrorCondition"])
