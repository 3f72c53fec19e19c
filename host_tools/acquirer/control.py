"""The bank's control API: a small Starlette app, for the emulator's page and tests.

    GET  /ledger         totals, terminals, accounts, inconsistencies
    GET  /transactions   ?terminal=ID
    GET  /messages       ?most=N, masked
    GET  /rules          rules that wait
    POST /rules          {"kind": ..., "times": 1, "mti": "0200", "amount": ..., argument}
    POST /reset          forget transactions and rules, restore accounts

A request that is refused is answered with 4xx and ``{"error": ...}``. An endpoint
runs in the server's loop, like the bank itself.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from host_tools import http_json
from host_tools.acquirer.bank import Bank
from host_tools.acquirer.rules import RuleError
from host_tools.http_guard import Guard

Endpoint = Callable[[Request], Awaitable[JSONResponse]]
_MAX_BODY = 16 * 1024


async def _table(request: Request) -> dict[str, Any]:
    """The JSON object of the request. RuleError, HTTPException."""
    data = await http_json.body(request, _MAX_BODY)
    try:
        table = json.loads(data, object_pairs_hook=_once)
    except RecursionError:
        raise RuleError("nested too deeply") from None
    except RuleError:
        raise
    except ValueError as error:
        raise RuleError(f"not JSON: {error}") from error
    if not isinstance(table, dict):
        raise RuleError("not a JSON object")
    return table


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise RuleError("a key occurs twice")
    return table


def control_app(bank: Bank) -> Starlette:
    """The app. A page of another site cannot use it: ``Guard`` refuses it, and rules
    are taken as application/json only, which it may not send without being asked."""

    def endpoint(answer: Callable[[Request], Awaitable[Any]]) -> Endpoint:
        async def checked(request: Request) -> JSONResponse:
            return JSONResponse(await answer(request))

        return checked

    async def ledger(request: Request) -> Any:
        return {
            "approved_total": bank.ledger.approved_total(),
            "terminals": bank.ledger.terminals(),
            "accounts": bank.ledger.accounts(),
            "inconsistencies": bank.ledger.inconsistencies(),
        }

    async def transactions(request: Request) -> Any:
        return bank.ledger.transactions(request.query_params.get("terminal"))

    async def messages(request: Request) -> Any:
        most = request.query_params.get("most", "200")
        if not re.fullmatch("[0-9]{1,5}", most) or not 1 <= int(most) <= 10_000:
            raise HTTPException(400, "'most' is 1 to 10000")
        return bank.ledger.messages(int(most))

    async def rules(request: Request) -> Any:
        if request.method == "POST":
            try:
                table = await _table(request)
                kind = table.pop("kind", None)
                if not isinstance(kind, str):
                    raise RuleError("'kind' is missing")
                bank.rules.add(kind, **table)
            except RuleError as error:
                raise HTTPException(400, str(error)) from None
        return bank.rules.waiting()

    async def reset(request: Request) -> Any:
        await http_json.body(request, _MAX_BODY)
        bank.reset()
        return {}

    return Starlette(
        routes=[
            Route("/ledger", endpoint(ledger)),
            Route("/transactions", endpoint(transactions)),
            Route("/messages", endpoint(messages)),
            Route("/rules", endpoint(rules), methods=["GET", "POST"]),
            Route("/reset", endpoint(reset), methods=["POST"]),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers={HTTPException: http_json.refused},
    )
