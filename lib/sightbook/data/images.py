"""Picture intake for every line: any file in, an upright RGB array or a clear reason out.

Only numpy and Pillow are imported here (pypdfium2 when a PDF comes along), so that prediction
stays light. What cannot be read never ends a run by itself: :func:`open_image` raises one kind of
error, :func:`iter_images` hands it on beside the picture's name, :class:`Skipped` counts.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]

ImageLike = Pixels | Image.Image | str | Path | bytes
"""What predictors take for an image, see :func:`as_pixels`."""

MAX_PIXELS = 128_000_000
"""Largest picture that is decoded, in pixels (width x height): 384 MB as RGB. Above the 108
megapixels of a telephone camera, below what a decompression bomb needs."""

_KINDS = "bmp dib gif jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())
"""What a folder is searched for, beside ``.pdf``; a file named outright is always tried."""

# The size is checked below against our own, documented limit; Pillow's lower one only warns.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class ImageError(ValueError):
    """A picture that cannot be used: ``path`` says which, ``reason`` says why."""

    def __init__(self, path: str | Path, reason: str = "cannot be read") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class TooManySkipped(RuntimeError):
    """More pictures were unusable than the user allows; the message holds the whole list."""


def open_image(
    source: str | Path | bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: int | None = None,
    name: str | None = None,
) -> Pixels:
    """Read a picture as upright RGB.

    EXIF orientation is applied, transparency is laid on white, CMYK, palette, grey and 1-bit
    pictures become RGB, 16-bit values are scaled by 1/257. Of several frames the first is read.

    Args:
        source: file path, or the file's bytes.
        max_pixels: larger pictures are refused before they are decoded.
        at_least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (much faster) as long as its
            longer side keeps this many pixels; None reads it in full.
        name: what errors call the picture; the path by default.

    Returns:
        uint8 array ``[height, width, 3]``, RGB.

    Raises:
        ImageError: missing, empty, truncated, too large or no picture at all.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "<bytes>")
    with _opened(source, name) as image:
        return _pixels(image, name, max_pixels, at_least)


def as_pixels(image: ImageLike, *, name: str | None = None) -> Pixels:
    """An image in any form that predictors take, as upright RGB.

    Args:
        image: uint8 array ``[height, width, 3]`` (RGB) or ``[height, width]`` (grey), a PIL image
            (its EXIF orientation is applied), a file's path, or a file's bytes.
        name: what errors call the image; a path says its own.

    Returns:
        uint8 array ``[height, width, 3]``, RGB; an RGB array is returned as it is.

    Raises:
        TypeError: it is none of these.
        ImageError: an array of another type or shape, or what :func:`open_image` refuses.
    """
    if isinstance(image, np.ndarray):
        name = name or "the image"
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            found = f"{image.dtype} {list(image.shape)}"
            raise ImageError(
                name, f"an array of {found}, expected uint8 [H, W, 3] (RGB) or [H, W] (grey)"
            )
        if not image.size:
            raise ImageError(name, f"no pixels ({image.shape[1]} x {image.shape[0]})")
        return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    if isinstance(image, Image.Image):
        told = getattr(image, "filename", "") or "the PIL image"
        return _pixels(image, name or str(told), MAX_PIXELS)
    if isinstance(image, str | Path | bytes):
        return open_image(image, name=name)
    if isinstance(image, list | tuple):
        raise TypeError(
            f"{name or 'the image'} is a {type(image).__name__}; predict takes one image, "
            "predict_batch takes several"
        )
    raise TypeError(
        f"{name or 'the image'} is a {type(image).__name__}, expected a numpy array, a PIL image, "
        "a path or bytes"
    )


def iter_pixels(images: Iterable[ImageLike]) -> Iterator[Pixels]:
    """Each of several images as :func:`as_pixels` returns it; errors say which one.

    Raises:
        TypeError: it is a single image, or nothing that holds images.
        ImageError: as :func:`as_pixels`.
    """
    single = isinstance(images, str | Path | bytes | Image.Image)
    if single or (isinstance(images, np.ndarray) and images.ndim < 4):
        kind = type(images).__name__
        raise TypeError(f"a single image ({kind}) came, expected several: put it into a list")
    if not isinstance(images, Iterable):
        raise TypeError(f"expected a list of images, found a {type(images).__name__}")
    return _each_pixels(images)


