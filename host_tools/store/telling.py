"""What the commands of the database share: its option, a progress bar, how alarms are told."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from host_tools.pc_link import at_command
from host_tools.pc_link.discovery import printable
from host_tools.texts import said

if TYPE_CHECKING:
    from host_tools.store.intake import Told
    from host_tools.store.ledger import Ledger

Url = Annotated[str, typer.Option(metavar="URL", help="The database, where it is not the usual.")]


@contextlib.contextmanager
def bar(as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, where somebody sees it."""
    console = at_command.console(error=True)
    if as_json or not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def alarms(found: "list[Told]") -> None:
    """Say them on standard error."""
    for one in found:
        typer.echo(said("ALARM: {words}", words=printable(one.text, 400)), err=True)


def alarm(told: "Told") -> dict[str, Any]:
    """One, for JSON."""
    return told._asdict() | {"text": told.text}


def ledger(found: "Ledger") -> None:
    """What a terminal's ledger holds, and which of its payments somebody must ask about."""
    told = found.summary
    typer.echo(
        said("{path}: whole; the ledger of {serial} with {count} records, {lines} payments in "
             "its open batch", path=found.path, serial=told.serial, count=told.records,
             lines=told.lines)
    )  # fmt: skip
    for stan, amount, currency in told.open:
        typer.echo(
            said("STAN {stan} ({amount} in minor units of currency {currency}) had no end yet: "
                 "ask the acquirer", stan=stan, amount=amount, currency=f"{currency:03d}"),
            err=True,
        )  # fmt: skip
