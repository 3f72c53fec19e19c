"""`till acquirer`: an honest test bank, its terminals and its books."""

import asyncio
import json
import logging
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from host_tools.command_line import command_app

app = command_app("An honest test bank, its terminals and its books.")

State = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of the bank's books and root; else in your data folder."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _folder(state: Path | None) -> Path:
    from host_tools.acquirer.place import default_folder

    return state if state is not None else default_folder()


@app.command()
def run(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(metavar="N", help="Port for terminals; 0 takes a free one.", min=0, max=65535),
    ] = 8583,
    control_port: Annotated[
        int,
        typer.Option(
            metavar="N", help="Port of the control API; 0 takes a free one.", min=0, max=65535
        ),
    ] = 0,
    state: State = None,
    by_amount: Annotated[
        bool, typer.Option(help="Let amounts choose how the bank misbehaves (docs/acquirer.md).")
    ] = True,
    sign_declines: Annotated[bool, typer.Option(help="Put a MAC on declines.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log connections.")] = False,
) -> None:
    """Serve terminals until Ctrl-C.

    \b
    Example:
      till acquirer run --port 0
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(message)s"
    )
    asyncio.run(_run(host, port, control_port, _folder(state), by_amount, sign_declines))


async def _run(
    host: str, port: int, control_port: int, folder: Path, by_amount: bool, sign_declines: bool
) -> None:
    from host_tools.acquirer.place import Place
    from host_tools.acquirer.rules import Rules
    from host_tools.acquirer.server import AcquirerServer, control_server
    from host_tools.emulator.deck import load

    place = Place.open(folder)
    bank = place.bank(load(), Rules(by_amount=by_amount), sign_declines)
    server = AcquirerServer(bank, place.context(host), host, port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    try:
        await server.start()
        async with control_server(bank, "127.0.0.1", control_port) as control:
            typer.echo(f"test bank    {server.host}:{server.port} (TLS, client certificate needed)")
            typer.echo(f"control      http://127.0.0.1:{control}/ledger")
            typer.echo(f"books        {folder}")
            typer.echo("Ctrl-C ends it.")
            await stop.wait()
    finally:
        await server.stop()
        place.close()
    typer.echo("test bank closed")


@app.command()
def enrol(
    serial: Annotated[str, typer.Option(metavar="TEXT", help="The device's serial number.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for bundle.cbor and factory.cbor.")
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where the terminal finds the bank.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", help="The bank's port.", min=1, max=65535)
    ] = 8583,
    terminal_id: Annotated[
        str, typer.Option(metavar="ID", help="Field 41, 8 characters; else the next free one.")
    ] = "",
    merchant_id: Annotated[
        str, typer.Option(metavar="ID", help="Field 42, 15 characters.")
    ] = "TESTMERCHANT001",
    merchant_name: Annotated[
        str, typer.Option(metavar="TEXT", help="English name on receipts.")
    ] = "OpenTill Test Shop",
    merchant_name_zh: Annotated[
        str, typer.Option(metavar="TEXT", help="Chinese name on receipts.")
    ] = "开源测试商店",
    language: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="zh or en; repeat it. The first is the default."),
    ] = None,
    utc_offset: Annotated[
        int, typer.Option(metavar="MINUTES", help="The shop's time zone, east of UTC.")
    ] = 480,
    largest_amount: Annotated[
        int, typer.Option(metavar="N", help="Largest payment, in minor units.")
    ] = 10_000_000,
    pin_bypass: Annotated[bool, typer.Option(help="Customers may pass over the PIN.")] = True,
    supervisor_code: Annotated[
        str, typer.Option(metavar="DIGITS", help="4 to 12 digits; else chosen for you.")
    ] = "",
    sign_in_code: Annotated[
        str, typer.Option(metavar="CODE", help="Field 60.3: 001, 003 or 004.")
    ] = "003",
    mac_algorithm: Annotated[
        str, typer.Option(metavar="NAME", help="cup-ecb, x9.19 or x9.9.")
    ] = "cup-ecb",
    mac_length: Annotated[
        int, typer.Option(metavar="N", help="Bytes of the MAC key: 8 or 16.")
    ] = 16,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="Client key: ecdsa or rsa.")
    ] = "ecdsa",
    plain_key: Annotated[
        bool, typer.Option("--plain-key", help="Client key as DER, for MicroPython ports.")
    ] = False,
    terminal_type: Annotated[
        str, typer.Option(metavar="CODE", help="Terminal type 9F35: 21 or 22.")
    ] = "21",
    state: State = None,
) -> None:
    """Make a terminal's test bundle and enter it in the bank's books.

    \b
    Example:
      till acquirer enrol --serial my-terminal --out my-terminal
    """
    import secrets

    from host_tools.acquirer.enrol import Wishes
    from host_tools.acquirer.enrol import enrol as make
    from host_tools.acquirer.place import Place, now
    from host_tools.emulator.deck import load
    from host_tools.errors import UserError

    if terminal_type not in ("21", "22"):
        raise UserError("terminal type: 21 or 22")
    chosen = supervisor_code or f"{secrets.randbelow(10**6):06d}"
    wishes = Wishes(
        serial,
        host=host,
        port=port,
        terminal_id=terminal_id,
        merchant_id=merchant_id,
        merchant_name=merchant_name,
        merchant_name_zh=merchant_name_zh,
        languages=tuple(language or ("zh", "en")),
        utc_offset=utc_offset,
        largest_amount=largest_amount,
        pin_bypass=pin_bypass,
        supervisor_code=chosen,
        sign_in_code=sign_in_code,
        mac_algorithm=mac_algorithm,
        mac_length=mac_length,
        profile=profile,
        terminal_type=int(terminal_type, 16),
        plain_key=plain_key,
    )
    wishes.check()
    place = Place.open(_folder(state))
    try:
        made = make(place.ledger, place.authority, load(), wishes, now)
    finally:
        place.close()
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "bundle.cbor").write_bytes(made.bundle)
        secret = out / "factory.cbor"  # the transport key, for this terminal's first start
        secret.touch(mode=0o600)
        secret.chmod(0o600)
        secret.write_bytes(made.factory)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
    typer.echo(f"{serial} is terminal {made.terminal_id} of merchant {made.merchant_id} (TEST)")
    if not supervisor_code:
        typer.echo(f"supervisor code: {chosen} (chosen for you; shown only now)")
    typer.echo(f"wrote {out / 'bundle.cbor'} and {out / 'factory.cbor'}")


def _money(amount: int, currency: int) -> str:
    """Minor units as text; the test bank's currencies have two decimals."""
    return f"{amount // 100}.{amount % 100:02d} ({currency})"


