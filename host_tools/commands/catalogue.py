"""`till catalogue`: compile language catalogues and fonts."""

import typer

from host_tools.command_line import command_app
from host_tools.errors import UserError

app = command_app("Compile language catalogues and fonts.")


@app.command()
def build() -> None:
    """Compile the catalogues into the tables that the terminal reads."""
    from host_tools import catalogue_build

    for language, count in catalogue_build.build_all().items():
        typer.echo(f"{language}: {count} texts")


@app.command()
def check() -> None:
    """Check keys, fields and glyphs, and that the tables are up to date."""
    from host_tools import catalogue_build

    faults = catalogue_build.check()
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise UserError(f"{len(faults)} faults in the catalogues")
    typer.echo("catalogues are complete")


@app.command()
def fonts() -> None:
    """Make font files and the GB18030 map from Debian's packages."""
    from host_tools import fonts_build

    for name, size in fonts_build.build_all().items():
        typer.echo(f"{name}: {size} bytes")
