"""``till api``: other programs ask for payments and reports over HTTP."""

import asyncio
import contextlib
import datetime
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools.command_line import Language, command_app
from host_tools.commands.register import Folder, folder_of
from host_tools.errors import UserError
from host_tools.pc_link.at_command import Json, show
from host_tools.pc_link.calls import Terminal
from host_tools.texts import said

if TYPE_CHECKING:
    from host_tools.rest.tokens import Tokens
    from host_tools.store.database import Store

app = command_app("Let other programs start payments and read reports over HTTP (docs/api.md).")
token_app = command_app("Tokens of those programs.")
webhook_app = command_app("Who is told of payments, as they are synced.")
app.add_typer(token_app, name="token")
app.add_typer(webhook_app, name="webhook")

Database = Annotated[
    str, typer.Option(metavar="URL", help="The database, where it is not the usual.")
]


def _tokens(folder: Path | None) -> "Tokens":
    from host_tools.rest import tokens

    return tokens.Tokens(folder_of(folder) / tokens.FILE)


@token_app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The program's name.")],
    may: Annotated[
        str, typer.Option(metavar="RIGHTS", help="start, read, or start,read.")
    ] = "read",
    folder: Folder = None,
    as_json: Json = False,
    language: Language = "",
) -> None:
    """Make a token for a program; it is shown this once."""
    text = _tokens(folder).add(name, [right.strip() for right in may.split(",")])
    if as_json:
        show({"name": name, "token": text})
    else:
        typer.echo(text)
        typer.echo(said("Keep it like a password; it is not shown again."), err=True)


@token_app.command("list")
def list_(folder: Folder = None, as_json: Json = False, language: Language = "") -> None:
    """Which programs have tokens, and what they may."""
    found = _tokens(folder).all()
    if as_json:
        show({"tokens": [{"name": t.name, "may": list(t.may), "made": t.made} for t in found]})
        return
    for token in found:
        day = datetime.datetime.fromtimestamp(token.made, datetime.UTC).date()
        typer.echo(f"{token.name:<36}  {','.join(token.may):<10}  {day}")
    if not found:
        typer.echo(said("No tokens."))


@token_app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    folder: Folder = None,
    as_json: Json = False,
    language: Language = "",
) -> None:
    """End a program's token, at once."""
    _tokens(folder).revoke(name)
    if as_json:
        show({"name": name, "revoked": True})
    else:
        typer.echo(said("{name} has no token any more.", name=name))


@webhook_app.command("add")
def webhook_add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://HOST/PATH")],
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Such as payment.approved; else all. Repeat it."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Send there although it is refused. Repeat it."),
    ] = None,
    database: Database = "",
    as_json: Json = False,
    language: Language = "",
) -> None:
    """Tell this URL of payments from now on; the secret that signs is shown this once."""
    from host_tools.rest import webhooks

    with _store(database, create=True) as store:
        number, secret = store.change(
            lambda writing: webhooks.subscribe(
                writing, url, event or [], allow or [], int(time.time())
            )
        )
    if as_json:
        show({"id": number, "secret": secret})
    else:
        typer.echo(secret)
        typer.echo(said("Keep it like a password; it is not shown again."), err=True)


@webhook_app.command("list")
def webhook_list(database: Database = "", as_json: Json = False, language: Language = "") -> None:
    """Webhooks, what waits for them, and what was given up."""
    from host_tools.rest import webhooks

    with _store(database) as store, store.read() as connection:
        found = webhooks.listed(connection)
    if as_json:
        show({"webhooks": found})
        return
    for one in found:
        typer.echo(
            said("{number}: {url}, {waiting} waiting, {dead} given up", number=one["id"],
                 url=one["url"], waiting=one["waiting"], dead=len(one["dead"]))
        )  # fmt: skip
        for letter in one["dead"]:
            typer.echo(f"   {letter['id']} {letter['event']} {letter['said']}")
    if not found:
        typer.echo(said("No webhooks."))


