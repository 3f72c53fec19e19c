"""The REST API over a terminal in memory and a filled store."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from host_tools.register.gate import Gate
from host_tools.register.guard import place_of
from host_tools.register.http_server import BoundedServer, context_of
from host_tools.register.memory import Memory
from host_tools.register.nexo import certificate
from host_tools.rest import api as rest
from host_tools.rest.payments import FRESH_S, Payments
from host_tools.rest.problems import PROBLEMS
from host_tools.rest.tokens import FILE, Tokens
from tests.support import filled_store
from tests.support.register_terminal import RegisterTerminal

SALE = {"amount": 1000, "currency": "EUR"}


class Desk:
    """The application, and two clients of it."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.ticks = 1_000_000, 0.0
        self.terminal = RegisterTerminal()
        self.gate = Gate(self.terminal.reach, patience_s=0)
        self.memory = Memory(now=lambda: self.clock)
        self.tokens = Tokens(folder / FILE)
        self.shop = self.tokens.add("shop", ["start", "read"])
        self.office = self.tokens.add("office", ["read"])
        self.store = folder / "store.sqlite"
        self.api = rest.Api(
            self.gate, self.memory, self.tokens,
            lambda: filled_store.database.open(f"sqlite:///{self.store}", create=False),
            lambda: self.ticks,
        )  # fmt: skip
        self.app = rest.create(self.api, "1.2")
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://127.0.0.1",
        )

    def fill(self, *rows: dict[str, Any]) -> None:
        store = filled_store.opened(self.store)

        def work(connection: Any) -> None:
            filled_store.terminal(connection, "OT-0001")
            filled_store.add(connection, *rows)

        store.change(work)
        store.close()

    async def ask(
        self, method: str, path: str, token: str | None = None, **more: Any
    ) -> tuple[int, Any]:
        self.ticks += 1
        headers = {"Authorization": f"Bearer {token or self.shop}", **more.pop("headers", {})}
        answer = await self.http.request(method, path, headers=headers, **more)
        assert answer.headers["connection"] == "close"
        value = answer.json()
        if answer.status_code >= 400:
            error = value["error"]
            assert set(error) == {"code", "message", "what_to_do", "detail"}
            assert PROBLEMS[error["code"]][0] == answer.status_code and error["what_to_do"]
            return answer.status_code, error["code"]
        return answer.status_code, value

    async def pay(self, key: str, sale: Any = None, wait: int = 5, **more: Any) -> tuple[int, Any]:
        return await self.ask(
            "POST", f"/v1/payments?wait={wait}", json=SALE if sale is None else sale,
            headers={"Idempotency-Key": key}, **more,
        )  # fmt: skip


