"""Light, optics, sensor and compression: from a composed scene to the picture as it is stored.

``pitch`` is the distance of the zone's characters in pixels: losses are bounded by it, so that
small print is not destroyed where large print would be a little soft.
"""

import cv2
import numpy as np

from sightbook.synth import degrade
from sightbook.synth.lettering import LoadedImage


def _optics(
    rng: np.random.Generator, image: LoadedImage, pitch: float, worst: float
) -> LoadedImage:
    """Blur and lost resolution, bounded by the characters' ``pitch`` so that print stays print."""
    choice = rng.random()
    if choice < 0.3:
        image = degrade.gaussian_blur(image, float(rng.uniform(0.02, 0.14)) * pitch * worst)
    elif choice < 0.42:
        image = degrade.defocus_blur(image, float(rng.uniform(0.04, 0.2)) * pitch * worst)
    elif choice < 0.54:
        length = float(rng.uniform(0.1, 0.4)) * pitch * worst
        image = degrade.motion_blur(image, length, float(rng.uniform(0, 180)))
    elif choice < 0.66:
        image = degrade.downscale(image, max(1.0, float(rng.uniform(0.3, 1.0)) * pitch / 5.0))
    return image


def _grey(image: LoadedImage) -> LoadedImage:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _finish(rng: np.random.Generator, image: LoadedImage, pitch: float) -> LoadedImage:
    """Grey pictures, and JPEG: harsh only where characters are large enough to survive it."""
    if rng.random() < 0.12:
        image = _grey(image)
    if rng.random() < 0.85:
        lowest = 12 if pitch > 14 else 28
        image = degrade.jpeg(image, int(rng.integers(lowest, 96)))
    return image


def scan(rng: np.random.Generator, image: LoadedImage, pitch: float, copied: bool) -> LoadedImage:
    """What a flat-bed scanner makes of ``image``, or of its copy if ``copied``."""
    if copied:
        image = _grey(image)
        if rng.random() < 0.3:
            image = degrade.binarize(image, 6 * pitch, float(rng.uniform(6, 22)))
    else:
        gain, bias = float(rng.uniform(0.8, 1.25)), float(rng.uniform(-12, 18))
        image = degrade.contrast(image, gain, bias)
    image = _optics(rng, image, pitch, 0.7)
    if rng.random() < 0.6:
        image = degrade.noise(image, rng, float(rng.uniform(0.5, 5)))
    return _finish(rng, image, pitch)


def photograph(
    rng: np.random.Generator, image: LoadedImage, pitch: float, gentle: bool
) -> LoadedImage:
    """What a phone makes of ``image``; ``gentle`` often leaves it as a published specimen is."""
    if gentle and rng.random() < 0.4:  # published specimens are often clean
        return _finish(rng, _optics(rng, image, pitch, 0.8), pitch)
    if rng.random() < 0.7:
        image = degrade.uneven_light(image, rng, float(rng.uniform(0.05, 0.5)))
    if rng.random() < 0.25:
        image = degrade.cast_shadow(image, rng, float(rng.uniform(0.15, 0.6)))
    if rng.random() < 0.1:
        image = degrade.glare(image, rng, float(rng.uniform(0.1, 0.5)))
    if rng.random() < 0.5:
        image = degrade.color_cast(image, rng, float(rng.uniform(0.03, 0.25)))
    if rng.random() < 0.6:
        gain, bias = float(rng.uniform(0.6, 1.25)), float(rng.uniform(-40, 30))
        image = degrade.contrast(image, gain, bias)
    image = _optics(rng, image, pitch, 1.0)
    if rng.random() < 0.7:
        sigma = float(rng.uniform(0.5, 12))
        image = degrade.noise(image, rng, sigma, grain=float(rng.choice([1.0, 1.0, 1.6, 2.4])))
    return _finish(rng, image, pitch)