def _each_pixels(images: Iterable[ImageLike]) -> Iterator[Pixels]:
    for number, image in enumerate(images, start=1):
        path = isinstance(image, str | Path)
        yield as_pixels(image, name=None if path else f"image {number} of the batch")


def image_size(source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height in pixels as :func:`open_image` would return them, from the header alone.

    A PNG's orientation is seen where it stands before the pixels, as it usually does.

    Raises:
        ImageError: as :func:`open_image`, as far as the header shows it.
    """
    name = str(source) if isinstance(source, str | Path) else "<bytes>"
    with _opened(source, name) as image:
        _check_size(image.size, name, max_pixels)
        width, height = image.size
        # TIFF: Pillow gives the size with the orientation applied. PNG: it would decode all
        # pixels to look for EXIF data behind them.
        known = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        turned = known and _orientation(image) in (5, 6, 7, 8)
        return (height, width) if turned else (width, height)


@dataclass(frozen=True)
class LoadedImage:
    """One page of what the user named: its pixels, or the error that took their place.

    Attributes:
        name: the file's path as reached, with ``#page=2`` where the file has several pages.
        path: the file.
        page: counted from 1.
        image: uint8 RGB ``[height, width, 3]``, or None.
        error: set exactly when ``image`` is None.
    """

    name: str
    path: Path
    page: int = 1
    image: Pixels | None = None
    error: ImageError | None = None


def iter_images(
    inputs: str | Path | Iterable[str | Path],
    *,
    dpi: int = 200,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[LoadedImage]:
    """Read all pictures of files, folders (recursively, natural order) and glob patterns.

    Multi-page TIFFs give their pages, PDFs their pages drawn at ``dpi``. Nothing raises: what
    cannot be read, is not there or matches nothing comes as a :class:`LoadedImage` with its error.
    """
    for path in expand_paths(inputs):
        if isinstance(path, ImageError):
            yield LoadedImage(path.path, Path(path.path), error=path)
        elif path.suffix.lower() == ".pdf":
            yield from _pdf_pages(path, dpi, max_pixels)
        else:
            yield from _frames(path, max_pixels)


def expand_paths(inputs: str | Path | Iterable[str | Path]) -> Iterator[Path | ImageError]:
    """Expand files, folders and glob patterns to picture and PDF files, in natural order."""
    for item in [inputs] if isinstance(inputs, str | Path) else inputs:
        path = Path(item).expanduser()
        if path.is_dir():
            files = image_files(path, also=(".pdf",))
            yield from files
            if not files:
                yield ImageError(path, "no pictures in this folder")
        elif path.exists():
            yield path
        elif glob.has_magic(str(path)):
            found = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207
            files = sorted((file for file in found if file.is_file()), key=natural_key)
            yield from files
            if not files:
                yield ImageError(path, "the pattern matches no file")
        else:
            yield ImageError(path, "no such file or folder")


def image_files(folder: str | Path, *, also: tuple[str, ...] = ()) -> list[Path]:
    """Picture files below a folder by suffix, in natural order; hidden ones are left out."""
    folder = Path(folder)
    return sorted(
        (
            path
            for path in folder.rglob("*")
            if (path.suffix.lower() in SUFFIXES or path.suffix.lower() in also)
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and path.is_file()
        ),
        key=natural_key,
    )


def natural_key(path: str | Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``page2`` before ``page10``, folder by folder."""
    parts = Path(path).parts
    return [
        (1, int(piece), "") if piece.isdecimal() else (0, 0, piece.casefold())
        for part in parts
        for piece in [*re.split(r"(\d+)", part), "/"]
        if piece
    ]


class Skipped:
    """The pictures that were left out, each name once, with a limit.

    Args:
        max_bad: so many are tolerated; one more raises :class:`TooManySkipped`.
        path: a ``.jsonl`` file (say, in the run folder) shared by all workers and processes of the
            run. Without it every data loader worker counts for itself.
    """

    def __init__(self, max_bad: int = 100, path: str | Path | None = None) -> None:
        if max_bad < 0:
            raise ValueError(f"max_bad is {max_bad}, expected 0 or more")
        self.max_bad = max_bad
        self.path = Path(path) if path is not None else None
        self._reasons: dict[str, str] = {}
        self._read_to = 0

    def keep_in(self, path: str | Path) -> None:
        """Go on in a file as `path` of the constructor; what was counted so far goes there too."""
        counted, self._reasons = self._reasons, {}
        self.path, self._read_to = Path(path), 0
        for name, reason in counted.items():
            self.add(name, reason)

    def add(self, name: str | Path, reason: str) -> None:
        """Count one picture.

        Raises:
            TooManySkipped: with everything skipped so far, when the limit is passed.
        """
        self.refresh()
        if str(name) not in self._reasons:
            self._reasons[str(name)] = reason
            if self.path is not None:
                line = json.dumps({"name": str(name), "reason": reason}) + "\n"
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # One write to a file opened for appending: workers do not cut into each other.
                with self.path.open("ab", buffering=0) as file:
                    file.write(line.encode())
        if len(self._reasons) > self.max_bad:
            raise TooManySkipped(
                f"{len(self._reasons)} pictures cannot be used, {self.max_bad} are allowed "
                f"(max_bad):\n{self.text()}"
            )

    def refresh(self) -> None:
        """Take in what other workers have written to ``path`` meanwhile."""
        if self.path is None or not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            complete = file.read().rpartition(b"\n")[0]
        if complete:
            self._read_to += len(complete) + 1
        for line in complete.splitlines():
            row = json.loads(line)
            self._reasons.setdefault(row["name"], row["reason"])

    def __len__(self) -> int:
        self.refresh()
        return len(self._reasons)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self.refresh()
        return iter(list(self._reasons.items()))

    def text(self) -> str:
        """One line per picture: name and reason."""
        return "\n".join(f"  {name}: {reason}" for name, reason in self)

    def to_dict(self) -> dict[str, Any]:
        """``{"count", "limit", "skipped": [{"name", "reason"}]}``, ready for JSON."""
        rows = [{"name": name, "reason": reason} for name, reason in self]
        return {"count": len(rows), "limit": self.max_bad, "skipped": rows}


def encode_image(image: Pixels, suffix: str = ".png", *, quality: int = 92) -> bytes:
    """Encode a grey ``[H, W]`` or RGB ``[H, W, 3]`` uint8 array as a file's bytes.

    Args:
        image: pixels.
        suffix: ``.png``, ``.jpg``, ``.webp`` or another that Pillow writes.
        quality: 1 to 100, for JPEG and WebP.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"pixels are {image.dtype}, expected uint8")
    kind = Image.registered_extensions().get(suffix.lower())
    if kind is None:
        raise ValueError(f"cannot write pictures as {suffix!r}; use .png or .jpg")
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": quality} if kind in ("JPEG", "WEBP") else {}
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def save_image(path: str | Path, image: Pixels, *, quality: int = 92) -> Path:
    """Write a picture atomically, in the format of the path's suffix; folders are made."""
    from sightbook.runs.run import write_atomic

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, encode_image(image, path.suffix, quality=quality))
    return path


