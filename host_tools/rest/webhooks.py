"""Webhooks: subscriptions, and the deliverer of what the outbox holds.

Of each subscription the oldest delivery goes first, and no other until it has arrived or is given
up. A delivery is claimed in the store before it is sent: two servers do not send it twice, and
one that is killed sends it again.
"""

import asyncio
import hashlib
import hmac
import random
import secrets
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import h11
from sqlalchemy import Connection, delete, func, insert, select, update

from host_tools.errors import UserError
from host_tools.rest.addresses import allowed_address, networks
from host_tools.store.database import Store
from host_tools.store.outbox import EVENTS, Outgoing, Subscription
from host_tools.texts import said

SIGNATURE, TIMESTAMP = "OpenTill-Signature", "OpenTill-Timestamp"
DELIVERY, EVENT = "OpenTill-Delivery", "OpenTill-Event"
#: A receiver refuses timestamps that are further away.
WINDOW_S = 300
#: A try may take so long; a claim holds for longer.
SEND_S, CLAIM_S = 15, 60
FIRST_PAUSE_S, LONGEST_PAUSE_S, GIVEN_UP_S = 5, 3600, 24 * 3600
IDLE_S = 2.0
_MOST_URL = 500

#: Sends (url, networks allowed, headers, body); the HTTP status. OSError, UserError.
Post = Callable[[str, Sequence[Any], dict[str, str], bytes], Awaitable[int]]


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """``v1=`` and the HMAC-SHA256 of timestamp, a point and the body, in hexadecimal."""
    message = str(timestamp).encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def subscribe(
    connection: Connection, url: str, events: Sequence[str], allowed: Sequence[str], now: int
) -> tuple[int, str]:
    """A new subscription's number and secret; no events: all. UserError."""
    place_of(url)
    for event in events:
        if event not in EVENTS:
            raise UserError(
                said("no event {event}; there are {events}", event=repr(event)[:40],
                     events=", ".join(EVENTS))
            )  # fmt: skip
    networks(allowed)
    secret = secrets.token_hex(32)
    values = {
        "url": url, "secret": secret, "events": ",".join(events or EVENTS),
        "allowed": ",".join(allowed), "made": now,
    }  # fmt: skip
    number = connection.scalars(
        insert(Subscription).values(values).returning(Subscription.id)
    ).one()
    return number, secret


def remove(connection: Connection, number: int) -> None:
    """End a subscription; what waits for it is dropped. UserError."""
    connection.execute(delete(Outgoing).where(Outgoing.webhook_id == number))
    if not connection.execute(delete(Subscription).where(Subscription.id == number)).rowcount:
        raise UserError(said("there is no webhook {number}", number=number))


def again(connection: Connection, number: int, now: int) -> int:
    """Try the dead letters of a subscription once more; how many there were."""
    dead = update(Outgoing).where(Outgoing.webhook_id == number, Outgoing.dead.is_(True))
    return connection.execute(dead.values(dead=False, tries=0, first_at=None, next_at=now)).rowcount


def listed(connection: Connection) -> list[dict[str, Any]]:
    """Subscriptions with what waits, and their dead letters; no secrets."""
    found = []
    for one in connection.execute(select(Subscription.__table__).order_by(Subscription.id)):
        mine = Outgoing.webhook_id == one.id
        waiting = select(func.count()).where(mine, Outgoing.dead.is_(False))
        dead = connection.execute(
            select(Outgoing.id, Outgoing.event, Outgoing.made, Outgoing.tries, Outgoing.said)
            .where(mine, Outgoing.dead.is_(True))
            .order_by(Outgoing.id)
        )
        found.append(
            {
                "id": one.id, "url": one.url, "events": one.events.split(","),
                "waiting": connection.scalar(waiting) or 0,
                "dead": [dict(row._mapping) for row in dead],
            }
        )  # fmt: skip
    return found


