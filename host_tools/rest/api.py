"""The application: who may ask, what is asked, and its OpenAPI description."""

import asyncio
import datetime
import json
import re
import time
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from host_tools import http_json
from host_tools.commands.report import KINDS
from host_tools.errors import UserError
from host_tools.register.gate import Gate
from host_tools.register.memory import Memory
from host_tools.register.nexo import number_json
from host_tools.reports import kinds
from host_tools.reports.amounts import currency_number
from host_tools.reports.report import as_json
from host_tools.rest import listing
from host_tools.rest.limits import Buckets
from host_tools.rest.payments import Payments, plain, told
from host_tools.rest.problems import OF_STATUS, Problem, responses
from host_tools.rest.tokens import READ, START, Token, Tokens
from host_tools.store.database import Store

T = TypeVar("T")

MOST_BODY, MOST_WAIT_S = 4096, 60
#: Requests of a token, and new tokens that an address may try.
PER_S, BURST, TRIES_PER_S, TRIES = 10.0, 40, 0.2, 10
_KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_BEARER = HTTPBearer(auto_error=False, description="A token of: till api token add")


class NewPayment(BaseModel):
    """A sale. ``amount``: an integer of the currency's minor unit, 1000 for 10.00 EUR."""

    model_config = ConfigDict(extra="forbid")

    amount: StrictInt = Field(ge=1, le=999_999_999_999)
    currency: StrictStr = Field(pattern="^[A-Z]{3}$", description="ISO 4217 letters")


class PaymentState(BaseModel):
    """``state``: approved, declined, cancelled, reversed (these are final); progress and
    unknown: do not hand over the goods, ask again."""

    model_config = ConfigDict(extra="allow")

    key: str
    state: str
    final: bool
    amount: int = 0
    currency: str = ""


class Listed(BaseModel):
    """A page. ``cursor``: where the next one begins, also when ``more`` says that there is
    none yet."""

    payments: list[dict[str, Any]]
    cursor: str
    more: bool