_SETTLED_NS = 2_000_000_000


def content_hash(source: str | Path | bytes | NDArray[Any]) -> str:
    """SHA-256 in hex of a file, of bytes, or of an array's shape, type and values."""
    if isinstance(source, np.ndarray):
        digest = hashlib.sha256(f"{source.dtype.str}{source.shape}".encode())
        digest.update(np.ascontiguousarray(source).data)
        return digest.hexdigest()
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    path = Path(source).absolute()
    facts = path.stat()
    state = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
    # A file that was changed a moment ago could change once more within the clock's grain.
    if time.time_ns() - facts.st_mtime_ns < _SETTLED_NS:
        return _file_hash(path, state)
    return _known_hash(path, state)


def _file_hash(path: Path, state: tuple[int, int, int]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Splits, leaks and fingerprint of a data set all ask for the hash of every picture.
_known_hash = lru_cache(maxsize=1_000_000)(_file_hash)


def _opened(source: str | Path | bytes, name: str) -> Image.Image:
    """Open without decoding; every way to fail becomes an ImageError."""
    if isinstance(source, bytes):
        empty = not source
        stream: Any = io.BytesIO(source)
    else:
        stream = Path(source)
        if not stream.exists():
            raise ImageError(name, "no such file")
        if stream.is_dir():
            raise ImageError(name, "is a folder")
        if not os.access(stream, os.R_OK):
            raise ImageError(name, "no permission to read it")
        empty = stream.stat().st_size == 0
    if empty:
        raise ImageError(name, "the file is empty (0 bytes)")
    try:
        return Image.open(stream)
    except Image.UnidentifiedImageError:
        raise ImageError(name, "not a picture, or damaged at its beginning") from None
    except Image.DecompressionBombError:
        raise ImageError(name, f"more than {MAX_PIXELS:,} pixels, too large to decode") from None
    except Exception as error:  # decoders raise whatever a damaged header leads them to
        raise ImageError(name, f"damaged header ({_short(error)})") from error


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            name, f"{width} x {height} pixels, more than the limit of {max_pixels:,} pixels"
        )
    if not width or not height:
        raise ImageError(name, f"no pixels ({width} x {height})")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # as in _upright
        return 1


