"""Rings, words and heads made by hand for the tests of headstamp reading."""

import numpy as np

from sightbook.detection.labels.annotations import Box, polygons_box
from sightbook.headstamps.read import Head, Outline
from sightbook.headstamps.unroll import Ellipse, unroll
from sightbook.headstamps.words import Word
from sightbook.ocr.inference.engine import LineText

CASE = Ellipse(200, 200, 150, 150)


def ring(start=0.0):
    """The strip of a grey head whose seam lies at `start`."""
    return unroll(np.full((400, 400), 128, np.uint8), CASE, Ellipse(200, 200, 60, 60), start=start)


def reading(strip, *words, turned=False):
    """What a recogniser would read: words as (text, angle of the middle, confidence), and perhaps
    the column of the strip that the middle has; letters 24 columns apart."""
    width = strip.image.shape[1]
    letters = []
    for text, angle, confidence, *column in words:
        middle = column[0] if column else strip.columns(angle)[0]
        at = width - 1 - middle if turned else middle
        first = at - 24 * (len(text) - 1) / 2
        letters.append([(first + 24 * k, char, confidence) for k, char in enumerate(text)])
    text, starts, confidences = "", [], []
    for word in sorted(letters):
        if text:
            text, starts, confidences = text + " ", [*starts, word[0][0] - 12], [*confidences, 0.9]
        text += "".join(char for _, char, _ in word)
        starts += [x for x, _, _ in word]
        confidences += [confidence for _, _, confidence in word]
    starts = np.array(starts, np.int64)
    return LineText(text, starts, np.append(starts[1:], width), np.array(confidences), width)


def word(text, angle=0.0, direction="outward", confidence=0.9, width=30.0):
    return Word(text, angle, width, direction, confidence, len(text) * (confidence - 0.5))


def casing(ellipse, score=None, **attributes):
    outline = ellipse.polygon()
    return Box("casing", polygons_box([outline]), (outline,), score=score, attributes=attributes)


def primer(ellipse, score=None):
    outline = ellipse.polygon()
    return Box("primer", polygons_box([outline]), (outline,), score=score)


def head(ellipse, *words):
    """A head on which words, or texts, were read."""
    made = tuple(word(w) if isinstance(w, str) else w for w in words)
    return Head(Outline(casing(ellipse, 0.9), ellipse), ring(), made, made, ())
