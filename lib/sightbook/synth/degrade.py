"""Photographic degradations shared by the synthetic generators of all lines.

Every function takes a ``uint8`` picture, grey ``[H, W]`` or RGB ``[H, W, 3]``, and returns a new
picture of the same kind (:func:`warp` may change the size); the input is never written to.
Functions that involve chance take a ``numpy.random.Generator`` and draw from nothing else, so that
a picture is a function of its seed. The strengths are explicit: what range is realistic is the
caller's business.

Smooth fields (light, shadow, glare) are computed on a coarse grid and enlarged, and arithmetic
stays in 8 bits inside OpenCV, because these run on every training sample.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

_NOISE_LENGTH = 1 << 22
_NOISE_UNIT = 28.0  # steps of the 8-bit noise bank in one standard deviation: clips at 4.5 sigma
_GAIN_UNIT = 160  # 8-bit gain fields: 160 means 1.0, so gains reach 1.59 in steps below 1 %


def _check(img: Image) -> None:
    if img.dtype != np.uint8 or img.ndim not in (2, 3):
        raise ValueError(
            f"expected a uint8 picture [H, W] or [H, W, 3], got {img.dtype} of shape {img.shape}"
        )


# --- blur, noise, sampling ----------------------------------------------------------------------


def gaussian_blur(img: Image, sigma: float) -> Image:
    """Blur with a Gaussian of standard deviation ``sigma`` pixels; 0.1 and less changes nothing."""
    _check(img)
    if sigma <= 0.1:
        return img.copy()
    return _u8(cv2.GaussianBlur(img, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


def defocus_blur(img: Image, radius: float) -> Image:
    """Blur with a disc of ``radius`` pixels (a lens out of focus); fractional radii are exact."""
    _check(img)
    if radius <= 0.3:
        return img.copy()
    return _u8(cv2.filter2D(img, -1, _disc(round(radius, 2)), borderType=cv2.BORDER_REFLECT_101))


def motion_blur(img: Image, length: float, angle: float) -> Image:
    """Blur along a straight path of ``length`` pixels at ``angle`` degrees (0 = horizontal)."""
    _check(img)
    if length <= 1.0:
        return img.copy()
    half = math.ceil(length / 2)
    ys, xs = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along, across = np.abs(xs * cos - ys * sin), np.abs(xs * sin + ys * cos)
    kernel = np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1.0 - across, 0, 1)
    kernel /= kernel.sum()
    return _u8(cv2.filter2D(img, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def noise(img: Image, rng: np.random.Generator, sigma: float, grain: float = 1.0) -> Image:
    """Add Gaussian noise of standard deviation ``sigma`` grey levels, independent per channel.

    Args:
        img: the picture.
        rng: the only source of chance.
        sigma: grey levels of 255.
        grain: size of a grain in pixels; above 1 neighbouring pixels are correlated, as in film,
            enlarged pictures and denoised phone photos.
    """
    _check(img)
    if sigma <= 0:
        return img.copy()
    height, width = img.shape[:2]
    rows, columns = math.ceil(height / grain), math.ceil(width / grain)
    shape = (rows, columns, *img.shape[2:])
    count = math.prod(shape)
    bank = _noise_bank()
    if count < len(bank):
        start = int(rng.integers(len(bank) - count))
        units = bank[start : start + count].reshape(shape)
    else:
        units = np.resize(np.roll(bank, int(rng.integers(len(bank)))), shape)
    if grain > 1:
        units = _u8(cv2.resize(units, (width, height), interpolation=cv2.INTER_LINEAR))
        sigma *= 1.5  # interpolation averages: give back most of the variance it took
    table = np.rint((np.arange(256, dtype=np.float32) - 128) * (sigma / _NOISE_UNIT))
    return _u8(cv2.add(img, cv2.LUT(units, table.astype(np.int16)), dtype=cv2.CV_8U))


def jpeg(img: Image, quality: int) -> Image:
    """Encode and decode as JPEG at ``quality`` 1..100."""
    _check(img)
    bgr = img if img.ndim == 2 else img[..., ::-1]
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    flag = cv2.IMREAD_GRAYSCALE if img.ndim == 2 else cv2.IMREAD_COLOR
    decoded = _u8(cv2.imdecode(data, flag))
    return decoded if img.ndim == 2 else np.ascontiguousarray(decoded[..., ::-1])


def downscale(img: Image, factor: float) -> Image:
    """Lose detail as a picture ``factor`` times smaller would, and come back to the same size."""
    _check(img)
    if factor <= 1.0:
        return img.copy()
    height, width = img.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    reduced = cv2.resize(img, small, interpolation=cv2.INTER_AREA)
    return _u8(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR))


def sharpen(img: Image, amount: float, sigma: float) -> Image:
    """Unsharp mask: add ``amount`` times the difference to a blur of ``sigma`` pixels.

    Scanners, phones and picture programs do this; the halos belong to how small print looks.
    """
    _check(img)
    if amount <= 0:
        return img.copy()
    blurred = cv2.GaussianBlur(img, (0, 0), max(0.3, sigma), borderType=cv2.BORDER_REFLECT_101)
    return _u8(cv2.addWeighted(img, 1 + amount, blurred, -amount, 0))


# --- light and colour ---------------------------------------------------------------------------


def uneven_light(img: Image, rng: np.random.Generator, strength: float) -> Image:
    """Multiply by a smooth random field: a slope across the picture plus soft patches.

    ``strength`` 0..1 is about half the spread between the darkest and the brightest place.
    """
    _check(img)
    if strength <= 0:
        return img.copy()
    angle = rng.uniform(0, 2 * math.pi)
    ys, xs = np.mgrid[-1:1:5j, -1:1:7j].astype(np.float32)  # type: ignore[misc]
    field = 0.7 * strength * (xs * math.cos(angle) + ys * math.sin(angle))
    field += (0.35 * strength) * rng.uniform(-1, 1, field.shape).astype(np.float32)
    # Cubic first: enlarged linearly, a grid this coarse would show its cells.
    smooth = cv2.resize(field, (56, 40), interpolation=cv2.INTER_CUBIC)
    return _multiply(img, _enlarge((1.0 - 0.15 * strength + smooth) * _GAIN_UNIT, img))


def cast_shadow(img: Image, rng: np.random.Generator, strength: float) -> Image:
    """Darken one side of a random line, or a band, softly, by up to ``strength`` (0..1)."""
    _check(img)
    if strength <= 0:
        return img.copy()
    xs, ys = _coarse_grid(img)
    angle = rng.uniform(0, 2 * math.pi)
    distance = xs * math.cos(angle) + ys * math.sin(angle) - rng.uniform(-0.6, 0.6)
    distance += 0.08 * np.sin(rng.uniform(2, 8) * (ys - xs) + rng.uniform(0, 6))
    if rng.random() < 0.35:  # the shadow of a hand, a cable, a phone: a band
        distance = np.abs(distance) - rng.uniform(0.1, 0.4)
    softness = rng.uniform(0.02, 0.3)
    lit = np.clip(0.5 + distance / softness, 0, 1)
    gain = (1.0 - strength * rng.uniform(0.6, 1.0) * (1.0 - lit)) * _GAIN_UNIT
    return _multiply(img, _enlarge(gain, img))


def glare(img: Image, rng: np.random.Generator, strength: float) -> Image:
    """Add one to three reflections of a lamp on lamination: soft spots and streaks.

    ``strength`` 0..1: below about 0.5 print stays visible underneath, at 1 the cores are burnt out.
    """
    _check(img)
    if strength <= 0:
        return img.copy()
    xs, ys = _coarse_grid(img)
    light = np.zeros_like(xs)
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, math.pi)
        dx, dy = xs - rng.uniform(-1, 1), ys - rng.uniform(-1, 1)
        along = dx * math.cos(angle) + dy * math.sin(angle)
        across = dy * math.cos(angle) - dx * math.sin(angle)
        streak = rng.random() < 0.5
        long = rng.uniform(0.5, 2.5) if streak else rng.uniform(0.08, 0.4)
        wide = rng.uniform(0.02, 0.12) if streak else long * rng.uniform(0.4, 1.0)
        power = rng.uniform(1.0, 3.0)  # the rim: from a soft glow to a sharp reflection
        spot = np.exp(-(((along / long) ** 2 + (across / wide) ** 2) ** power))
        light += rng.uniform(0.4, 1.2) * spot.astype(np.float32)
    added = _enlarge(np.clip(light * strength * 255, 0, 255), img)
    # Screen blending: light adds to what the paper reflects and saturates at white.
    return _u8(cv2.bitwise_not(_multiply(cv2.bitwise_not(img), cv2.bitwise_not(added), unit=255)))


def color_cast(img: Image, rng: np.random.Generator, strength: float) -> Image:
    """Shift the white balance: channel gains within ``1 +- strength``; grey stays as it is."""
    _check(img)
    if img.ndim == 2 or strength <= 0:
        return img.copy()
    # Lamps differ along blue-orange much more than along green-magenta.
    warmth, green = rng.uniform(-strength, strength), rng.uniform(-strength, strength) / 3
    gains = np.array([1 + warmth, 1 + green, 1 - warmth])
    levels = np.arange(256)[:, None] * gains
    return _u8(cv2.LUT(img, np.clip(levels, 0, 255).astype(np.uint8)[:, None, :]))


def contrast(img: Image, gain: float, bias: float = 0.0) -> Image:
    """Return ``gain * (img - 128) + 128 + bias``, clipped to 0..255."""
    _check(img)
    levels = gain * (np.arange(256, dtype=np.float32) - 128) + 128 + bias
    return _u8(cv2.LUT(img, np.clip(np.rint(levels), 0, 255).astype(np.uint8)))


def gamma(img: Image, exponent: float) -> Image:
    """Return ``255 * (img / 255) ** exponent``: above 1 darkens the middle tones."""
    _check(img)
    levels = 255 * (np.arange(256, dtype=np.float32) / 255) ** exponent
    return _u8(cv2.LUT(img, np.rint(levels).astype(np.uint8)))


# --- copies and scans ---------------------------------------------------------------------------


def photocopy(img: Image, rng: np.random.Generator, strength: float) -> Image:
    """Copy on an office machine: grey, hard tones, toner specks, a streak of the drum, drop-outs.

    Args:
        img: the picture; a colour picture comes back grey in three channels.
        rng: the only source of chance.
        strength: 0 leaves the picture alone, 1 is a copy of a copy.
    """
    _check(img)
    if strength <= 0:
        return img.copy()
    grey = img if img.ndim == 2 else _u8(cv2.cvtColor(img, cv2.COLOR_RGB2GRAY))
    height, width = grey.shape
    # A steep tone curve around a level between ink and paper, so that light backgrounds vanish.
    dark, light = (float(v) for v in np.percentile(grey[::4, ::4], (2, 80)))
    middle = dark + (light - dark) * rng.uniform(0.4, 0.7)
    slope = (2 + 6 * strength * rng.uniform(0.5, 1.0)) / max(light - dark, 40.0)
    levels = 255 / (1 + np.exp(-2 * slope * (np.arange(256) - middle)))
    out = _u8(cv2.LUT(grey, levels.astype(np.uint8)))
    specks = int(rng.poisson(strength * height * width / 6000))
    for x, y in zip(rng.integers(0, width, specks), rng.integers(0, height, specks), strict=True):
        shade = int(rng.choice((0, 60, 255)))
        cv2.circle(out, (int(x), int(y)), int(rng.integers(0, 2)), shade, -1)
    if rng.random() < 0.3 * strength:
        x, shade = int(rng.integers(0, width)), int(rng.integers(0, 200))
        cv2.line(out, (x, 0), (x + int(rng.integers(-3, 4)), height), shade, 1, cv2.LINE_AA)
    if rng.random() < 0.5 * strength:  # toner that did not take
        coarse = rng.uniform(0, 1, (6, 8)).astype(np.float32)
        loss = np.clip((coarse - 0.6) * 400 * strength, 0, 160)
        out = _u8(cv2.add(out, _enlarge(loss, out)))
    return out if img.ndim == 2 else np.repeat(out[..., None], 3, axis=2)


def binarize(img: Image, window: float, bias: float) -> Image:
    """Reduce to black and white as a fax or a document scanner does.

    Args:
        img: the picture; a colour picture comes back in three equal channels.
        window: side of the neighbourhood in pixels whose mean is the threshold; 0 thresholds the
            whole picture midway between its dark and its light pixels (Otsu's two classes).
        bias: grey levels by which a pixel must be darker than the threshold to become black.
    """
    _check(img)
    grey = img if img.ndim == 2 else _u8(cv2.cvtColor(img, cv2.COLOR_RGB2GRAY))
    if window <= 0:
        level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        black = grey <= level
        # Otsu's level is that of the darker class: halfway to the lighter one is more robust.
        means = [float(grey[part].mean()) for part in (black, ~black) if part.any()]
        _, out = cv2.threshold(grey, sum(means) / len(means) - bias, 255, cv2.THRESH_BINARY)
    else:
        side = max(3, round(window) | 1)
        mean, kind = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY
        out = cv2.adaptiveThreshold(grey, 255, mean, kind, side, bias)
    return _u8(out) if img.ndim == 2 else np.repeat(_u8(out)[..., None], 3, axis=2)


# --- geometry -----------------------------------------------------------------------------------


def warp(
    img: Image,
    homography: NDArray[np.floating],
    size: tuple[int, int],
    border: Literal["reflect", "constant"] = "reflect",
    fill: int = 0,
) -> Image:
    """Map a picture through a homography.

    Args:
        img: the source.
        homography: ``[3, 3]``, source pixels to destination pixels.
        size: ``(width, height)`` of the destination.
        border: what lies outside the source: its mirror image, or the grey level ``fill``.
        fill: grey level of the ``constant`` border.
    """
    _check(img)
    mode = {"reflect": cv2.BORDER_REFLECT_101, "constant": cv2.BORDER_CONSTANT}[border]
    matrix = np.asarray(homography, dtype=np.float64)
    flags = cv2.INTER_LINEAR
    return _u8(cv2.warpPerspective(img, matrix, size, None, flags, mode, (fill, fill, fill)))


def transform_points(points: NDArray[np.floating], homography: NDArray[np.floating]) -> Floats:
    """Map points ``[..., 2]`` (x, y) through a ``[3, 3]`` homography; float32, same shape."""
    flat = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    mapped = np.c_[flat, np.ones(len(flat))] @ np.asarray(homography, dtype=np.float64).T
    return (mapped[:, :2] / mapped[:, 2:]).reshape(np.shape(points)).astype(np.float32)


def random_perspective(
    rng: np.random.Generator, size: tuple[int, int], strength: float, tilt_degrees: float
) -> NDArray[np.float64]:
    """Draw a homography of a picture onto itself, as seen by a hand-held camera.

    Args:
        rng: the only source of chance.
        size: ``(width, height)`` in pixels.
        strength: how far each corner may move, as a share of the shorter side (0.1 is a lot).
        tilt_degrees: the turn about the centre is uniform within ``+- tilt_degrees``.

    Returns:
        ``[3, 3]``, from source to destination pixels.
    """
    width, height = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    reach = strength * min(width, height)
    moved = corners + rng.uniform(-reach, reach, (4, 2)).astype(np.float32)
    perspective = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    angle = rng.uniform(-tilt_degrees, tilt_degrees)
    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    return turn @ perspective


# --- helpers ------------------------------------------------------------------------------------


def _u8(array: object) -> Image:
    """Say to the type checker what OpenCV's stubs leave open."""
    return array  # type: ignore[return-value]


@cache
def _noise_bank() -> Image:
    """Standard normal values as bytes around 128: one long row that all noise is cut from."""
    normal = np.random.default_rng(20).standard_normal(_NOISE_LENGTH, dtype=np.float32)
    return np.clip(np.rint(normal * _NOISE_UNIT + 128), 0, 255).astype(np.uint8)


@cache
def _disc(radius: float) -> Floats:
    half = math.ceil(radius)
    ys, xs = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    kernel = np.clip(radius + 0.5 - np.hypot(xs, ys), 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)


def _coarse_grid(img: Image) -> tuple[Floats, Floats]:
    """Coordinates about -1..1 across the longer side, on a grid of at most 160 cells a side."""
    height, width = img.shape[:2]
    step = max(width, height) / 160
    rows, columns = max(2, round(height / step)), max(2, round(width / step))
    longer = max(rows, columns)
    ys, xs = np.mgrid[0:rows, 0:columns].astype(np.float32)
    return (2 * xs - columns) / longer, (2 * ys - rows) / longer


def _enlarge(field: NDArray[np.floating], img: Image) -> Image:
    """Bring a coarse field (0..255) to the picture's size, as bytes."""
    height, width = img.shape[:2]
    coarse = np.clip(field, 0, 255).astype(np.uint8)
    return _u8(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))


def _multiply(img: object, gain: object, unit: int = _GAIN_UNIT) -> Image:
    """Multiply by an 8-bit gain field ``[H, W]`` in which ``unit`` stands for 1."""
    image, field = _u8(img), _u8(gain)
    if image.ndim == 3:
        field = _u8(cv2.merge([field] * image.shape[2]))
    return _u8(cv2.multiply(image, field, scale=1.0 / unit))
