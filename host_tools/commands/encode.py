"""`till encode`: the inverse of `till decode 8583` (docs/decoders.md)."""

from typing import Annotated, Any

import typer

from host_tools.decoders import run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Encode ISO 8583. A bad input exits 1 and says where.",
)


@app.callback()
def encode() -> None:
    """Encode ISO 8583."""


@app.command("8583")
def iso8583(
    text: Annotated[
        str | None,
        typer.Argument(
            help="JSON as `till decode 8583 --json --unmask` gives it; - for standard input"
        ),
    ] = None,
    dialect: Annotated[str, typer.Option(help="message dialect")] = "unionpay",
    body: Annotated[bool, typer.Option("--body", help="the message alone, from its MTI")] = False,
    json: Annotated[bool, typer.Option("--json", help='{"hex": "..."}, for machines')] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="one JSON object a line in, one a line out")
    ] = False,
) -> None:
    """A frame in hexadecimal, from JSON."""
    import json as parser

    from host_tools.decoders import iso8583 as decoder
    from host_tools.decoders.common import BadInput, check_size

    def convert(data: str) -> dict[str, Any]:
        decoder.check_dialect(dialect)
        check_size(data)
        try:
            document = parser.loads(data)
        except parser.JSONDecodeError as error:
            raise BadInput(f"not JSON: {error.msg}", error.pos) from None
        except RecursionError:
            raise BadInput("not JSON: nested too deep", 0) from None
        except ValueError as error:  # an integer of thousands of digits
            raise BadInput(f"not JSON: {error}", 0) from None
        return {"hex": decoder.encode(document, body).hex().upper()}

    run.run(text, convert, lambda result: [result["hex"]], json, lines)
