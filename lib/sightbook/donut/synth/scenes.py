"""Laying a flat document into a scene: where it lies, on what, among what, held by whom."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sightbook.donut.synth.cameras import photograph, scan
from sightbook.donut.synth.papers import CLUTTER, clutter_paper
from sightbook.donut.synth.plans import Plan
from sightbook.synth import degrade
from sightbook.synth.backgrounds import desk
from sightbook.synth.fingers import draw_finger
from sightbook.synth.lettering import Colour, LoadedImage, ink

STYLES = ("photo", "scan", "copy", "full")
_MARGIN = 0.012  # share of the picture's longer side that stays free around the zone
_NARROWEST = 0.235  # zone width as a share of the picture's longer side: 300 of 1280 pixels

Matrix = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placement:
    """Where a sheet lies in the picture.

    Attributes:
        matrix: homography [3, 3] from millimetres of the sheet to pixel coordinates.
        scale: pixels per millimetre, about the middle.
        rotation: clockwise turn of the reading direction in degrees, 0..360.
    """

    matrix: Matrix
    scale: float
    rotation: float


def _corners(box: tuple[float, float, float, float]) -> Points:
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def _map(matrix: Matrix, points: npt.NDArray[np.floating]) -> Points:
    homogeneous = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1) @ matrix.T
    return homogeneous[..., :2] / homogeneous[..., 2:]


def _tilt(rng: np.random.Generator, style: str) -> float:
    if style == "photo":
        reach = (3.0, 9.0, 20.0)[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
    elif style == "full":
        reach = 1.0
    else:
        reach = (1.5, 6.0, 20.0)[int(rng.choice(3, p=[0.7, 0.2, 0.1]))]
    return float(rng.uniform(-reach, reach))


def place(rng: np.random.Generator, plan: Plan, size: tuple[int, int], style: str) -> Placement:
    """Decide how ``plan`` lies in a picture of ``size`` (width, height).

    The zone, where there is one, always lies wholly inside the picture and is at least about
    ``300 / 1280`` of the longer side long, or as long as fits.
    """
    width, height = size
    longer = max(size)
    quarter = int(rng.choice(4, p=[0.4, 0.2, 0.2, 0.2]))
    angle = 90 * quarter + _tilt(rng, style)
    strength = float(rng.uniform(0, 0.13)) if style == "photo" else 0.0
    bend = degrade.random_perspective(rng, (round(plan.width), round(plan.height)), strength, 0.0)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    base = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]]) @ bend
    sheet = _map(base, _corners((0, 0, plan.width, plan.height)))
    page = _map(base, _corners(plan.page))
    kept = _map(base, _corners(plan.zone)) if plan.zone else page
    room = np.array([width, height]) - 2 * _MARGIN * longer
    fits_zone = float(np.min(room / np.ptp(kept, axis=0)))
    fits_page = float(np.min(np.array(size) / np.ptp(page, axis=0)))
    fits_sheet = float(np.min(np.array(size) / np.ptp(sheet, axis=0)))
    length = plan.zone[2] - plan.zone[0] if plan.zone else plan.width * 0.9
    if style == "photo":
        scale = longer * float(np.exp(rng.uniform(np.log(_NARROWEST), np.log(0.95)))) / length
        if rng.random() < 0.75:
            scale = min(scale, 0.99 * fits_sheet)
        scale = max(scale, _NARROWEST * longer / length)
    elif style == "full":
        fill = float(np.max(np.array(size) / np.ptp(page, axis=0)))
        scale = fits_page * float(rng.uniform(0.97, 1.06)) if rng.random() < 0.5 else fill * 1.01
    else:
        dpi = float(np.exp(rng.uniform(np.log(100), np.log(400))))
        scale = max(dpi / 25.4 * longer / 1280, _NARROWEST * longer / length)
        if rng.random() < 0.6:
            scale = min(scale, 0.98 * fits_sheet)
    if plan.zone:
        scale = min(scale, fits_zone)
    # Enormous enlargements of whole letters cost a lot and show little.
    scale = min(scale, float(np.sqrt(2.2 * width * height / (plan.width * plan.height))))
    shift = np.array([
        _offset(rng, sheet[:, axis] * scale, kept[:, axis] * scale, size[axis],
                _MARGIN * longer if plan.zone else None, style == "full")
        for axis in (0, 1)
    ])  # fmt: skip
    move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1.0]])
    return Placement(move @ base, scale, float(angle % 360))


def _offset(
    rng: np.random.Generator,
    sheet: Points,
    kept: Points,
    extent: int,
    margin: float | None,
    centred: bool,
) -> float:
    """Where to move a sheet along one axis so that it, or at least what is kept, stays inside."""
    low, high = -float(sheet.min()), extent - float(sheet.max())
    if low > high:  # larger than the picture: some of it will be cut off
        low, high = high, low
    share = 0.5 if centred else float(rng.uniform(0, 1) + rng.uniform(0, 1)) / 2
    offset = low + share * (high - low)
    if margin is None:
        return offset
    return float(np.clip(offset, margin - kept.min(), extent - margin - kept.max()))


def sheet_scale(placement: Placement, plan: Plan, size: tuple[int, int]) -> float:
    """Pixels per millimetre to draw the sheet at: a little finer than it will be seen."""
    most = np.sqrt(2.4 * size[0] * size[1] / (plan.width * plan.height))
    return float(min(placement.scale * 1.15, most))


def to_image(
    placement: Placement, scale: float, points: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Pixels of a sheet drawn at ``scale`` to pixels of the picture, both with integer centres."""
    return _map(_sheet_matrix(placement, scale), points.astype(np.float64)).astype(np.float32)


