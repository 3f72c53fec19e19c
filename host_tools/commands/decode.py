"""`till decode`: TLV, ISO 8583, tracks and EMV bit fields (docs/decoders.md)."""

from typing import Annotated

import typer

from host_tools.command_line import command_app
from host_tools.decoders import run

app = command_app(
    """Decode TLV, ISO 8583, tracks and EMV bit fields.

    A bad input exits 1 and says where. Without --json the result is for reading.
    """
)

Input = Annotated[
    str | None, typer.Argument(metavar="HEX", help="Hexadecimal digits; - reads standard input.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
Lines = Annotated[
    bool,
    typer.Option("--lines", help="Decode each line of standard input to one JSON object a line."),
]
Unmask = Annotated[bool, typer.Option("--unmask", help="Show PAN, tracks and PIN data in full.")]


@app.command()
def tlv(
    text: Input = None, json: Json = False, lines: Lines = False, unmask: Unmask = False
) -> None:
    """Show BER-TLV objects, nested.

    \b
    Examples:
      till decode tlv 6F088406A00000033301
      till decode tlv --json - < answer.txt
    """
    from host_tools.decoders import tlv as decoder

    # JSON carries the values as they are: it is TLV for another program.
    mask = not unmask and not json and not lines
    run.run(text, lambda data: decoder.decode(data, mask), decoder.render_document, json, lines)


@app.command("8583")
def iso8583(
    text: Input = None,
    dialect: Annotated[str, typer.Option(metavar="NAME", help="Message dialect.")] = "unionpay",
    body: Annotated[bool, typer.Option("--body", help="The input begins at the MTI.")] = False,
    json: Json = False,
    lines: Lines = False,
    unmask: Unmask = False,
) -> None:
    """Show an ISO 8583 message field by field.

    The input is a whole frame: length, TPDU, header, message.

    \b
    Examples:
      till decode 8583 --body 082000200000000000100000010011000000013010
      till decode 8583 --json --lines < frames.txt
    """
    from host_tools.decoders import iso8583 as decoder

    decoder.check_dialect(dialect)
    run.run(text, lambda data: decoder.decode(data, body, not unmask), decoder.render, json, lines)


@app.command()
def track(
    text: Annotated[
        str | None,
        typer.Argument(metavar="TRACK", help="The track; - reads standard input."),
    ] = None,
    json: Json = False,
    lines: Lines = False,
    unmask: Unmask = False,
) -> None:
    """Show track 1 or 2 as read, or tag 57 in hexadecimal.

    \b
    Examples:
      till decode track ";4111111111111111=25121011234?"
      till decode track 4111111111111111D25121011234
    """
    from host_tools.decoders import track as decoder

    run.run(text, lambda data: decoder.decode(data, not unmask), decoder.render, json, lines)


def _bits(word: str, text: str | None, json: bool, lines: bool) -> None:
    from host_tools.decoders import bits as decoder

    run.run(text, lambda data: decoder.decode(word, data), decoder.render, json, lines)


@app.command()
def tvr(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Show the set bits of Terminal Verification Results, 5 bytes.

    \b
    Examples:
      till decode tvr 0000048000
    """
    _bits("tvr", text, json, lines)


@app.command()
def tsi(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Show the set bits of Transaction Status Information, 2 bytes.

    \b
    Examples:
      till decode tsi E800
    """
    _bits("tsi", text, json, lines)


@app.command()
def aip(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Show the set bits of an Application Interchange Profile, 2 bytes.

    \b
    Examples:
      till decode aip 3D00
    """
    _bits("aip", text, json, lines)


@app.command()
def cvm(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Show CVM Results (3 bytes) or a CVM List.

    \b
    Examples:
      till decode cvm 420302
      till decode cvm 000000000000000042031E031F00
    """
    from host_tools.decoders import cvm as decoder

    run.run(text, decoder.decode, decoder.render, json, lines)


@app.command()
def dol(text: Input = None, json: Json = False, lines: Lines = False) -> None:
    """Show a data object list: PDOL, CDOL, DDOL or TDOL.

    \b
    Examples:
      till decode dol 9F02069F03069F1A0295055F2A029A039C019F3704
    """
    from host_tools.decoders import dol as decoder

    run.run(text, decoder.decode, decoder.render, json, lines)