class Api:
    """What the operations stand on. ``open_store``: the database as it is."""

    def __init__(
        self,
        gate: Gate,
        memory: Memory,
        tokens: Tokens,
        open_store: Callable[[], Store],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gate = gate
        self.payments = Payments(gate, memory)
        self._tokens = tokens
        self._open_store = open_store
        self._store: Store | None = None
        self._rates = Buckets(PER_S, BURST, now)
        self._tries = Buckets(TRIES_PER_S, TRIES, now)
        self._one_hash = asyncio.Lock()

    async def client(self, request: Request, given: str, right: str) -> Token:
        """Whose token it is. Problem."""
        token = self._tokens.quick(given)
        if token is None:
            wait = self._tries.take(request.client.host if request.client else "")
            if wait:
                raise Problem("too_many_requests", headers={"Retry-After": str(wait)})
            if given:
                async with self._one_hash:
                    token = await asyncio.to_thread(self._tokens.slow, given)
        if token is None:
            raise Problem("no_token", headers={"WWW-Authenticate": "Bearer"})
        wait = self._rates.take(token.id)
        if wait:
            raise Problem("too_many_requests", headers={"Retry-After": str(wait)})
        if right not in token.may and not (right == "" and token.may):
            raise Problem("not_allowed", right)
        return token

    async def read(self, work: Callable[[Connection], T]) -> T:
        """``work`` over one state of the database. Problem."""

        def done() -> T:
            if self._store is None:
                self._store = self._open_store()
            with self._store.read() as connection:
                return work(connection)

        try:
            return await asyncio.to_thread(done)
        except UserError as error:
            raise Problem("no_store", str(error)) from None

    async def close(self) -> None:
        """Give the database back; follow nothing."""
        await self.payments.close()
        if self._store is not None:
            self._store.close()


class _OneAnswer:
    """Each answer ends its connection and is kept by nobody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"connection", b"close"),
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self._app(scope, receive, sent)


def create(api: Api, version: str = "") -> FastAPI:
    """The application around ``api``."""
    app = FastAPI(
        title="OpenTill",
        version=version or "0",
        description="Payments and reports of the terminals of this PC (docs/api.md).",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(_OneAnswer)
    _errors(app)
    _money(app, api)
    _reading(app, api)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return Problem("bad_request", _first(error.errors())).response()

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> JSONResponse:
        code = OF_STATUS.get(error.status_code, "failed")
        return Problem(code, str(error.detail), error.headers).response()

    @app.exception_handler(UserError)
    async def refused(_request: Request, error: UserError) -> JSONResponse:
        return Problem("failed", str(error)).response()

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> JSONResponse:
        return Problem("failed").response()


def _first(errors: Any) -> str:
    """The first error, without what the client sent."""
    place = ".".join(str(part) for part in errors[0]["loc"])
    return f"{place}: {errors[0]['msg']}"


def _needs(api: Api, right: str) -> Any:
    """A token with this right; "": with any."""

    async def token(
        request: Request,
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> Token:
        return await api.client(request, given.credentials if given else "", right)

    return Depends(token)


def _key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise Problem("bad_key")
    return text


async def _sale(request: Request) -> NewPayment:
    raw = await http_json.body(request, MOST_BODY)
    try:
        return NewPayment.model_validate(number_json.read(raw.decode()))
    except (UnicodeDecodeError, number_json.NotJson) as error:
        raise Problem("bad_request", str(error)) from None
    except ValidationError as error:
        raise Problem("bad_request", _first(error.errors())) from None


def _money(app: FastAPI, api: Api) -> None:
    schema = {"application/json": {"schema": NewPayment.model_json_schema()}}
    body = {"requestBody": {"required": True, "content": schema}}

    @app.post(
        "/v1/payments",
        status_code=201,
        response_model=PaymentState,
        openapi_extra=body,
        responses={
            202: {"model": PaymentState, "description": "at work: ask again"},
            **responses("bad_key", "conflict", "key_expired", "busy", "refused", "unreachable",
                        "body_late", "body_too_long", "body_kind"),
        },
    )  # fmt: skip
    async def start(
        request: Request,
        token: Annotated[Token, _needs(api, START)],
        idempotency_key: Annotated[str, Header()] = "",
        wait: Annotated[int, Query(ge=0, le=MOST_WAIT_S)] = 0,
    ) -> JSONResponse:
        """Begin a payment: once for each Idempotency-Key, however often this is sent.

        Answers 201 when the payment's end is known within `wait` seconds, else 202."""
        key = _key(idempotency_key)
        sale = await _sale(request)
        try:
            currency = currency_number(sale.currency)
        except UserError as error:
            raise Problem("bad_request", str(error)) from None
        answer = await api.payments.start(token.name, key, sale.amount, currency, wait)
        value = plain(key, told(answer))
        return JSONResponse(value, 201 if value["final"] else 202)

    @app.get(
        "/v1/payments/{key}",
        response_model=PaymentState,
        responses=responses("bad_key", "no_payment", "unreachable"),
    )
    async def query(key: str, token: Annotated[Token, _needs(api, "")]) -> JSONResponse:
        """How a payment of this token stands."""
        answer = await api.payments.state(token.name, _key(key))
        return JSONResponse(plain(key, answer))

    @app.post(
        "/v1/payments/{key}/cancel",
        response_model=PaymentState,
        responses=responses("bad_key", "no_payment", "too_late", "not_begun", "unreachable"),
    )
    async def cancel(key: str, token: Annotated[Token, _needs(api, START)]) -> JSONResponse:
        """Take a payment back, until its request goes to the acquirer."""
        await api.payments.cancel(token.name, _key(key))
        return JSONResponse(plain(key, await api.payments.state(token.name, key)))

    @app.get("/v1/terminal", responses=responses("unreachable"))
    async def terminal(_token: Annotated[Token, _needs(api, "")]) -> dict[str, Any]:
        """How the connected terminal is."""
        try:
            found = await api.gate.status()
        except UserError as error:
            raise Problem("unreachable", str(error)) from None
        return found


def _reading(app: FastAPI, api: Api) -> None:
    @app.get("/v1/terminals", responses=responses("no_store"))
    async def terminals(_token: Annotated[Token, _needs(api, READ)]) -> dict[str, Any]:
        """Terminals whose journals were synced."""
        return {"terminals": await api.read(listing.terminals)}

    @app.get("/v1/payments", response_model=Listed, responses=responses("no_store", "cursor_gone"))
    async def payments(
        _token: Annotated[Token, _needs(api, READ)],
        cursor: Annotated[str, Query(max_length=400)] = "",
        limit: Annotated[int, Query(ge=1, le=listing.MOST)] = 100,
        first: Annotated[str, Query(alias="from", pattern=_DAY)] = "",
        last: Annotated[str, Query(alias="to", pattern=_DAY)] = "",
        terminal: Annotated[str, Query(max_length=40)] = "",
        outcome: Annotated[str, Query(max_length=20)] = "",
    ) -> JSONResponse:
        """Synced payments in the order in which they came; `from` and `to` are business days."""
        page = await api.read(
            lambda connection: listing.payments(
                connection, cursor, limit, first, last, terminal, outcome
            )
        )
        return JSONResponse(page)

    @app.get("/v1/reports/{kind}", responses=responses("no_store"))
    async def report(
        kind: str,
        _token: Annotated[Token, _needs(api, READ)],
        first: Annotated[str, Query(alias="from", max_length=10)] = "",
        last: Annotated[str, Query(alias="to", max_length=10)] = "",
        terminal: Annotated[str, Query(max_length=40)] = "",
        currency: Annotated[str, Query(max_length=3)] = "",
        test: bool = False,
        number: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    ) -> dict[str, Any]:
        """A report of `till report` as its --json has it; amounts are integers."""
        if kind not in KINDS:
            raise Problem("not_found", "reports: " + ", ".join(KINDS))
        asked = kinds.Asked(first, last, terminal, currency, test, number)
        today = datetime.datetime.now().astimezone().date()

        def made(connection: Connection) -> Any:
            try:
                return kinds.report(connection, kind, asked, int(time.time()), today)
            except (UserError, typer.BadParameter) as error:
                raise Problem("bad_request", str(error)) from None

        value: dict[str, Any] = json.loads(as_json(await api.read(made)))
        return value
