"""The text files behind the zone's grammar and the drawn documents hold what they held."""

import hashlib

import numpy as np
import pytest

from sightbook.donut.mrz import build as mrz
from sightbook.donut.mrz import names as mrz_names
from sightbook.donut.synth import names, people, wording


def test_all_states_are_there():
    assert len(mrz.STATES) == 277 and len(mrz.SPECIAL_STATES) == 29
    assert mrz.STATES["ALA"] == "Åland Islands"
    assert mrz.STATES["CIV"] == "Côte d'Ivoire"
    assert mrz.STATES["SHN"] == "Saint Helena, Ascension and Tristan da Cunha"
    assert mrz.STATES["D"] == mrz.SPECIAL_STATES["D"] == "Germany"
    assert mrz.STATES["UTO"] == "Utopia"
    assert not {"DEU", "IAO"} & set(mrz.STATES)
    assert all(code.isalpha() and code.isupper() and name for code, name in mrz.STATES.items())


@pytest.mark.parametrize(
    ("table", "count", "letter", "written"),
    [
        ("LATIN", 19, "Ü", ("UE", "UXX", "U")),
        ("CYRILLIC", 51, "Щ", "SHCH"),
        ("CYRILLIC", 51, "Ь", ""),
        ("ARABIC", 73, "\u0634", "XSH"),
        ("ARABIC", 73, "\u0640", ""),
        ("GREEK", 24, "Θ", "TH"),
    ],
)
def test_all_letters_are_there(table, count, letter, written):
    found = getattr(mrz_names, table)
    assert len(found) == count
    assert found[letter] == written


def test_languages_and_initials_are_kept_apart():
    assert {code: len(table) for code, table in mrz_names.CYRILLIC_LANGUAGES.items()} == {
        "be": 2, "bg": 1, "mk": 6, "sr": 6, "uk": 2,
    }  # fmt: skip
    assert mrz_names.CYRILLIC_LANGUAGES["bg"] == {"Щ": "SHT"}
    assert list(mrz_names.CYRILLIC_INITIALS) == ["uk"]
    assert mrz_names.CYRILLIC_INITIALS["uk"]["Є"] == "YE"


def test_all_names_are_there():
    assert len(names.REGIONS) == 29 and len(names.SPECIMENS) == 20
    first = names.REGIONS[0]
    assert first.states == ("D", "AUT", "CHE", "LIE", "LUX")
    assert "Freiherr von Stein" in first.surnames
    assert (first.double, names.REGIONS[4].double) == (0.03, 0.12)
    assert names.SPECIMENS[4] == ("Specimen", "")
    for region in names.REGIONS:
        assert region.surnames and region.men and region.women and region.places
        assert set(region.states) <= set(mrz.STATES)


def test_every_label_and_title_has_every_language():
    assert (len(wording.LABELS), len(wording.TITLES), len(wording.LANGUAGES)) == (21, 4, 11)
    german = wording.LANGUAGES.index("de")
    assert wording.LABELS["surname"][german] == "Name"
    assert wording.TITLES["passport"][german] == "REISEPASS"
    for wordings in (*wording.LABELS.values(), *wording.TITLES.values()):
        assert len(wordings) == len(wording.LANGUAGES)
    assert len(wording.MONTHS) == 12


def test_people_are_drawn_as_ever():
    # Rows of the files are drawn by their place: whoever sorts one changes every data set.
    drawn = [people.random_lines(np.random.default_rng([7, index])) for index in range(200)]
    text = "\n".join(line for zone in drawn for line in zone.lines)
    names_drawn = [f"{zone.identity.surname}|{zone.identity.given_names}" for zone in drawn]
    digest = hashlib.sha256("\n".join([text, *names_drawn]).encode()).hexdigest()
    assert digest == "6783c24eed4093a69d1ce8d26bd880004c632e7aae3cb584c756620dfd0ed080"