def _sheet_matrix(placement: Placement, scale: float) -> Matrix:
    # A sheet's pixel i covers (i .. i+1) / scale millimetres, so its centre lies half a pixel on.
    return placement.matrix @ np.array(
        [[1 / scale, 0, 0.5 / scale], [0, 1 / scale, 0.5 / scale], [0, 0, 1.0]]
    )


def _lay(image: LoadedImage, sheet: LoadedImage, matrix: Matrix, mask: LoadedImage) -> None:
    """Warp ``sheet`` by ``matrix`` onto ``image`` in place, only where it comes to lie."""
    height, width = sheet.shape[:2]
    corners = _map(matrix, _corners((-0.5, -0.5, width - 0.5, height - 0.5)))
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, image.shape[1::-1])
    if x0 >= x1 or y0 >= y1:
        return
    local = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1.0]]) @ matrix
    size = (int(x1 - x0), int(y1 - y0))
    warped = cv2.warpPerspective(
        sheet, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cover = cv2.warpPerspective(mask, local, size, flags=cv2.INTER_LINEAR)
    ink(image[y0:y1, x0:x1], cover, warped)


def _sheet_mask(height: int, width: int, radius: float) -> LoadedImage:
    """Coverage of a sheet with rounded corners."""
    if radius < 1.5:
        return np.full((height, width), 255, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    r = min(round(radius), width // 2, height // 2)
    cv2.rectangle(mask, (r, 0), (width - r - 1, height), 255, -1)
    cv2.rectangle(mask, (0, r), (width, height - r - 1), 255, -1)
    for x in (r, width - r - 1):
        for y in (r, height - r - 1):
            cv2.circle(mask, (x, y), r, 255, -1, cv2.LINE_AA)
    return mask


def compose(
    rng: np.random.Generator,
    sheet: LoadedImage,
    scale: float,
    plan: Plan,
    placement: Placement,
    size: tuple[int, int],
    style: str,
) -> LoadedImage:
    """Lay the drawn sheet on a ground and photograph, scan or copy it.

    Args:
        rng: source of every choice.
        sheet: the flat document, uint8 RGB.
        scale: its pixels per millimetre.
        plan: of the document.
        placement: where it lies.
        size: width and height of the picture.
        style: one of ``STYLES``.

    Returns:
        uint8 RGB [height, width, 3].
    """
    image = _ground(rng, size, style)
    if style == "photo":
        _clutter(rng, image, placement, things=True)
        _sheet_shadow(rng, image, placement, plan)
        if rng.random() < 0.3:
            sheet = degrade.glare(sheet, rng, float(rng.uniform(0.1, 0.55)))
    elif style == "copy":
        # The copier sets its tone curve by the sheet, not by the lid around it.
        sheet = degrade.photocopy(sheet, rng, float(rng.uniform(0.15, 0.9)))
    if style in ("scan", "copy") and rng.random() < 0.2:
        _clutter(rng, image, placement, things=False)
    corner = plan.corner if rng.random() < 0.8 or style == "photo" else 0.0
    mask = _sheet_mask(sheet.shape[0], sheet.shape[1], corner * scale)
    _lay(image, sheet, _sheet_matrix(placement, scale), mask)
    if style == "photo" and rng.random() < 0.22:
        for _ in range(int(rng.integers(1, 4))):
            _finger(rng, image, placement, plan)
    pitch = (plan.pitch or 2.2) * placement.scale
    if style in ("scan", "copy"):
        return scan(rng, image, pitch, style == "copy")
    return photograph(rng, image, pitch, style == "full")


def _ground(rng: np.random.Generator, size: tuple[int, int], style: str) -> LoadedImage:
    width, height = size
    if style == "photo" or (style == "full" and rng.random() < 0.3):
        return desk(rng, width, height)
    ground = np.empty((height, width, 3), np.uint8)
    level = int(
        rng.choice(
            [255, 250, 240, 128, 114, 30, 8, 0], p=[0.3, 0.2, 0.1, 0.07, 0.03, 0.1, 0.1, 0.1]
        )
    )
    ground[:] = level
    if style == "scan" and level not in (0, 255):
        ground = degrade.uneven_light(ground, rng, 0.1)
    return ground


def _clutter(
    rng: np.random.Generator, image: LoadedImage, placement: Placement, things: bool
) -> None:
    """Other papers and, perhaps, things on the table, beneath the document."""
    height, width = image.shape[:2]
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.45, 0.25, 0.2, 0.1]))):
        paper, wide = clutter_paper(int(rng.integers(CLUTTER)))
        angle = np.radians(
            rng.uniform(0, 360) if rng.random() < 0.4 else 90 * rng.integers(4) + rng.normal(0, 8)
        )
        k = placement.scale * rng.uniform(0.85, 1.2) * wide / paper.shape[1]
        cos, sin = np.cos(angle) * k, np.sin(angle) * k
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        matrix = np.array([[cos, -sin, x], [sin, cos, y], [0, 0, 1.0]])
        _lay(image, paper, matrix, np.full(paper.shape[:2], 255, np.uint8))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.7, 0.2, 0.1])) if things else 0):
        _thing(rng, image, placement.scale)