def _pixels(image: Image.Image, name: str, max_pixels: int, at_least: int | None = None) -> Pixels:
    """Decode an opened picture (its current frame) to upright RGB."""
    _check_size(image.size, name, max_pixels)
    try:
        if at_least is not None:
            scale = at_least / max(image.size)
            if scale < 1:
                image.draft(None, tuple(max(1, round(side * scale)) for side in image.size))  # type: ignore[arg-type]
        image.load()
        return np.ascontiguousarray(_rgb(_upright(image)))
    except Exception as error:  # decoders raise whatever damaged data lead them to
        raise ImageError(name, f"damaged or cut short ({_short(error)})") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the pixels: take them as they lie
        return image


def _rgb(image: Image.Image) -> Pixels:
    mode = image.mode
    if mode == "F" or mode.startswith("I"):
        grey = _to_8_bit(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        # White, not black: ink on a transparent page must stay readable.
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        image = Image.alpha_composite(page, layer)
    return np.asarray(image.convert("RGB"))


def _to_8_bit(values: NDArray[Any]) -> Pixels:
    """16-bit pictures by a fixed factor; 32-bit and float ones by the range they use."""
    if values.dtype.kind in "ui" and values.dtype.itemsize == 2:
        return np.round(values / 257.0).astype(np.uint8)
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if low >= 0:
        kind = values.dtype.kind
        ranges = (1.0, 255.0, 65535.0) if kind == "f" else (255.0, 65535.0)
        low, high = 0.0, next((limit for limit in ranges if high <= limit), high)
    return np.round((finite - low) * (255.0 / (high - low or 1.0))).astype(np.uint8)


def _frames(path: Path, max_pixels: int) -> Iterator[LoadedImage]:
    """The pages of a TIFF; of anything else the first frame (animations, depth maps follow it)."""
    try:
        image = _opened(path, str(path))
    except ImageError as error:
        yield LoadedImage(str(path), path, error=error)
        return
    with image:
        try:
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        except Exception:  # a broken page directory: the first page may still be sound
            count = 1
        for page in range(1, count + 1):
            name = str(path) if count == 1 else f"{path}#page={page}"
            try:
                if page > 1:
                    image.seek(page - 1)
                yield LoadedImage(name, path, page, image=_pixels(image, name, max_pixels))
            except ImageError as error:
                yield LoadedImage(name, path, page, error=error)
            except Exception as error:
                damaged = ImageError(name, f"damaged page ({_short(error)})")
                yield LoadedImage(name, path, page, error=damaged)


def _pdf_pages(path: Path, dpi: int, max_pixels: int) -> Iterator[LoadedImage]:
    import pypdfium2 as pdfium

    if path.stat().st_size == 0:
        error = ImageError(path, "the file is empty (0 bytes)")
        yield LoadedImage(str(path), path, error=error)
        return
    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as failure:
        reason = "needs a password" if "assword" in str(failure) else f"not a PDF ({failure})"
        yield LoadedImage(str(path), path, error=ImageError(path, reason))
        return
    try:
        document.init_forms()  # filled-in form fields are drawn only then
        count = len(document)
        if not count:
            yield LoadedImage(str(path), path, error=ImageError(path, "the PDF has no pages"))
        for number in range(1, count + 1):
            name = str(path) if count == 1 else f"{path}#page={number}"
            try:
                page = document[number - 1]
                width, height = (round(side * dpi / 72) for side in page.get_size())
                _check_size((width, height), f"{name} at {dpi} dpi", max_pixels)
                bitmap = page.render(scale=dpi / 72, rev_byteorder=True)
                pixels = np.array(Image.fromarray(bitmap.to_numpy()).convert("RGB"))
                yield LoadedImage(name, path, number, image=pixels)
            except ImageError as error:
                yield LoadedImage(name, path, number, error=error)
            except Exception as failure:
                damaged = ImageError(name, f"damaged page ({_short(failure)})")
                yield LoadedImage(name, path, number, error=damaged)
    finally:
        document.close()


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
