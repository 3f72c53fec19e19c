"""The page's words: complete in each language, each used, none in the page's source."""

import re

import pytest

from firmware.hal import bearer
from firmware.services.link_probe import CAPTIVE, HOST, UNREACHED
from host_tools.catalogue_build import read_catalogue
from host_tools.emulator import actions, link_bench, texts
from host_tools.emulator.page import STATIC
from host_tools.errors import UserError

FIELD = re.compile(r"\{(\w+)\}")
MADE = ("rule.", "note.", "state.", "key.", "spoken.", "linkname.", "linkstate.", "condition.",
        "signal.", "cause.")  # keys put together from a name  # fmt: skip


def sources() -> str:
    return "".join((STATIC / name).read_text() for name in ("index.html", "page.js"))


def test_the_reader_reads_as_gettext_does() -> None:
    assert texts.languages() == ["en", "zh"]
    for language in texts.languages():
        assert texts.texts(language) == read_catalogue(texts.LOCALE / f"{language}.po")
    with pytest.raises(UserError, match=r"fr\.po"):
        texts.texts("fr")


def test_languages_have_the_same_keys_and_fields() -> None:
    english, chinese = texts.texts("en"), texts.texts("zh")
    assert english.keys() == chinese.keys()
    for key in english:
        assert set(FIELD.findall(english[key])) == set(FIELD.findall(chinese[key])), key


def test_each_key_of_the_page_is_known_and_each_text_is_used() -> None:
    source, known = sources(), set(texts.texts("en"))
    named = set(re.findall(r'data-t(?:-\w+)?="([a-z_.]+)"', source))
    named |= set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', source)) & known
    called = set(re.findall(r'\b(?:t|say)\("([a-z_.]+)"[,)]', source))
    assert named | called <= known
    assert {key for key in known if not key.startswith(MADE)} <= named | called


def test_each_word_of_a_link_is_known() -> None:
    known = set(texts.texts("en"))
    # The probe's verdicts beside the bearers' own causes.
    assert set(link_bench.CAUSES) == set(bearer.CAUSES[1:]) | {CAPTIVE, UNREACHED, HOST}
    wanted = {f"cause.{cause}" for cause in link_bench.CAUSES}
    wanted |= {f"linkstate.{state}" for state in (bearer.UP, bearer.DEGRADED, bearer.DOWN)}
    wanted |= {f"signal.{signal}" for signal in link_bench.SIGNALS}
    for driver, conditions in link_bench.CONDITIONS.items():
        kind = link_bench.KINDS[driver]
        wanted |= {f"linkname.{kind}"} | {f"condition.{kind}.{one}" for one in conditions}
    begun = ("cause.", "linkstate.", "signal.", "linkname.", "condition.")
    assert {key for key in known if key.startswith(begun)} == wanted


def test_each_rule_has_a_title() -> None:
    known = texts.texts("en")
    for name, title, _, _ in actions.RULES:
        assert known["rule." + name.replace("-", "_")] == title
