"""Areas, intersections and IoU of polygons and boxes, and polygons cut to a picture.

Polygons are arrays ``[n, 2]`` of corners (x, y) in pixels, in either direction, open (the last
corner is joined with the first) or closed; shapely (GEOS) computes with them in float64. What no
geometry library takes as it comes is settled once, here:

- An outline that crosses itself stands for all that it encloses (`shapely.make_valid`, method
  "structure"): a bow tie for both of its wings, a loop that covers a spot twice for that spot once.
  Formulas that only sum up corners give such outlines too small or too large an area, even none.
- Fewer than three corners, or corners on one line, are an empty region: area 0, no intersection,
  IoU 0 even with itself.
- A corner that is no finite number is an error.

OpenCV's `intersectConvexConvex` is for drawing: it computes in float32, and IoUs of quadrilaterals
come out wrong by up to 6e-7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float32]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Overlaps:
    """Intersections of two groups of regions.

    Attributes:
        intersection: areas in square pixels, float64 ``[n, m]``.
        first: areas of the one group, ``[n]``.
        second: areas of the other, ``[m]``.
    """

    intersection: Matrix
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @property
    def iou(self) -> Matrix:
        """Intersection over union ``[n, m]``; 0 where both are empty."""
        return _divided(
            self.intersection, self.first[:, None] + self.second[None] - self.intersection
        )

    @property
    def of_first(self) -> Matrix:
        """Share ``[n, m]`` of each first region that each second one covers; 0 of an empty one."""
        return _divided(self.intersection, self.first[:, None])

    @property
    def of_second(self) -> Matrix:
        """Share ``[n, m]`` of each second region that each first one covers; 0 of an empty one."""
        return _divided(self.intersection, self.second[None])

    def taken(self, rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> Overlaps:
        """The same of some regions only."""
        return Overlaps(self.intersection[rows][:, columns], self.first[rows], self.second[columns])


def polygon_area(polygon: NDArray[np.floating]) -> float:
    """Area of a polygon ``[n, 2]`` in square pixels; see :func:`polygon_areas`."""
    return float(polygon_areas([polygon])[0])


def polygon_areas(polygons: Sequence[NDArray[np.floating]] | NDArray[np.floating]) -> Matrix:
    """Areas ``[k]`` of polygons in square pixels; the module says what of strange ones.

    Raises:
        ValueError: a corner is no finite number.
    """
    return np.asarray(shapely.area(_regions(polygons)), np.float64)


def polygon_iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Intersection over union of two polygons ``[n, 2]``, from 0 to 1; 0 where both are empty."""
    return float(polygon_overlaps([a], [b]).iou[0, 0])


def polygon_overlaps(
    first: Sequence[NDArray[np.floating]], second: Sequence[NDArray[np.floating]]
) -> Overlaps:
    """Intersections of each polygon of one group with each of another.

    Only pairs whose bounding boxes touch are looked at, found with a tree: what is far apart costs
    nothing. The module says what of strange polygons.

    Args:
        first: polygons, each ``[corners, 2]``.
        second: the same.

    Raises:
        ValueError: a corner is no finite number.
    """
    a, b = _regions(first), _regions(second)
    intersection = np.zeros((len(a), len(b)))
    if len(a) and len(b):
        rows, columns = shapely.STRtree(b).query(a)
        intersection[rows, columns] = shapely.area(shapely.intersection(a[rows], b[columns]))
    return Overlaps(intersection, shapely.area(a), shapely.area(b))


def clip_polygon(polygon: NDArray[np.floating], width: float, height: float) -> tuple[Points, ...]:
    """The parts of a polygon inside a picture, from 0 to `width` and 0 to `height`.

    One that is all inside comes back as it is, be it strange or not, but with three corners at
    least. Of any other the parts that have an area are returned, each by its outer border: a hole
    is filled.

    Args:
        polygon: ``[n, 2]``.
        width: of the picture.
        height: of the picture.

    Returns:
        Polygons, float32 ``[m, 2]``; none where nothing lies inside.

    Raises:
        ValueError: a corner is no finite number.
    """
    points = np.asarray(polygon, np.float32).reshape(-1, 2)
    if len(points) < 3:
        return ()
    low, high = points.min(0), points.max(0)
    if (low >= 0).all() and (high <= (width, height)).all():
        return (points,)
    if (high <= 0).any() or (low >= (width, height)).any():
        return ()
    inside = shapely.intersection(_regions([points])[0], shapely.box(0, 0, width, height))
    # What merely touches the border is left as points and lines, beside the polygons.
    parts = shapely.get_parts(shapely.get_parts(inside))
    areas = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    rings = (shapely.get_coordinates(shapely.get_exterior_ring(area)) for area in areas)
    return tuple(ring[:-1].astype(np.float32) for ring in rings)


def box_areas(boxes: ArrayLike) -> Matrix:
    """Areas ``[n]`` of boxes ``[n, 4]`` (left, top, right, bottom); 0 of one turned inside out."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    return np.clip(corners[:, 2:] - corners[:, :2], 0, None).prod(1)


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom); 0 where both are empty."""
    return float(box_overlaps([a], [b]).iou[0, 0])


def box_overlaps(first: ArrayLike, second: ArrayLike) -> Overlaps:
    """Intersections of each box of one group with each of another.

    Args:
        first: ``[n, 4]``, left, top, right, bottom; one without extent is an empty region.
        second: ``[m, 4]``.
    """
    a = np.asarray(first, np.float64).reshape(-1, 4)
    b = np.asarray(second, np.float64).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return Overlaps(np.clip(high - low, 0, None).prod(2), box_areas(a), box_areas(b))


def _regions(polygons: Sequence[NDArray[np.floating]] | NDArray[np.floating]) -> NDArray[Any]:
    """Polygons as valid shapely geometries ``[k]``: polygons, several polygons, or empty."""
    corners = [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    regions = np.full(len(corners), shapely.Polygon(), object)
    some = [k for k, points in enumerate(corners) if len(points) > 2]
    if not some:
        return regions
    rings = [np.concatenate([corners[k], corners[k][:1]]) for k in some]
    owners = np.repeat(np.arange(len(some)), [len(ring) for ring in rings])
    points = np.concatenate(rings)
    bad = ~np.isfinite(points).all(1)
    if bad.any():
        place = int(owners[bad][0])
        raise ValueError(
            f"polygon {some[place]} has the corner {tuple(points[bad][0].tolist())}, expected "
            "finite numbers"
        )
    made = shapely.polygons(shapely.linearrings(points, indices=owners))
    broken = ~shapely.is_valid(made)
    made[broken] = shapely.make_valid(made[broken], method="structure", keep_collapsed=False)
    regions[some] = made
    return regions


def _divided(values: Matrix, by: NDArray[np.float64]) -> Matrix:
    return np.divide(
        values, by, out=np.zeros_like(values), where=np.broadcast_to(by > 0, values.shape)
    )
