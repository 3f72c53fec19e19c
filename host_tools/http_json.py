"""Reading a request's JSON body within bounds, for the small servers on loopback."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

#: A body of a few hundred bytes from this same computer.
BODY_S = 10.0


async def body(request: Request, most: int) -> bytes:
    """The whole body. HTTPException: 415 unless it says that it is JSON (which no
    form of another site can), 413 over ``most`` bytes, 408 after ``BODY_S``, 400
    when the other side hangs up in the middle."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send application/json")
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most:
                    raise HTTPException(413, f"at most {most} bytes")
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {BODY_S:.0f} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the body broke off") from None
    return bytes(data)


async def refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to an HTTPException, Starlette's own (404, 405) included."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
