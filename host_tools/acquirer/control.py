"""The bank's control API: a small Starlette app, for the emulator's page and tests.

    GET  /ledger         totals, terminals, accounts, inconsistencies
    GET  /transactions   ?terminal=ID
    GET  /messages       ?most=N, masked
    GET  /rules          rules that wait
    POST /rules          {"kind": ..., "times": 1, "mti": "0200", "amount": ..., argument}
    POST /reset          forget transactions and rules, restore accounts

An endpoint runs in the server's loop, like the bank itself.
"""

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from host_tools.acquirer.bank import Bank
from host_tools.acquirer.rules import RuleError

_MAX_BODY = 16 * 1024


def _refused(text: str, status: int = 400) -> JSONResponse:
    return JSONResponse({"error": text}, status)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of the request. RuleError."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MAX_BODY:
            raise RuleError("the body is too long")
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RuleError(f"not JSON: {error}") from error
    if not isinstance(table, dict):
        raise RuleError("not a JSON object")
    return table


def control_app(bank: Bank) -> Starlette:
    """The app. A page of another site cannot use it: it answers only requests
    whose Host is loopback, and takes rules as application/json only, which a
    foreign page may not send without being asked."""

    def foreign(request: Request) -> JSONResponse | None:
        if request.url.hostname not in ("127.0.0.1", "localhost", "::1"):
            return _refused("only for this computer", 403)
        kind = request.headers.get("content-type", "").split(";")[0].strip()
        if request.method == "POST" and kind != "application/json":
            return _refused("send application/json", 415)
        return None

    async def ledger(request: Request) -> JSONResponse:
        return foreign(request) or JSONResponse(
            {
                "approved_total": bank.ledger.approved_total(),
                "terminals": bank.ledger.terminals(),
                "accounts": bank.ledger.accounts(),
                "inconsistencies": bank.ledger.inconsistencies(),
            }
        )

    async def transactions(request: Request) -> JSONResponse:
        terminal = request.query_params.get("terminal")
        return foreign(request) or JSONResponse(bank.ledger.transactions(terminal))

    async def messages(request: Request) -> JSONResponse:
        most = request.query_params.get("most", "200")
        if not (most.isascii() and most.isdecimal() and 1 <= int(most[:6]) <= 10_000):
            return _refused("'most' is 1 to 10000")
        return foreign(request) or JSONResponse(bank.ledger.messages(int(most)))

    async def rules(request: Request) -> JSONResponse:
        refused = foreign(request)
        if refused is not None:
            return refused
        if request.method == "POST":
            try:
                table = await _body(request)
                kind = table.pop("kind", None)
                if not isinstance(kind, str):
                    raise RuleError("'kind' is missing")
                bank.rules.add(kind, **table)
            except RuleError as error:
                return _refused(str(error))
        return JSONResponse(bank.rules.waiting())

    async def reset(request: Request) -> JSONResponse:
        refused = foreign(request)
        if refused is None:
            bank.reset()
        return refused or JSONResponse({})

    return Starlette(
        routes=[
            Route("/ledger", ledger),
            Route("/transactions", transactions),
            Route("/messages", messages),
            Route("/rules", rules, methods=["GET", "POST"]),
            Route("/reset", reset, methods=["POST"]),
        ]
    )
