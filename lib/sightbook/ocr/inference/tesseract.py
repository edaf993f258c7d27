"""Tesseract as a second reader of the same pages, where it is installed."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import encode_image
from sightbook.ocr.pages.page import Page, PageBuilder, Word, rectangle

TIMEOUT = 300
"""Seconds after which a page is given up."""

_WORD = "5"  # the level of a row of its table that holds a word


class TesseractError(RuntimeError):
    """Tesseract could not read a page; says why."""


def version(language: str = "eng") -> str | None:
    """Its name with its version, or None where it or the language's data is not installed."""
    program = shutil.which("tesseract")
    if program is None:
        return None
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"tesseract v?(\d[\w.]*)", told.stdout + told.stderr)
    listed = subprocess.run([program, "--list-langs"], capture_output=True, text=True, check=False)
    known = listed.stdout.split()
    if found is None or not all(part in known for part in language.split("+")):
        return None
    return f"Tesseract {found[1]}"


def read(image: NDArray[np.uint8], *, language: str = "eng", threads: int = 1) -> Page:
    """Read one page.

    Args:
        image: uint8, grey ``[H, W]`` or RGB ``[H, W, 3]``.
        language: as Tesseract names it; several joined by ``+``.
        threads: that it may use.

    Raises:
        TesseractError: it failed, or took too long.
    """
    command = ["tesseract", "stdin", "stdout", "-l", language, "tsv"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": str(threads)}
    try:
        done = subprocess.run(
            command,
            input=encode_image(image, ".png"),
            capture_output=True,
            env=environment,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TesseractError(f"no answer within {TIMEOUT} s") from None
    if done.returncode:
        raise TesseractError(" ".join(done.stderr.decode(errors="replace").split())[-300:])
    height, width = image.shape[:2]
    return parse_tsv(done.stdout.decode(), width, height)


def parse_tsv(table: str, width: int, height: int) -> Page:
    """The page that Tesseract's table of values describes.

    Args:
        table: as ``tesseract ... tsv`` prints it.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """
    paragraphs: dict[tuple[str, str], dict[str, list[Word]]] = {}
    # Texts may hold quotes, which mean nothing here.
    for row in csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        text = (row["text"] or "").strip()
        if row["level"] != _WORD or not text:
            continue
        x, y, w, h = (float(row[name]) for name in ("left", "top", "width", "height"))
        confidence = min(1.0, max(0.0, float(row["conf"]) / 100))
        word = Word(rectangle(x, y, x + w, y + h), text, confidence=confidence)
        lines = paragraphs.setdefault((row["block_num"], row["par_num"]), {})
        lines.setdefault(row["line_num"], []).append(word)
    builder = PageBuilder("", width, height)
    for lines in paragraphs.values():
        builder.add(lines.values())
    return builder.page()
