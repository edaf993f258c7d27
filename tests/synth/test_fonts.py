"""Typefaces: whose they are, on which side of a split, found in folders of the user's."""

import pytest

from sightbook.params import ParameterError
from sightbook.synth import fonts


def test_licence_notes_name_every_shipped_face():
    files = [file.name for file in fonts.TYPEFACES.iterdir() if file.suffix in (".otf", ".ttf")]
    notes = (fonts.TYPEFACES / "LICENSES.txt").read_text(encoding="utf-8")
    assert len(files) == 11
    assert [file for file in files if file not in notes] == []


def test_embedded_faces_are_the_packages_and_matplotlibs():
    names = {face.path.name for face in fonts.faces()}
    assert {"OCRB.otf", "DejaVuSans.ttf", "STIXGeneral.ttf"} <= names
    assert fonts.matplotlib_font("DejaVuSans.ttf") in {face.path for face in fonts.faces()}


def test_families_stay_on_one_side_of_the_split():
    train, held = fonts.faces(validation=False), fonts.faces(validation=True)
    assert train and held
    assert not {face.family for face in train} & {face.family for face in held}
    assert {*train, *held} == set(fonts.faces())
    assert {face.family for face in held} == {"cmr10", "DejaVu Sans Mono"}


def test_a_folder_of_fonts_is_added(tmp_path):
    source = fonts.faces()[0]
    (tmp_path / "mine.ttf").write_bytes(source.path.read_bytes())
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    names = {face.path.name for face in fonts.faces(str(tmp_path))}
    assert "mine.ttf" in names and "broken.ttf" not in names
    assert len(names) == len(fonts.faces()) + 1


@pytest.mark.parametrize("given", ["nowhere", "empty"])
def test_a_folder_without_fonts_is_refused(tmp_path, given):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match="fonts"):
        fonts.faces(str(tmp_path / given))