@app.command()
def ledger(
    terminal: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this terminal's transactions.")
    ] = None,
    as_json: Json = False,
    state: State = None,
) -> None:
    """Show the transactions; exit 1 if the accounts do not agree."""
    from host_tools.acquirer.place import Place

    place = Place.open(_folder(state), create=False)
    try:
        rows = place.ledger.transactions(terminal)
        total = place.ledger.approved_total(terminal)
        faults = place.ledger.inconsistencies()
    finally:
        place.close()
    if as_json:
        document = {"approved_total": total, "transactions": rows, "inconsistencies": faults}
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        columns = ("terminal", "batch", "STAN", "card", "amount", "39", "state", "RRN", "reason")
        cells = [
            (
                row["terminal_id"],
                f"{row['batch']:06d}",
                row["stan"],
                row["masked_pan"],
                _money(row["amount"], row["currency"]),
                row["response"],
                row["state"],
                row["rrn"],
                row["reason"],
            )
            for row in rows
        ]
        _print_table(columns, cells)
        typer.echo(f"{len(rows)} transactions, approved and standing: {total} minor units")
        for fault in faults:
            typer.echo(f"DISAGREES: {fault}")
    if faults:
        raise typer.Exit(1)


@app.command()
def accounts(as_json: Json = False, state: State = None) -> None:
    """Show the cards' accounts."""
    from host_tools.acquirer.place import Place
    from host_tools.acquirer.rules import Rules
    from host_tools.emulator.deck import load

    place = Place.open(_folder(state), create=False)
    try:
        place.bank(load(), Rules())
        rows = place.ledger.accounts()
    finally:
        place.close()
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    columns = ("card", "PAN", "expiry", "status", "balance", "PIN tries")
    cells = [
        (
            row["card"],
            row["pan"],
            row["expiry"],
            row["status"],
            _money(row["balance"], row["currency"]),
            str(row["pin_tries"]),
        )
        for row in rows
    ]
    _print_table(columns, cells)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under their columns' names, each as wide as it must be: nothing is cut or wrapped."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())