def _thing(rng: np.random.Generator, image: LoadedImage, scale: float) -> None:
    """A pen, a phone or a cup."""
    height, width = image.shape[:2]
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    shade = int(rng.integers(10, 240))
    colour: Colour = tuple(int(v) for v in np.clip(shade + rng.integers(-40, 40, 3), 0, 255))  # type: ignore[assignment]
    darker: Colour = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
    choice = rng.random()
    if choice < 0.45:  # pen
        angle, long = rng.uniform(0, 2 * np.pi), 140 * scale
        end = (round(x + long * np.cos(angle)), round(y + long * np.sin(angle)))
        cv2.line(image, (round(x), round(y)), end, darker, max(2, round(10 * scale)), cv2.LINE_AA)
        cv2.line(image, (round(x), round(y)), end, colour, max(1, round(5 * scale)), cv2.LINE_AA)
    elif choice < 0.75:  # phone
        box = cv2.boxPoints(((x, y), (72 * scale, 148 * scale), float(rng.uniform(0, 360))))
        cv2.fillConvexPoly(image, np.round(box).astype(np.int32), (24, 24, 28), cv2.LINE_AA)
    else:  # cup
        centre = (round(x), round(y))
        cv2.circle(image, centre, round(42 * scale), colour, -1, cv2.LINE_AA)
        cv2.circle(image, centre, round(36 * scale), (60, 38, 24), -1, cv2.LINE_AA)


def _sheet_shadow(
    rng: np.random.Generator, image: LoadedImage, placement: Placement, plan: Plan
) -> None:
    """The soft shadow a sheet throws on the table."""
    height, width = image.shape[:2]
    coarse = 8
    corners = _map(placement.matrix, _corners((0, 0, plan.width, plan.height)))
    shifted = corners + rng.normal(0, 2.2, 2) * placement.scale
    gain = np.full((height // coarse + 1, width // coarse + 1), 255, np.uint8)
    cv2.fillConvexPoly(
        gain,
        np.round(shifted / coarse * 16).astype(np.int32),
        int(rng.integers(90, 220)),
        cv2.LINE_AA,
        4,
    )
    gain = cv2.GaussianBlur(
        gain, (0, 0), max(0.6, float(rng.uniform(0.8, 4)) * placement.scale / coarse)
    )
    full = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(image, cv2.merge([full, full, full]), dst=image, scale=1 / 255)


def _finger(rng: np.random.Generator, image: LoadedImage, placement: Placement, plan: Plan) -> None:
    """A finger that holds the sheet at an edge, well away from the zone."""
    radius = float(rng.uniform(6.5, 10))
    side = int(rng.integers(4))
    outward = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]][side], np.float64)
    along = rng.uniform(0.05, 0.95)
    edge = np.array(
        [[along * plan.width, 0], [plan.width, along * plan.height],
         [along * plan.width, plan.height], [0, along * plan.height]][side]
    )  # fmt: skip
    tip = edge - outward * float(rng.uniform(2, 14))
    lean = rng.normal(0, 0.35)
    direction = outward + lean * outward[::-1]
    root = tip + direction * 90
    if plan.zone:
        axis = tip + (root - tip) * np.linspace(0, 1, 40)[:, None]
        x0, y0, x1, y1 = plan.zone
        gap = np.maximum(np.maximum([x0, y0] - axis, axis - [x1, y1]), 0)
        if np.hypot(gap[:, 0], gap[:, 1]).min() < radius + 3:
            return
    tip_px, root_px = _map(placement.matrix, np.stack([tip, root]))
    # The far end may lie behind the camera's horizon for steep views: keep it near.
    reach = np.linalg.norm(root_px - tip_px)
    root_px = tip_px + (root_px - tip_px) / max(float(reach), 1.0) * 90 * placement.scale
    thick = max(3, round(2 * radius * placement.scale))
    draw_finger(rng, image, tip_px, root_px, thick)
