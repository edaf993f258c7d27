"""Light, optics, sensor and compression: from a composed scene to the picture as it is stored.

``pitch`` is the distance of the zone's characters in pixels: losses are bounded by it, so that
small print is not destroyed where large print would be a little soft.
"""

import cv2
import numpy as np

from sightbook.synth import degrade
from sightbook.synth.lettering import Picture


def _optics(rng: np.random.Generator, picture: Picture, pitch: float, worst: float) -> Picture:
    """Blur and lost resolution, bounded by the characters' ``pitch`` so that print stays print."""
    choice = rng.random()
    if choice < 0.3:
        picture = degrade.gaussian_blur(picture, float(rng.uniform(0.02, 0.14)) * pitch * worst)
    elif choice < 0.42:
        picture = degrade.defocus_blur(picture, float(rng.uniform(0.04, 0.2)) * pitch * worst)
    elif choice < 0.54:
        length = float(rng.uniform(0.1, 0.4)) * pitch * worst
        picture = degrade.motion_blur(picture, length, float(rng.uniform(0, 180)))
    elif choice < 0.66:
        picture = degrade.downscale(picture, max(1.0, float(rng.uniform(0.3, 1.0)) * pitch / 5.0))
    return picture


def _grey(picture: Picture) -> Picture:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _finish(rng: np.random.Generator, picture: Picture, pitch: float) -> Picture:
    """Grey pictures, and JPEG: harsh only where characters are large enough to survive it."""
    if rng.random() < 0.12:
        picture = _grey(picture)
    if rng.random() < 0.85:
        lowest = 12 if pitch > 14 else 28
        picture = degrade.jpeg(picture, int(rng.integers(lowest, 96)))
    return picture


def scan(rng: np.random.Generator, picture: Picture, pitch: float, copied: bool) -> Picture:
    """What a flat-bed scanner makes of ``picture``, or of its copy if ``copied``."""
    if copied:
        picture = _grey(picture)
        if rng.random() < 0.3:
            picture = degrade.binarize(picture, 6 * pitch, float(rng.uniform(6, 22)))
    else:
        gain, bias = float(rng.uniform(0.8, 1.25)), float(rng.uniform(-12, 18))
        picture = degrade.contrast(picture, gain, bias)
    picture = _optics(rng, picture, pitch, 0.7)
    if rng.random() < 0.6:
        picture = degrade.noise(picture, rng, float(rng.uniform(0.5, 5)))
    return _finish(rng, picture, pitch)


def photograph(rng: np.random.Generator, picture: Picture, pitch: float, gentle: bool) -> Picture:
    """What a phone makes of ``picture``; ``gentle`` often leaves it as a published specimen is."""
    if gentle and rng.random() < 0.4:  # published specimens are often clean
        return _finish(rng, _optics(rng, picture, pitch, 0.8), pitch)
    if rng.random() < 0.7:
        picture = degrade.uneven_light(picture, rng, float(rng.uniform(0.05, 0.5)))
    if rng.random() < 0.25:
        picture = degrade.cast_shadow(picture, rng, float(rng.uniform(0.15, 0.6)))
    if rng.random() < 0.1:
        picture = degrade.glare(picture, rng, float(rng.uniform(0.1, 0.5)))
    if rng.random() < 0.5:
        picture = degrade.color_cast(picture, rng, float(rng.uniform(0.03, 0.25)))
    if rng.random() < 0.6:
        gain, bias = float(rng.uniform(0.6, 1.25)), float(rng.uniform(-40, 30))
        picture = degrade.contrast(picture, gain, bias)
    picture = _optics(rng, picture, pitch, 1.0)
    if rng.random() < 0.7:
        sigma = float(rng.uniform(0.5, 12))
        picture = degrade.noise(picture, rng, sigma, grain=float(rng.choice([1.0, 1.0, 1.6, 2.4])))
    return _finish(rng, picture, pitch)
