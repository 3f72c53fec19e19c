"""Errors of the REST API: one shape, each with its code and what to do about it."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

#: code: (HTTP status, what happened, what to do)
PROBLEMS: dict[str, tuple[int, str, str]] = {
    "no_token": (401, "the token is missing or not known",
                 "send Authorization: Bearer TOKEN; make one with: till api token add"),
    "not_allowed": (403, "the token does not allow this",
                    "make a token that may do it: till api token add NAME --may start,read"),
    "too_many_requests": (429, "too many requests", "wait the seconds of Retry-After"),
    "bad_request": (400, "the request is wrong", "mend what detail names"),
    "not_found": (404, "there is nothing under this path", "read /openapi.json"),
    "bad_method": (405, "another method is needed", "read /openapi.json"),
    "body_late": (408, "the body did not come in time", "send it at once"),
    "body_too_long": (413, "the body is too long", "send a shorter one"),
    "body_kind": (415, "the body is no JSON", "send Content-Type: application/json"),
    "bad_key": (400, "Idempotency-Key is missing or wrong",
                "send 1 to 64 of A-Z a-z 0-9 . _ - and another one for each payment"),
    "conflict": (409, "this key stands for another payment; nothing was charged",
                 "use a new Idempotency-Key"),
    "key_expired": (409, "this key is over ten minutes old and the terminal has no such payment",
                    "nothing was charged; begin anew under a new Idempotency-Key"),
    "busy": (409, "the terminal is busy with another payment; nothing was charged",
             "send the same request again when that payment is over"),
    "refused": (422, "the terminal does not take this payment; nothing was charged",
                "mend what detail names"),
    "too_late": (409, "the payment cannot be taken back any more", "ask how it ended"),
    "not_begun": (409, "the terminal has not begun this payment yet", "ask again in a second"),
    "no_payment": (404, "the terminal has no such payment; nothing was charged",
                   "check the key"),
    "unreachable": (503, "no terminal is connected",
                    "connect it, look with till doctor, then ask for the payment again"),
    "no_store": (503, "the database cannot be read", "do what detail says"),
    "cursor_gone": (410, "the payments were folded anew since this cursor",
                    "begin without a cursor"),
    "failed": (500, "the server failed", "look at its messages, then try again"),
}  # fmt: skip
#: Of what Starlette itself says.
OF_STATUS = {
    400: "bad_request", 404: "not_found", 405: "bad_method", 408: "body_late",
    413: "body_too_long", 415: "body_kind",
}  # fmt: skip


class Wrong(BaseModel):
    """``code`` is for programs; the other three are for people."""

    code: str
    message: str
    what_to_do: str
    detail: str = ""


class ErrorAnswer(BaseModel):
    """How every error is answered."""

    error: Wrong


class Problem(Exception):
    """An error of PROBLEMS."""

    def __init__(
        self, code: str, detail: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """It, for the client."""
        status, message, what_to_do = PROBLEMS[self.code]
        wrong = Wrong(
            code=self.code, message=message, what_to_do=what_to_do, detail=self.detail[:500]
        )
        value: dict[str, Any] = {"error": wrong.model_dump()}
        return JSONResponse(value, status, self.headers)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the errors of an operation, beside those of every one."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in ("no_token", "not_allowed", "too_many_requests", "bad_request", *codes):
        status, message, _ = PROBLEMS[code]
        known = found.setdefault(status, {"model": ErrorAnswer, "description": ""})
        known["description"] = "; ".join(filter(None, (known["description"], f"{code}: {message}")))
    return found
