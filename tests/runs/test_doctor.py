"""The doctor names what is missing and says what to do."""

from pathlib import Path

import pytest

from sightbook.runs import doctor
from sightbook.runs import run as runs
from sightbook.runs.doctor import Finding, show


def test_a_sound_installation_lacks_nothing() -> None:
    findings = doctor.examine()
    topics = [finding.topic for finding in findings]
    assert {"packages", "GPU", "memory", "disk", "fonts", "Tesseract", "Slurm", "Azure"} <= {
        *topics
    }
    assert [finding for finding in findings if finding.level == "missing"] == []
    assert all(finding.advice for finding in findings if finding.level == "note")


def test_a_missing_and_an_old_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=2", "no-such-package>=1", "pyyaml>=99", "other>=1; extra == 'dev'"]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: wanted)
    finding = doctor.requirements()
    assert finding.level == "missing"
    assert "no-such-package is not installed" in finding.found
    assert "needed: >=99" in finding.found
    assert "numpy" not in finding.found and "other" not in finding.found
    assert "pip install" in finding.advice


def test_versions_unlike_the_tested_are_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "repository_root", lambda: tmp_path)
    (tmp_path / "constraints.txt").write_text("pytest==0.0.1\nno-such-package==1\n")
    monkeypatch.setattr(doctor.importlib.metadata, "version", {"pytest": "9.0"}.__getitem__)
    monkeypatch.setattr(doctor.importlib.metadata, "PackageNotFoundError", KeyError)
    finding = doctor.constraints()
    assert (finding.level, "pytest 9.0 (tested: 0.0.1)" in finding.found) == ("note", True)
    monkeypatch.setattr(doctor.importlib.metadata, "version", {"pytest": "0.0.1+cpu"}.__getitem__)
    assert doctor.constraints().level == "ok"  # a build of the same version


def test_missing_programs_come_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for finding in (doctor.tesseract(), doctor.slurm(), doctor.azure(), doctor.git()):
        assert finding.level == "note"
        assert finding.advice


def test_nobody_logged_in_to_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "az"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert doctor.azure().advice == "az login"
    program.write_text("#!/bin/sh\necho Research\n")
    assert doctor.azure().found.endswith("subscription Research")


def test_a_full_disk_is_noticed_before_the_folder_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runs.OUTPUTS, str(tmp_path / "not" / "yet"))
    assert doctor.disk().level == "ok"
    usage = type("Usage", (), {"free": 10_000_000})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: usage)
    assert doctor.disk().level == "missing"


def test_findings_are_shown_with_their_advice() -> None:
    text = show([Finding("disk", "ok", "fine"), Finding("fonts", "missing", "none", "get some")])
    assert "ok    disk   fine" in text
    assert "MISS  fonts  none" in text
    assert "-> get some" in text
    assert text.splitlines()[-1].startswith("1 of 2 checks failed")
