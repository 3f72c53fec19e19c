"""Language catalogues: complete, up to date, and every key of the firmware is there."""

import importlib
import pkgutil
import shutil
from pathlib import Path

import pytest

import firmware
from firmware.errors import TillError
from firmware.text import data_file
from firmware.text.texts import LANGUAGES, Texts
from host_tools import catalogue_build
from host_tools.errors import UserError

LOCALE = catalogue_build.LOCALE
#: Answer codes of the UnionPay interface that a merchant may meet.
CODES = (
    "01", "03", "04", "05", "06", "07", "09", "10", "11", "12", "13", "14", "15", "16",
    "19", "20", "21", "22", "23", "25", "30", "31", "33", "34", "35", "36", "37", "38",
    "40", "41", "42", "43", "44", "45", "51", "52", "53", "54", "55", "56", "57", "58",
    "59", "60", "61", "62", "63", "64", "65", "66", "67", "68", "75", "77", "79", "90",
    "91", "92", "93", "94", "95", "96", "97", "98", "99", "A0", "A1", "A2", "A3", "A4",
    "A5", "A6", "A7",
)  # fmt: skip


def test_the_catalogues_are_complete_and_compiled() -> None:
    assert catalogue_build.check() == []
    assert [code for code, _ in LANGUAGES] == catalogue_build.languages()


def _errors() -> list[type[TillError]]:
    for module in pkgutil.walk_packages(firmware.__path__, "firmware."):
        machine_code = module.name.endswith("_viper")  # MicroPython's alone
        if not (module.name.startswith(("firmware.buses.", "firmware.drivers.")) or machine_code):
            importlib.import_module(module.name)
    found, todo = [], [TillError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return found


def test_every_error_has_its_words_and_an_advice() -> None:
    english = catalogue_build.read_catalogue(LOCALE / "en.po")
    missing = {
        error.text_key
        for error in _errors()
        if error.__module__.startswith("firmware.")
        and not {error.text_key, f"{error.text_key}.do"} <= set(english)
    }
    assert missing == set()
    keys = {key for key in english if key.startswith("error.") and not key.endswith(".do")}
    assert {key for key in keys if f"{key}.do" not in english} == set()


def test_every_answer_code_has_its_words_and_an_advice() -> None:
    english = catalogue_build.read_catalogue(LOCALE / "en.po")
    assert [c for c in CODES if not {f"host.{c}", f"host.{c}.do"} <= set(english)] == []


def test_tables_hold_what_the_sources_say() -> None:
    for language in catalogue_build.languages():
        texts = Texts(language)
        for key, text in catalogue_build.read_catalogue(LOCALE / f"{language}.po").items():
            assert texts.get(key) == text
        texts.close()


def _copy(tmp_path: Path) -> tuple[Path, Path]:
    locale, data = tmp_path / "locale", tmp_path / "data"
    shutil.copytree(LOCALE, locale)
    shutil.copytree(catalogue_build.DATA, data)
    return locale, data


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('msgstr "余额不足"', 'msgstr "余额不足{x}"', "host.51: fields differ"),
        ('msgstr "余额不足"', 'msgstr "余额不足{"', "a brace that is no field"),
        ('msgstr "余额不足"', 'msgstr "余额不足\U0001f600"', "no glyph for"),
        ('msgid "host.51"', 'msgid "host.5x"', "zh.po has no host.51"),
        ('msgstr "余额不足"', 'msgstr "余额太少"', "not up to date"),
    ],
)
def test_check_names_each_fault(tmp_path: Path, old: str, new: str, fault: str) -> None:
    locale, data = _copy(tmp_path)
    text = (locale / "zh.po").read_text(encoding="utf-8")
    assert old in text
    (locale / "zh.po").write_text(text.replace(old, new), encoding="utf-8")
    assert any(fault in line for line in catalogue_build.check(locale, data))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('msgid "Not a key"\nmsgstr "x"\n', "is not a key"),
        ('msgid "a.b"\nmsgstr ""\n', "not translated"),
        ('#, fuzzy\nmsgid "a.b"\nmsgstr "x"\n', "not translated"),
        ('msgid "a.b"\nmsgstr "x"\nmsgid "a.b"\nmsgstr "y"\n', "defined twice"),
        ('msgid "a.b"\nmsgid_plural "a.c"\nmsgstr[0] "x"\n', "plural"),
        ("rubbish\n", "x.po"),
    ],
)
def test_a_bad_catalogue_is_refused_by_name(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "x.po"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=fault):
        catalogue_build.read_catalogue(path)


def test_a_key_used_but_not_written_is_found(tmp_path: Path) -> None:
    source = tmp_path / "firmware" / "app"
    source.mkdir(parents=True)
    (source / "x.py").write_text('show("error.no_such_thing")\n')
    faults = catalogue_build.check(firmware=tmp_path / "firmware")
    assert faults == ["firmware/app/x.py uses error.no_such_thing, which no catalogue has"]


def test_a_damaged_table_is_a_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = (catalogue_build.DATA / "en.bin").read_bytes()
    monkeypatch.setattr(data_file, "FOLDER", str(tmp_path))
    for content in (b"", b"OT", b"XXXX" + good[4:], good[:5]):
        (tmp_path / "en.bin").write_bytes(content)
        with pytest.raises(data_file.DataFileError, match=r"en\.bin"):
            Texts("en")
    (tmp_path / "en.bin").write_bytes(good[:2000])
    texts = Texts("en")
    with pytest.raises(data_file.DataFileError, match="truncated"):
        texts.get("unknown.hold")


#: Keys that are put together at run time: from answer codes, device kinds, kinds of result
#: and of slip, the names of stages, kinds of link, their states and the steps of a link's test,
#: modes of typing, kinds of reader and of counter, roles of PCs.
_MADE = (
    "host.", "boot.device.", "boot.state.", "error.", "result.", "slip.title.", "sale.stage.",
    "network.kind.", "network.step.", "link.state.", "link.cause.", "link.sim.", "typing.",
    "readers.", "counters.", "service.", "pc.role.",
)  # fmt: skip


def test_no_key_is_left_over() -> None:
    used = catalogue_build.used_keys()
    left = [
        key
        for key in catalogue_build.read_catalogue(LOCALE / "en.po")
        if key.removesuffix(".do") not in used and not key.startswith(_MADE)
    ]
    assert left == []
