"""Makers and calibres: the table is read strictly, readings are ranked sensibly."""

import pytest

from sightbook.headstamps import gazetteer
from sightbook.headstamps.gazetteer import GazetteerError, identify, read_gazetteer, similarity
from sightbook.headstamps.synth.letters import can_draw

TABLE = """# mine
calibres
9x19, 9 LUGER | nine | pistol
12 GA, 12 | twelve | shotshell

makers
ACME, AC | Acme | shotshell | opposed ring
ACNE | Acne | pistol | year
"""


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "makers.txt"
    file.write_text(TABLE, "utf-8")
    return read_gazetteer(file)


def test_a_table_is_read_in_its_order(table):
    assert [entry.name for entry in table.makers] == ["Acme", "Acne"]
    assert table.calibres[0].stamps == ("9x19", "9 LUGER")
    assert table.makers[0].kinds == ("shotshell",)
    assert table.makers[0].layouts == ("opposed", "ring")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("makers\nA | B | pistol\n", "line 2.*layouts"),
        ("calibres\n9 | nine | pistols\n", "line 2: unknown kind 'pistols'"),
        ("makers\nA | B | pistol | circle\n", "unknown layout 'circle'"),
        ("# nothing\n\nmaker\n", "line 3: 'maker'"),
        ("A | B | pistol | ring\n", "line 1: an entry before any section"),
        ("makers\n", "holds no maker"),
    ],
)
def test_a_faulty_table_is_refused_with_its_place(tmp_path, text, says):
    file = tmp_path / "mine.txt"
    file.write_text(text, "utf-8")
    with pytest.raises(GazetteerError, match=says) as error:
        read_gazetteer(file)
    assert str(file) in str(error.value)


def test_the_shipped_table_can_be_drawn():
    known = read_gazetteer()
    entries = (*known.makers, *known.calibres)
    assert len(known.makers) > 60 and len(known.calibres) > 40
    assert all(can_draw(stamp) for entry in entries for stamp in entry.stamps)
    names = [entry.name for entry in known.calibres]
    assert len(set(names)) == len(names)
    # Each kind of cartridge has both.
    for kind in gazetteer.KINDS:
        assert any(kind in entry.kinds for entry in known.makers)
        assert any(kind in entry.kinds for entry in known.calibres)


def test_look_alikes_cost_less():
    assert similarity("AGUILA", "aguila") == 1.0
    assert similarity("9 x 19", "9x19") == 1.0
    assert similarity("8", "B") == pytest.approx(0.6)
    assert similarity("AGU1LA", "AGUILA") == pytest.approx(1 - 0.4 / 6)
    assert similarity("AGUXLA", "AGUILA") == pytest.approx(1 - 1 / 6)
    assert similarity("AGUIL", "AGUILA") == pytest.approx(1 - 1 / 6)
    assert similarity("", "A") == 0.0


@pytest.mark.parametrize(
    ("tokens", "maker", "calibre"),
    [
        (["S&B", "9x19", "19"], "Sellier & Bellot", "9x19 mm Parabellum"),
        (["S", "&", "B", "9x19", "19"], "Sellier & Bellot", "9x19 mm Parabellum"),
        (["16", "AGUILA", "16"], "Aguila", "16 gauge"),
        (["W1NCHESTFR", "12", "GA"], "Winchester", "12 gauge"),
        (["30-06", "SPRG", "R-P"], "Remington", ".30-06 Springfield"),
    ],
)
def test_readings_of_heads_name_maker_and_calibre(tokens, maker, calibre):
    best = identify(tokens)[0]
    assert (best.maker, best.calibre) == (maker, calibre)


def test_exact_comes_before_alike_and_fitting_before_not(table):
    ranked = identify(["ACME", "12"], table)
    assert (ranked[0].maker, ranked[0].calibre) == ("Acme", "twelve")
    assert ranked[0].stamps == ("ACME", "12")
    assert [c.score for c in ranked] == sorted((c.score for c in ranked), reverse=True)
    # Read between both makers' stamps: the calibre's kind decides.
    assert identify(["ACXE", "9x19"], table)[0].maker == "Acne"
    assert identify(["ACXE", "12 GA"], table)[0].maker == "Acme"


def test_one_token_is_not_both(table):
    assert all(c.maker is None or c.calibre is None for c in identify(["ACME"], table))
    assert identify(["12"], table)[0].calibre == "twelve"


def test_nothing_known_gives_no_candidate(table):
    assert identify([], table) == []
    assert identify(["", "QQQQQQ"], table) == []
    assert len(identify(["ACME", "12", "9x19"], table, limit=2)) == 2