def told(folder: Path, story: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        desk = Desk(folder)
        try:
            await story(desk)
        finally:
            await desk.http.aclose()
            await desk.api.close()
            await desk.gate.close()
            desk.memory.close()

    asyncio.run(main())


def test_a_payment_that_began_and_is_kept_no_longer_is_never_begun_again(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.terminal.go.clear()
        status, begun = await desk.pay("order-1", wait=0)
        assert status == 202 and begun["state"] == "progress"
        desk.terminal.cut()
        desk.terminal.forget()  # approved; later results took its place
        desk.terminal.mend()
        desk.terminal.go.set()
        for _ in range(2):
            status, again = await desk.pay("order-1")
            assert status == 202 and again["state"] == "progress" and not again["final"]
            desk.clock += FRESH_S
        assert len(desk.terminal.started) == 1
        # What another PC asks under the same client and key is another payment.
        other = Memory(now=lambda: desk.clock)
        desk.api.payments = Payments(desk.gate, other)
        assert (await desk.pay("order-1"))[0] == 201
        assert len(desk.terminal.started) == 2
        other.close()

    told(tmp_path, story)


def test_a_key_is_charged_once(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        status, first = await desk.pay("order-1")
        assert status == 201 and first["state"] == "approved" and first["final"]
        assert (first["amount"], first["currency"], first["key"]) == (1000, "EUR", "order-1")
        assert first["pan"] == "622848******0014" and "reference" not in first
        assert await desk.pay("order-1") == (201, first)
        assert await desk.pay("order-1", {**SALE, "amount": 1001}) == (409, "conflict")
        # Also when the terminal has long forgotten its result.
        desk.terminal.results.clear()
        desk.clock += 300 * 24 * 3600
        assert await desk.pay("order-1") == (201, first)
        assert await desk.ask("GET", "/v1/payments/order-1") == (200, first)
        assert len(desk.terminal.started) == 1
        # Another client's keys are its own.
        other = desk.tokens.add("other", ["start"])
        assert (await desk.ask("GET", "/v1/payments/order-1", other))[1] == "no_payment"

    told(tmp_path, story)


def test_a_payment_is_followed_and_taken_back(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.terminal.go.clear()
        status, first = await desk.pay("a", wait=0)
        assert (status, first["state"], first["final"]) == (202, "progress", False)
        assert (await desk.pay("a", wait=0))[0] == 202
        assert await desk.pay("b") == (409, "busy")
        status, asked = await desk.ask("GET", "/v1/payments/a")
        assert (status, asked["state"]) == (200, "progress")
        status, over = await desk.ask("POST", "/v1/payments/a/cancel")
        assert (status, over["state"], over["reason"]) == (200, "cancelled", "register.aborted")
        assert await desk.ask("POST", "/v1/payments/a/cancel") == (409, "too_late")
        assert await desk.ask("POST", "/v1/payments/none/cancel") == (404, "no_payment")
        desk.terminal.go.set()
        # A key that was told busy may still begin, but not for ever.
        status, done = await desk.pay("b")
        assert (status, done["state"]) == (201, "approved")
        assert len(desk.terminal.started) == 2
        desk.terminal.keyed = 500
        assert await desk.pay("c") == (409, "busy")
        desk.terminal.keyed = 0
        desk.clock += FRESH_S
        assert await desk.pay("c") == (409, "key_expired")
        assert len(desk.terminal.started) == 2

    told(tmp_path, story)


def test_refusals_and_lost_links_say_what_to_do(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        assert await desk.pay("a", {**SALE, "currency": "USD"}) == (422, "refused")
        status, declined = await desk.pay("b", {**SALE, "amount": 1124})
        assert (status, declined["state"], declined["response"]) == (201, "declined", "51")
        desk.terminal.cut()
        assert await desk.pay("c") == (503, "unreachable")
        assert await desk.ask("GET", "/v1/terminal") == (503, "unreachable")
        assert await desk.ask("GET", "/v1/payments/c") == (503, "unreachable")
        assert await desk.ask("POST", "/v1/payments/c/cancel") == (503, "unreachable")
        desk.terminal.mend()
        assert (await desk.pay("c"))[0] == 201
        status, there = await desk.ask("GET", "/v1/terminal", desk.office)
        assert (status, there["serial"], there["busy"]) == (200, "OT-0001", False)

    told(tmp_path, story)


WRONG = (
    b'{"amount": 10.00, "currency": "EUR"}', b'{"amount": 1e3, "currency": "EUR"}',
    b'{"amount": "1000", "currency": "EUR"}', b'{"amount": true, "currency": "EUR"}',
    b'{"amount": 0, "currency": "EUR"}', b'{"amount": -5, "currency": "EUR"}',
    b'{"amount": 1000000000000, "currency": "EUR"}', b'{"amount": 1' + b"0" * 400 + b"}",
    b'{"amount": 1, "amount": 2, "currency": "EUR"}', b'{"amount": NaN, "currency": "EUR"}',
    b'{"amount": 1000, "currency": "EU"}', b'{"amount": 1000, "currency": "QQQ"}',
    b'{"amount": 1000, "currency": "EUR", "tip": 1}', b'{"amount": 1000}', b"[]", b"\xff",
    b"", b"[" * 3000, b'{"amount": 1e9999999999999999999, "currency": "EUR"}',
    b'{"amount": 1000, "currency": "EU\\ud800"}', b'{"\\ud800": 1}',
)  # fmt: skip


def test_only_whole_minor_units_are_an_amount(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        headers = {"Idempotency-Key": "a", "Content-Type": "application/json"}
        for raw in WRONG:
            found = await desk.ask("POST", "/v1/payments", content=raw, headers=headers)
            assert found == (400, "bad_request"), raw
        assert desk.terminal.started == [] and desk.memory.find("shop", "a") is None

    told(tmp_path, story)


def test_requests_out_of_bounds_are_refused(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        for key in ("", "a b", "ä", "x" * 65, "a/b"):
            headers = {"Idempotency-Key": key.encode("latin-1")}
            found = await desk.ask("POST", "/v1/payments", json=SALE, headers=headers)
            assert found == (400, "bad_key")
        long = {**SALE, "currency": "E" * rest.MOST_BODY}
        assert await desk.pay("a", long) == (413, "body_too_long")
        form = {"Content-Type": "text/plain", "Idempotency-Key": "a"}
        assert await desk.ask("POST", "/v1/payments", content=b"{}", headers=form) == (
            415, "body_kind",
        )  # fmt: skip
        assert await desk.pay("a", wait=61) == (400, "bad_request")
        assert await desk.ask("GET", "/v2/x") == (404, "not_found")
        assert await desk.ask("DELETE", "/v1/payments/a") == (405, "bad_method")
        assert await desk.ask("GET", "/v1/payments?limit=501") == (400, "bad_request")
        assert await desk.ask("GET", "/v1/payments?from=2026") == (400, "bad_request")
        assert await desk.ask("GET", "/v1/terminals") == (503, "no_store")
        assert desk.terminal.started == []

    told(tmp_path, story)


def test_a_token_may_what_it_may(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        assert await desk.pay("a", token=desk.office) == (403, "not_allowed")
        assert await desk.ask("POST", "/v1/payments/a/cancel", desk.office) == (403, "not_allowed")
        starter = desk.tokens.add("starter", ["start"])
        assert await desk.ask("GET", "/v1/payments", starter) == (403, "not_allowed")
        assert (await desk.pay("a", token=starter))[0] == 201
        assert (await desk.ask("GET", "/v1/payments/a", starter))[0] == 200
        for wrong in (
            desk.shop[:-1],
            desk.shop + "a",
            "ot_",
            "x" * 5000,
            "ot_00000000_" + "a" * 43,
        ):
            desk.ticks += 10
            assert await desk.ask("GET", "/v1/terminal", wrong) == (401, "no_token")
        answer = await desk.http.get("/v1/terminal")
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        # Revoked by another process: refused from then on.
        Tokens(tmp_path / FILE).revoke("starter")
        assert await desk.ask("GET", "/v1/payments/a", starter) == (401, "no_token")

    told(tmp_path, story)


def test_too_many_requests_wait(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        async def got(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            answer = await desk.http.get("/v1/terminal", headers=headers)
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
            return answer.status_code

        found = [await got(desk.shop) for _ in range(rest.BURST + 1)]
        assert found == [200] * rest.BURST + [429]
        assert await got(desk.office) == 200
        # Guesses are counted by address, and those who are known are not kept out by them.
        guesses = [await got(f"ot_{at:08x}_" + "a" * 43) for at in range(rest.TRIES)]
        assert guesses[:3] == [401] * 3 and guesses[-1] == 429
        assert await got(desk.office) == 200
        desk.ticks += 60
        assert await got("ot_") == 401 and await got(desk.shop) == 200

    told(tmp_path, story)


def test_payments_are_read_page_by_page(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        rows = [filled_store.payment(n, outcome="declined" if n == 3 else "approved")
                for n in range(1, 6)]  # fmt: skip
        rows[4]["pan_masked"] = "6222001234561234"
        desk.fill(*rows)
        found: list[Any] = []
        cursor, more = "", True
        while more:
            path = f"/v1/payments?limit=2&cursor={cursor}"
            status, page = await desk.ask("GET", path, desk.office)
            assert status == 200 and len(page["payments"]) <= 2
            found += page["payments"]
            cursor, more = page["cursor"], page["more"]
        assert [one["id"] for one in found] == [f"OT-0001-1-{n}" for n in range(1, 6)]
        assert found[0]["amount"] == 1000 and found[0]["currency"] == "CNY"
        assert found[0]["pan_masked"] == "622200******1234" and found[4]["pan_masked"] is None
        status, last = await desk.ask("GET", f"/v1/payments?cursor={cursor}")
        assert last == {"payments": [], "cursor": cursor, "more": False}
        _, some = await desk.ask("GET", "/v1/payments?outcome=declined&terminal=OT-0001")
        assert [one["id"] for one in some["payments"]] == ["OT-0001-1-3"]
        _, none = await desk.ask("GET", "/v1/payments?from=2026-11-02&to=2026-11-03")
        assert none == {"payments": [], "cursor": "", "more": False}
        for wrong in ("x", "%C3%BF", "MSAxIDE", "LTEgMSAxIHg", "x" * 401):
            found = await desk.ask("GET", f"/v1/payments?cursor={wrong}")
            assert found == (400, "bad_request")
        # The payments were folded anew: a row's number is another payment's.
        store = filled_store.opened(desk.store)
        store.change(lambda c: c.exec_driver_sql("UPDATE payment SET request_sequence = 99 "
                                                 "WHERE request_sequence = 5"))  # fmt: skip
        store.close()
        assert await desk.ask("GET", f"/v1/payments?cursor={cursor}") == (410, "cursor_gone")

    told(tmp_path, story)


def test_reports_and_terminals_are_read(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.fill(filled_store.payment(1), filled_store.payment(2, amount=250))
        status, day = await desk.ask(
            "GET", "/v1/reports/day?from=2026-11-01&to=2026-11-01", desk.office
        )
        assert status == 200 and day["report"] == "day"
        (total,) = day["totals"]
        assert total["currency"] == "CNY" and 1250 in total.values()
        assert (await desk.ask("GET", "/v1/reports/x?terminal=OT-0001"))[0] == 200
        assert await desk.ask("GET", "/v1/reports/x?terminal=OT-9") == (400, "bad_request")
        assert await desk.ask("GET", "/v1/reports/day?from=2026-13") == (400, "bad_request")
        assert await desk.ask("GET", "/v1/reports/none") == (404, "not_found")
        status, found = await desk.ask("GET", "/v1/terminals")
        assert status == 200
        assert found["terminals"][0]["serial"] == "OT-0001"
        assert found["terminals"][0]["last_seen"] == "2027-01-15T08:00:00Z"

    told(tmp_path, story)


def test_the_description_names_every_operation_and_its_errors(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        value = (await desk.http.get("/openapi.json")).json()
        assert set(value["paths"]) == {
            "/v1/payments", "/v1/payments/{key}", "/v1/payments/{key}/cancel", "/v1/terminal",
            "/v1/terminals", "/v1/reports/{kind}",
        }  # fmt: skip
        start = value["paths"]["/v1/payments"]["post"]
        schema = start["requestBody"]["content"]["application/json"]["schema"]
        assert schema["properties"]["amount"]["type"] == "integer"
        assert "busy" in start["responses"]["409"]["description"]
        assert start["security"] == [{"HTTPBearer": []}]
        for operations in value["paths"].values():
            for operation in operations.values():
                assert "no_token" in operation["responses"]["401"]["description"]

    told(tmp_path, story)


@contextlib.asynccontextmanager
async def served(desk: Desk, folder: Path, tls: bool, head_s: float) -> AsyncIterator[int]:
    context = None
    if tls:
        certificate.make(folder, "shop", ["localhost", "127.0.0.1"])
        context = context_of(folder / certificate.SERVER_FILE)
    place = place_of("api", "127.0.0.1:0", [], plain=False)
    server = BoundedServer("api", desk.app, place, context, head_s)
    await server.open()
    try:
        yield server.port
    finally:
        await server.close()


def test_over_tls_and_a_slow_head_is_hung_up_on(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        async with served(desk, tmp_path, True, 0.2) as port:
            trusted = ssl.create_default_context(cafile=tmp_path / certificate.ROOT_FILE)
            async with httpx.AsyncClient(verify=trusted, trust_env=False) as http:
                answer = await http.get(
                    f"https://localhost:{port}/v1/terminal",
                    headers={"Authorization": f"Bearer {desk.shop}"},
                )
            assert answer.json()["serial"] == "OT-0001"
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
            writer.write(b"GET /v1/terminal HTTP/1.1\r\nHost: x\r\nX: ")
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
        async with served(desk, tmp_path, False, 10) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /v1/terminal HTTP/1.1\r\nHost: x\r\n\r\n")
            answered = await asyncio.wait_for(reader.read(), 30)
            assert answered.startswith(b"HTTP/1.1 401") and b"no_token" in answered
            writer.close()

    told(tmp_path, story)
