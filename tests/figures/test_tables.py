from sightbook.figures.tables import Table, artefacts


def test_markdown_and_text_hold_every_cell_in_order():
    table = Table([{"name": "a|b", "n": 3}, {"name": "c", "value": 0.123456}])
    assert table.markdown().splitlines() == [
        "| name | n | value |",
        "| --- | --- | --- |",
        "| a\\|b | 3 |  |",
        "| c |  | 0.1235 |",
    ]
    assert str(table).splitlines() == ["name  n  value", "a|b   3", "c        0.1235"]


def test_html_escapes_what_cells_hold():
    assert "&lt;&lt;" in Table([{"line": "P<<"}])._repr_html_()


def test_no_rows():
    assert Table([]).markdown() == "" and "<table>" in Table([])._repr_html_()


def test_artefacts_lists_files_of_a_folder_but_no_hidden_ones(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(b"x" * 2**20)
    (tmp_path / ".lock").write_bytes(b"")
    assert artefacts(tmp_path).rows == [{"file": "figures/a.png", "size": "1.00 MB"}]
