"""What ``till`` says: every text has its Chinese, with the same fields, and each is used."""

import ast
from pathlib import Path
from string import Formatter
from typing import Annotated

import pytest
import typer

from host_tools import po_file, texts
from host_tools.catalogue_build import read_catalogue
from host_tools.command_line import Language, command_app, run
from host_tools.errors import UserError
from tests.house.sources import ROOT, imports, tracked, tree

FROM = ("OPENTILL_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def marked() -> tuple[dict[str, str], list[str]]:
    """Texts in calls of ``said`` and ``later`` -> where; calls whose text cannot be seen."""
    found: dict[str, str] = {}
    unseen = []
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("host_tools/"):
            continue
        if not any(module.startswith("host_tools.texts") for _, module in imports(path)):
            continue
        for node in ast.walk(tree(path)):
            called = node.func if isinstance(node, ast.Call) else None
            word = getattr(called, "attr", getattr(called, "id", ""))
            if not isinstance(node, ast.Call) or word not in ("said", "later"):
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found[first.value] = f"{name}:{node.lineno}"
                if word == "said":
                    given = {keyword.arg for keyword in node.keywords}
                    if None not in given and fields(first.value) != given:
                        unseen.append(f"{name}:{node.lineno} fields {sorted(map(str, given))}")
            elif word == "later" or isinstance(first, ast.JoinedStr):
                unseen.append(f"{name}:{node.lineno}")
    return found, unseen


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_text_has_its_translation_and_every_translation_its_text() -> None:
    found, unseen = marked()
    assert unseen == []
    own = {"no language {code}; known: {known}": "texts"}  # said inside texts.py
    for language in set(texts.languages()) - {texts.ENGLISH}:
        known = po_file.read(texts.LOCALE / f"{language}.po")
        missing = {text: place for text, place in found.items() if not known.get(text)}
        assert missing == {}, f"{language}.po lacks these"
        assert set(known) - set(found) - set(own) == set(), f"{language}.po has these for nobody"
        wrong = [text for text in known if fields(text) != fields(known[text])]
        assert wrong == [], f"{language}.po: other fields"


def test_catalogues_are_what_babel_reads() -> None:
    from babel.messages.pofile import read_po

    for path in texts.LOCALE.glob("*.po"):
        with path.open("rb") as file:
            catalogue = read_po(file, abort_invalid=True)
        judged = {m.id: m.string for m in catalogue if m.id}
        assert po_file.read(path) == judged
        heads = [line for line in path.read_text("utf-8").splitlines() if line[:6] == "msgid "]
        # Babel and we take the last of two; a text is long or short, so count their heads.
        assert len(heads) == len(judged) + 1, f"{path.name}: a text stands there twice"


def test_long_and_escaped_texts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "xx.po"
    path.write_text(
        '# c\nmsgid ""\nmsgstr ""\n"H: x\\n"\n\nmsgid ""\n"a\\"b"\n" c\\\\n\\n"\n\n'
        'msgstr "d"\n"e\\t{x}"\n#~ msgid "old"\n'
    )
    assert po_file.read(path) == {'a"b c\\n\n': "de\t{x}"}
    for bad in ('msgid "a\n', "msgid a\n", '"a"\n', "x\n", 'msgid "a" "b"\n'):
        path.write_text(bad)
        with pytest.raises(UserError, match=r"xx\.po:1"):
            po_file.read(path)
    with pytest.raises(UserError, match=r"none\.po"):
        po_file.read(path.with_name("none.po"))


@pytest.mark.parametrize(
    "set_to, spoken",
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "C", "OPENTILL_LANGUAGE": "zh"}, "zh"),
        ({"LANG": "zh-Hans"}, "zh"),
        ({"LANG": "fr_FR"}, "en"),
        ({"LC_MESSAGES": "zh", "LANG": "en_US"}, "zh"),
    ],
)
def test_the_language_is_the_surroundings(
    set_to: dict[str, str], spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FROM:
        monkeypatch.delenv(name, raising=False)
    for name, value in set_to.items():
        monkeypatch.setenv(name, value)
    texts.use("")
    assert texts.language() == spoken


def test_an_option_says_otherwise_for_one_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENTILL_LANGUAGE", "en")
    app = command_app("Say.")

    @app.command()
    def say(language: Language = "", bad: Annotated[str, typer.Option()] = "xx") -> None:
        with pytest.raises(UserError) as refused:
            texts.use(bad)
        typer.echo(str(refused.value))

    assert run(app, "say", ["--language", "zh"]) == 0
    assert "没有语言 'xx'" in capsys.readouterr().out
    assert run(app, "say", []) == 0
    assert "no language 'xx'; known: en, zh" in capsys.readouterr().out
    assert run(app, "say", ["--language", "fr"]) == 1
    assert "no language 'fr'" in capsys.readouterr().err
    texts.use("")


def test_keys_of_the_other_catalogues_are_no_sentences() -> None:
    """Firmware and emulator page have keys; ``till`` has English texts: nobody mixes them up."""
    with pytest.raises(UserError, match="is not a key"):
        read_catalogue(texts.LOCALE / "zh.po")
