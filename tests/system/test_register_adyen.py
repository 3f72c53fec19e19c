"""The nexo port driven by the unmodified npm client ``@adyen/api-library``, sealed and plain.

The client is installed into the cache on first use, as the WebAssembly package is.
"""

import asyncio
import contextlib
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from host_tools.errors import UserError
from host_tools.register.gate import Gate
from host_tools.register.guard import place_of
from host_tools.register.http_server import MOST_CONNECTIONS, BoundedServer, context_of
from host_tools.register.memory import Memory
from host_tools.register.nexo import certificate, sealed
from host_tools.register.nexo.server import Client, NexoApp
from host_tools.register.nexo.station import Speaker, Station
from tests.support.register_terminal import RegisterTerminal

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "@adyen/api-library"
PASSPHRASE = "a passphrase of this test"
SALE_DATA = {
    "SaleTransactionID": {"TransactionID": "27908", "TimeStamp": "2026-11-22T01:02:03.000Z"}
}


def package_dir() -> Path:
    """The npm package, installed into the cache on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opentill" / "adyen"
    folder = cache / "node_modules" / PACKAGE
    if not (folder / "package.json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix"]
        subprocess.run([*command, str(cache), PACKAGE], check=True, timeout=600)
    return folder


class Till:
    """The client in a node process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._reading = asyncio.ensure_future(self._read())
        self._last = 0

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            self._waiting.pop(told["service"]).set_result(told)
        for service, future in self._waiting.items():
            future.set_result({"service": service, "error": "the client ended"})

    async def ask(self, category: str, body: Any, service: str = "", **more: str) -> Any:
        """The answer's SaleToPOIResponse; a text that begins with ``error`` when it failed."""
        self._last += 1
        service = service or str(self._last)
        command = {"category": category, "body": body, "service": service, **more}
        if self._reading.done():
            return "error the client ended"
        future = self._waiting[service] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        told = await future
        if "error" in told:
            return "error " + told["error"]
        return told["answer"].get("SaleToPOIResponse")

    async def pay(self, amount: float, service: str = "") -> Any:
        body = {
            "SaleData": SALE_DATA,
            "PaymentTransaction": {"AmountsReq": {"Currency": "EUR", "RequestedAmount": amount}},
        }
        return (await self.ask("Payment", body, service))["PaymentResponse"]

    async def close(self) -> None:
        self._process.kill()
        await self._process.wait()
        self._reading.cancel()


@contextlib.asynccontextmanager
async def shop(
    folder: Path, clients: str = "127.0.0.1", head_s: float = 30.0, body_s: float = 30.0
) -> AsyncIterator[tuple[RegisterTerminal, BoundedServer]]:
    terminal = RegisterTerminal()
    gate = Gate(terminal.reach)
    memory = Memory(folder / "messages.sqlite")
    if not (folder / certificate.SERVER_FILE).exists():
        certificate.make(folder, "OT-0001", ["127.0.0.1"])
    known = [
        Client(Speaker("Till 1", ("POS-1",)), sealed.key_of("till-1", 1, PASSPHRASE)),
        Client(Speaker("Till 2", ("POS-2",)), api_key="an-api-key-of-this-test"),
    ]
    app = NexoApp(Station(gate, memory), known, body_s=body_s)
    place = place_of("nexo", "127.0.0.1:0", [clients], plain=False)
    server = BoundedServer("nexo", app, place, context_of(folder / certificate.SERVER_FILE), head_s)
    await server.open()
    try:
        yield terminal, server
    finally:
        await server.close()
        await gate.close()
        memory.close()


