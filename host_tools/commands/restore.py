"""``till restore``: a backup into an empty database."""

from typing import Annotated

import typer

from host_tools import passphrases
from host_tools.command_line import Language, command_app
from host_tools.pc_link import at_command
from host_tools.store import telling
from host_tools.texts import said

app = command_app("Restore a backup into an empty database.")


@app.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What till backup wrote.")],
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
    Example:
      till restore shop-2026-11-22.till
    """
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
