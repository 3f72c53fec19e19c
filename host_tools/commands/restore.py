"""``till restore``: a backup into an empty database, a ledger onto a new terminal."""

from typing import Annotated, Any

import typer

from host_tools import passphrases
from host_tools.command_line import Language, Misuse, command_app
from host_tools.errors import UserError
from host_tools.pc_link import at_command
from host_tools.pc_link.connection import LinkedTerminal
from host_tools.store import telling
from host_tools.texts import said

app = command_app("Restore a backup into an empty database, or a ledger onto a new terminal.")


@app.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What till backup wrote.")],
    terminal: Annotated[
        str,
        typer.Option(
            "--terminal",
            metavar="TERMINAL",
            help="Give a terminal's ledger to this one, which has taken no payment yet; "
            "'auto': OPENTILL_LINK, or the only one.",
        ),
    ] = "",
    passphrase_file: passphrases.File = "",
    database: telling.Url = "",
    as_json: at_command.Json = False,
    language: Language = "",
) -> None:
    """Fill an empty database from a backup.

    The file is verified to its end before anything is written; then all of it comes
    or nothing. A database with data in it is not touched. Exits 1 when the restored
    records do not fit together: they did not when they were backed up, either.

    \b
    Examples:
      till restore shop-2026-11-22.till
      till restore vt000001.ledger --terminal VT000002
    """
    from host_tools.store import ledger

    if ledger.is_one(file):
        if not terminal or database:
            raise Misuse(said("{path} is a terminal's ledger: give --terminal", path=file))
        _give(terminal, file, passphrase_file, as_json)
        return
    if terminal:
        raise UserError(said("{path} is no terminal's ledger", path=file))
    from host_tools.store import archive

    word = passphrases.asked(passphrase_file, new=False)
    with telling.bar(as_json) as progress:
        summary, alarms = archive.restore(file, word, database, progress)
    if as_json:
        told = [telling.alarm(one) for one in alarms]
        at_command.show({"file": file, **summary.as_dict(), "alarms": told})
    else:
        typer.echo(
            said("{count} rows restored; the backup was made {moment}",
                 count=summary.total, moment=summary.moment)
        )  # fmt: skip
        telling.alarms(alarms)
    if alarms:
        raise typer.Exit(1)


def _give(terminal: str, file: str, passphrase_file: str, as_json: bool) -> None:
    """A ledger to a terminal: read to its end before the terminal hears of it."""
    from host_tools.store import ledger

    word = passphrases.asked(passphrase_file, new=False)
    with telling.bar(as_json) as progress:
        found = ledger.read(file, word, progress)

        async def work(there: LinkedTerminal) -> list[Any]:
            return await ledger.restore(there, found, progress)

        left = at_command.with_terminal("" if terminal == "auto" else terminal, work)
    if as_json:
        at_command.show({"file": file, **found.summary._asdict(), "left": at_command.clean(left)})
        return
    telling.ledger(found)
    typer.echo(said("Restored. A supervisor confirms it in the terminal's menu before it trades."))