@webhook_app.command("retry")
def webhook_retry(
    number: Annotated[int, typer.Argument(metavar="NUMBER")],
    database: Database = "",
    as_json: Json = False,
    language: Language = "",
) -> None:
    """Try again what was given up."""
    from host_tools.rest import webhooks

    with _store(database) as store:
        count = store.change(lambda writing: webhooks.again(writing, number, int(time.time())))
    if as_json:
        show({"id": number, "again": count})
    else:
        typer.echo(said("{count} deliveries are tried again.", count=count))


@webhook_app.command("remove")
def webhook_remove(
    number: Annotated[int, typer.Argument(metavar="NUMBER")],
    database: Database = "",
    as_json: Json = False,
    language: Language = "",
) -> None:
    """End a webhook, with what waits for it."""
    from host_tools.rest import webhooks

    with _store(database) as store:
        store.change(lambda writing: webhooks.remove(writing, number))
    if as_json:
        show({"id": number, "removed": True})
    else:
        typer.echo(said("Webhook {number} is told nothing any more.", number=number))


@contextlib.contextmanager
def _store(database: str, create: bool = False) -> "Iterator[Store]":
    from host_tools.store import database as databases

    store = databases.open(database, create)
    try:
        yield store
    finally:
        store.close()


@app.command()
def run(
    terminal: Annotated[
        str,
        typer.Argument(
            metavar="[TERMINAL]", help="As for till status; else the only one.", show_default=False
        ),
    ] = "",
    listen: Annotated[str, typer.Option(metavar="ADDRESS:PORT", help="Where.")] = "127.0.0.1:8480",
    client: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Who may connect from the network. Repeat it."),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="TLS on 127.0.0.1 too; always on the network.")
    ] = False,
    folder: Folder = None,
    database: Database = "",
    as_json: Json = False,
    language: Language = "",
) -> None:
    """Serve, and deliver webhooks, until Ctrl-C.

    On the network it has TLS, by the certificate of till register setup.
    """
    asyncio.run(_run(terminal, listen, client or [], tls, folder_of(folder), database, as_json))


async def _run(
    which: str, listen: str, clients: list[str], tls: bool, folder: Path, database: str,
    as_json: bool,
) -> None:  # fmt: skip
    from host_tools.pc_link.at_command import tell_link
    from host_tools.pc_link.connection import Settings, connect, till_version
    from host_tools.register.gate import Gate
    from host_tools.register.guard import place_of
    from host_tools.register.http_server import BoundedServer, context_of
    from host_tools.register.memory import Memory
    from host_tools.register.nexo.certificate import SERVER_FILE
    from host_tools.register.runner import Plug
    from host_tools.rest import api as rest
    from host_tools.rest.webhooks import Deliverer
    from host_tools.store import database as databases

    place = place_of("api", listen, clients, plain=False)
    secure = tls or not place.loopback
    context = context_of(folder / SERVER_FILE) if secure else None
    tokens = _tokens(folder)
    if not tokens.all():
        raise UserError(said("no program has a token; type: till api token add NAME"))

    @contextlib.asynccontextmanager
    async def connected() -> AsyncIterator[Terminal]:
        async with connect(which, Settings(tells=tell_link)) as there:
            yield there

    plug = Plug(connected)
    gate = Gate(plug)
    memory = Memory(folder / "api-requests.sqlite")
    api = rest.Api(gate, memory, tokens, lambda: databases.open(database))
    store = databases.open(database)
    delivering = asyncio.ensure_future(
        Deliverer(store).run(lambda text: typer.echo(text, err=True))
    )
    server = BoundedServer("api", rest.create(api, till_version()), place, context)
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C comes as KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await server.open()
        url = f"{'https' if secure else 'http'}://{place.host}:{server.port}/v1/"
        if as_json:
            show({"event": "listening", "url": url})
        else:
            typer.echo(said("Listening: {url}", url=url))
        await stop.wait()
    finally:
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        await server.close()
        await api.close()
        store.close()
        await gate.close()
        memory.close()
        await plug.close()