def place_of(url: str) -> tuple[bool, str, int, str]:
    """(TLS, host, port, path) of a URL. UserError: it is none that we send to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UserError(said("{url} is no URL", url=repr(url)[:80])) from None
    whole = url.isascii() and url.isprintable() and " " not in url and len(url) <= _MOST_URL
    if not whole or parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise UserError(said("a webhook's URL is https://HOST/PATH, without a password"))
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return tls, parts.hostname, port or (443 if tls else 80), path


async def post(url: str, allowed: Sequence[Any], headers: dict[str, str], body: bytes) -> int:
    """Send one request and hear its status; nothing is followed. The address that was looked at
    is the one that is connected to. OSError, UserError."""
    tls, host, port, path = place_of(url)
    try:
        async with asyncio.timeout(SEND_S):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            address = allowed_address([str(one[4][0]) for one in found], allowed, tls)
            context = ssl.create_default_context() if tls else None
            reader, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=host if tls else None
            )
            try:
                return await _exchange(reader, writer, host, path, headers, body)
            finally:
                writer.close()
    except TimeoutError:
        raise UserError(said("no answer within {seconds} s", seconds=SEND_S)) from None
    except h11.ProtocolError:
        raise UserError(said("the answer is no HTTP")) from None


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str,
    headers: dict[str, str], body: bytes,
) -> int:  # fmt: skip
    wire = h11.Connection(h11.CLIENT)
    sent = {"Host": host, "Connection": "close", "Content-Length": str(len(body)), **headers}
    request = h11.Request(method="POST", target=path, headers=list(sent.items()))
    for event in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(wire.send(event) or b"")
    await writer.drain()
    while True:
        heard = wire.next_event()
        if heard is h11.NEED_DATA:
            wire.receive_data(await reader.read(4096))
        elif isinstance(heard, h11.Response):
            return heard.status_code
        elif isinstance(heard, h11.ConnectionClosed):
            raise UserError(said("the answer is no HTTP"))


class Deliverer:
    """Delivers what is due. ``draw``: a number from 0 up to 1, for the jitter."""

    def __init__(
        self,
        store: Store,
        send: Post = post,
        now: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._send = send
        self._now = now
        self._draw = draw

    async def run(self, tell: Callable[[str], None]) -> None:
        """For ever; ``tell`` hears what is wrong with the database, once for each error."""
        last = ""
        while True:
            try:
                busy = await self.once()
                last = ""
            except UserError as error:
                busy = 0
                if str(error) != last:
                    last = str(error)
                    tell(last)
            if not busy:
                await asyncio.sleep(IDLE_S)

    async def once(self) -> int:
        """Try the oldest delivery of each subscription that is due; how many were."""
        if not await asyncio.to_thread(self._waiting):
            return 0  # a sync is not made to wait for nothing
        due = await asyncio.to_thread(self._store.change, self._claim)
        await asyncio.gather(*[self._deliver(one) for one in due])
        return len(due)

    def _waiting(self) -> bool:
        with self._store.read() as connection:
            due = select(Outgoing.id).where(
                Outgoing.dead.is_(False), Outgoing.next_at <= int(self._now())
            )
            return connection.scalar(due.limit(1)) is not None

    def _claim(self, connection: Connection) -> list[Any]:
        now = int(self._now())
        oldest = (
            select(func.min(Outgoing.id)).where(Outgoing.dead.is_(False))
            .group_by(Outgoing.webhook_id)
        )  # fmt: skip
        due = connection.execute(
            select(*Outgoing.__table__.c, Subscription.url, Subscription.secret,
                   Subscription.allowed)
            .join(Subscription, Subscription.id == Outgoing.webhook_id)
            .where(Outgoing.id.in_(oldest), Outgoing.next_at <= now)
            .with_for_update(of=Outgoing)
        ).all()  # fmt: skip
        for one in due:
            connection.execute(
                update(Outgoing).where(Outgoing.id == one.id)
                .values(next_at=now + CLAIM_S, first_at=one.first_at or now, tries=one.tries + 1)
            )  # fmt: skip
        return list(due)

    async def _deliver(self, one: Any) -> None:
        now = int(self._now())
        body = one.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "OpenTill",
            EVENT: one.event,
            DELIVERY: str(one.id),
            TIMESTAMP: str(now),
            SIGNATURE: signature(one.secret, now, body),
        }
        try:
            allowed = networks(one.allowed.split(",") if one.allowed else [])
            status = await self._send(one.url, allowed, headers, body)
            failure = "" if 200 <= status < 300 else f"HTTP {status}"
        except (OSError, UserError) as error:
            failure = str(error)[:200] or type(error).__name__
        await asyncio.to_thread(
            self._store.change, lambda writing: self._end(writing, one, failure)
        )

    def _end(self, connection: Connection, one: Any, failure: str) -> None:
        mine = Outgoing.id == one.id
        if not failure:
            connection.execute(delete(Outgoing).where(mine))
            return
        now = int(self._now())
        pause = min(FIRST_PAUSE_S << min(one.tries, 20), LONGEST_PAUSE_S)
        next_at = now + max(1, int(pause * (1 + self._draw()) / 2))
        dead = next_at > (one.first_at or now) + GIVEN_UP_S
        connection.execute(
            update(Outgoing).where(mine).values(next_at=next_at, dead=dead, said=failure)
        )
