"""`till catalogue`: compile language catalogues and fonts."""

import typer

from host_tools.errors import UserError

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.command()
def build() -> None:
    """Compile firmware/text/locale/*.po into the tables that the terminal reads."""
    from host_tools import catalogue_build

    for language, count in catalogue_build.build_all().items():
        typer.echo(f"{language}: {count} texts")


@app.command()
def check() -> None:
    """Check keys, fields and glyphs of every catalogue, and that the tables are up to date."""
    from host_tools import catalogue_build

    faults = catalogue_build.check()
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise UserError(f"{len(faults)} faults in the catalogues")
    typer.echo("catalogues are complete")


@app.command()
def fonts() -> None:
    """Make the font files and the GB18030 map again from Debian's packages."""
    from host_tools import fonts_build

    for name, size in fonts_build.build_all().items():
        typer.echo(f"{name}: {size} bytes")