@contextlib.asynccontextmanager
async def client(folder: Path, port: int, **settings: Any) -> AsyncIterator[Till]:
    told = {
        "port": port, "saleId": "POS-1", "apiKey": "any", "key": "till-1",
        "passphrase": PASSPHRASE, "certificate": str(folder / certificate.ROOT_FILE), **settings,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        "node", str(ROOT / "tests/support/adyen_client.mjs"), str(package_dir()), json.dumps(told),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    till = Till(process)
    try:
        yield till
    finally:
        await till.close()


@pytest.mark.node
def test_the_unmodified_client_pays_sealed(tmp_path: Path) -> None:
    assert shutil.which("node"), "install node (18 or newer)"

    async def main() -> None:
        async with shop(tmp_path) as (terminal, server), client(tmp_path, server.port) as till:
            login = {
                "DateTime": "2026-11-22T01:02:03.000Z", "OperatorLanguage": "en",
                "SaleSoftware": {"ApplicationName": "a", "CertificationCode": "c",
                                 "ManufacturerID": "m", "SoftwareVersion": "1"},
            }  # fmt: skip
            answer = await till.ask("Login", login)
            assert answer["LoginResponse"]["Response"]["Result"] == "Success"
            paid = await till.pay(10.99)
            assert paid["Response"]["Result"] == "Success"
            result = paid["PaymentResult"]
            assert result["AmountsResp"] == {"Currency": "EUR", "AuthorizedAmount": 10.99}
            card = result["PaymentInstrumentData"]["CardData"]
            assert card["MaskedPan"] == "622848******0014" and card["EntryMode"] == ["ICC"]
            assert terminal.started[0][3] == 1099
            # JSON's binary floats: 0.1 + 0.2 is no amount of EUR, and is refused.
            odd = await till.pay(0.1 + 0.2)
            assert odd["Response"]["ErrorCondition"] == "MessageFormat"
            for ending, condition in ((1.28, "InvalidCard"), (1.34, "WrongPIN")):
                declined = await till.pay(ending)
                assert declined["Response"]["ErrorCondition"] == condition
            # Taken back while the customer looks for the card: abort is answered with nothing.
            terminal.go.clear()
            paying = asyncio.ensure_future(till.pay(5, "A1"))
            while terminal.sale is None:
                await asyncio.sleep(0.01)
            about = {"MessageCategory": "Payment", "SaleID": "POS-1", "ServiceID": "A1"}
            ask = {"MessageReference": about}
            status = (await till.ask("TransactionStatus", ask))["TransactionStatusResponse"]
            assert status["Response"]["ErrorCondition"] == "InProgress"
            abort = {"AbortReason": "MerchantAbort", "MessageReference": about}
            assert await till.ask("Abort", abort) is None
            assert (await paying)["Response"]["ErrorCondition"] == "Aborted"
            terminal.go.set()
            status = (await till.ask("TransactionStatus", ask))["TransactionStatusResponse"]
            body = status["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]
            assert body["PaymentResponse"]["Response"]["ErrorCondition"] == "Aborted"
            totals = (await till.ask("GetTotals", {}))["GetTotalsResponse"]["TransactionTotals"]
            assert totals[0]["PaymentTotals"][0]["TransactionAmount"] == 10.99
            answer = await till.ask("Diagnosis", {"HostDiagnosisFlag": False})
            assert answer["DiagnosisResponse"]["POIStatus"]["GlobalStatus"] == "OK"
            content = {"OutputFormat": "Text", "OutputText": [{"Text": "x"}]}
            output = {"Device": "CustomerDisplay", "InfoQualify": "Display"}
            output_list = [{**output, "OutputContent": content}]
            answer = await till.ask(
                "Display", {"DisplayOutput": output_list}, **{"class": "Device"}
            )
            refused = answer["DisplayResponse"]["OutputResult"][0]["Response"]
            assert refused["ErrorCondition"] == "UnavailableService"

    asyncio.run(main())


@pytest.mark.node
def test_the_unmodified_client_pays_plain_and_is_refused_with_a_wrong_key(tmp_path: Path) -> None:
    async def main() -> None:
        async with shop(tmp_path) as (terminal, server):
            plain = {"key": "", "saleId": "POS-2", "apiKey": "an-api-key-of-this-test"}
            async with client(tmp_path, server.port, **plain) as till:
                assert (await till.pay(2.5))["Response"]["Result"] == "Success"
            for wrong in ({**plain, "apiKey": "another"}, {"passphrase": "another"},
                          {"key": "till-9"}):  # fmt: skip
                async with client(tmp_path, server.port, **wrong) as till:
                    answer = await till.ask("Logout", {})
                    assert str(answer).startswith("error"), answer
                    assert "errors" in answer
            other = tmp_path / "other"
            other.mkdir()
            certificate.make(other, "OT-0002", [])
            async with client(other, server.port) as till:  # another root
                assert str(await till.ask("Logout", {})).startswith("error")
            assert [given[3] for given in terminal.started] == [250]

    asyncio.run(main())


def trust(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / certificate.ROOT_FILE))
    context.check_hostname = True
    return context


async def opened(folder: Path, server: BoundedServer) -> Any:
    return await asyncio.open_connection(
        "127.0.0.1", server.port, ssl=trust(folder), server_hostname="127.0.0.1"
    )


def test_slow_unknown_and_too_many_clients_do_not_hold_the_port(tmp_path: Path) -> None:
    head = b"POST /nexo/ HTTP/1.1\r\nHost: x\r\n"

    async def main() -> None:
        async with shop(tmp_path, head_s=0.2) as (terminal, server):
            for began in (b"", head + b"X-A: "):
                reader, writer = await opened(tmp_path, server)
                writer.write(began)
                assert await reader.read() == b""
                writer.close()
        async with shop(tmp_path, body_s=0.2) as (_, server):
            reader, writer = await opened(tmp_path, server)
            writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{")
            assert (await reader.read()).startswith(b"HTTP/1.1 408")
            writer.close()
        async with shop(tmp_path) as (_, server):
            held = [await opened(tmp_path, server) for _ in range(MOST_CONNECTIONS // 2)]
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await opened(tmp_path, server)
                raise AssertionError("one address has half of the places")
            reader, writer = held[-1]
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 404")
            for _, writer in held:
                writer.close()
        async with shop(tmp_path, clients="192.0.2.1") as (_, server):
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                reader, writer = await opened(tmp_path, server)
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert await reader.read() == b""
                writer.close()
        assert terminal.asked == []

    asyncio.run(main())


def test_a_port_that_is_taken_and_a_certificate_that_is_none_are_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with shop(tmp_path) as (_, server):
            place = place_of("nexo", f"127.0.0.1:{server.port}", [], plain=False)
            context = context_of(tmp_path / certificate.SERVER_FILE)
            again = BoundedServer("nexo", NexoApp(None, []), place, context)  # type: ignore[arg-type]
            with pytest.raises(UserError, match=str(server.port)):
                await again.open()
        (tmp_path / "bad.pem").write_text("x")
        for name in ("bad.pem", "none.pem"):
            with pytest.raises(UserError, match=name):
                context_of(tmp_path / name)

    asyncio.run(main())
