"""Picture intake: every kind of file in, an upright RGB array or a named reason out."""

import hashlib
import multiprocessing
import os
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightbook.data import images
from sightbook.data.images import (
    ImageError,
    Skipped,
    TooManySkipped,
    content_hash,
    iter_images,
    open_image,
)

RED, GREEN, BLUE = (200, 30, 40), (20, 160, 60), (30, 50, 190)


def picture(width: int = 48, height: int = 32) -> np.ndarray:
    """A green picture whose upper left quarter is red."""
    pixels = np.full((height, width, 3), GREEN, np.uint8)
    pixels[: height // 2, : width // 2] = RED
    return pixels


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def near(pixel: np.ndarray, colour: tuple[int, int, int], tolerance: int = 4) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= tolerance)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "red_corner", "turned"),
    # Where the stored upper left corner belongs, by the EXIF standard's table for tag 0x0112.
    [
        (1, (0, 0), False),
        (2, (0, -1), False),
        (3, (-1, -1), False),
        (4, (-1, 0), False),
        (5, (0, 0), True),
        (6, (0, -1), True),
        (7, (-1, -1), True),
        (8, (-1, 0), True),
    ],
)
def test_exif_orientation(kind, orientation, red_corner, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(picture()), kind, exif=exif, quality=95)
    pixels = open_image(data)
    assert pixels.shape == ((48, 32, 3) if turned else (32, 48, 3))
    assert near(pixels[red_corner], RED, 12)
    assert (
        sum(near(pixels[corner], RED, 12) for corner in [(0, 0), (0, -1), (-1, 0), (-1, -1)]) == 1
    )
    assert images.image_size(data) == pixels.shape[1::-1]


def test_broken_exif_is_ignored():
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\x01" * 20
    pixels = open_image(encoded(Image.fromarray(picture()), "JPEG", exif=exif, quality=95))
    assert near(pixels[0, 0], RED, 12)


def test_colour_modes():
    rgb = Image.fromarray(picture())
    assert near(open_image(encoded(rgb.convert("CMYK"), "JPEG", quality=95))[0, 0], RED, 12)
    assert near(open_image(encoded(rgb.convert("CMYK"), "TIFF"))[0, 0], RED)
    assert near(open_image(encoded(rgb.quantize(4)))[-1, -1], GREEN)
    grey = open_image(encoded(rgb.convert("L")))
    assert grey.shape == (32, 48, 3)
    assert np.ptp(grey[0, 0]) == 0
    one_bit = open_image(encoded(Image.fromarray(picture()[..., 0] > 100).convert("1")))
    assert near(one_bit[0, 0], (255, 255, 255))
    assert near(one_bit[-1, -1], (0, 0, 0))


def test_transparency_is_laid_on_white():
    rgba = np.dstack([picture(), np.full((32, 48), 255, np.uint8)])
    rgba[-1, -1] = (0, 0, 0, 0)
    rgba[-1, -2] = (0, 0, 0, 128)
    clear = open_image(encoded(Image.fromarray(rgba)))
    assert near(clear[0, 0], RED)
    assert near(clear[-1, -1], (255, 255, 255))
    assert near(clear[-1, -2], (127, 127, 127))
    grey = open_image(encoded(Image.fromarray(rgba).convert("LA")))
    assert near(grey[-1, -1], (255, 255, 255))
    palette = Image.fromarray(picture()).quantize(4)
    index = palette.getpixel((0, 0))
    coded = open_image(encoded(palette, "GIF", transparency=index))
    assert near(coded[0, 0], (255, 255, 255))
    assert near(coded[-1, -1], GREEN)


def test_sixteen_bit_and_float_grey():
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert open_image(encoded(Image.fromarray(values)))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert open_image(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [
        0,
        1,
        128,
        255,
    ]
    unit = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    assert open_image(encoded(Image.fromarray(unit), "TIFF"))[0, :, 1].tolist() == [0, 128, 255, 0]
    signed = np.array([[-100.0, 20.0, 100.0]], np.float32)
    assert open_image(encoded(Image.fromarray(signed), "TIFF"))[0, :, 2].tolist() == [0, 153, 255]


def bomb(side: int) -> bytes:
    """A PNG of some bytes whose header promises side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


def bad_files(folder: Path) -> dict[str, str]:
    """Write one broken file of each kind; gives name -> a word its reason must have."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for name, kind in (
        ("cut.jpg", "JPEG"),
        ("cut.png", "PNG"),
        ("cut.tif", "TIFF"),
        ("cut.webp", "WEBP"),
    ):
        data = encoded(Image.fromarray(noise), kind)
        (folder / name).write_bytes(data[: len(data) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture at all")
    (folder / "text.pdf").write_text("not a document at all")
    (folder / "header.png").write_bytes(encoded(Image.fromarray(noise))[:20])
    (folder / "huge.png").write_bytes(bomb(11_400))
    (folder / "bomb.png").write_bytes(bomb(40_000))
    return {
        "cut.jpg": "cut short",
        "cut.png": "cut short",
        "cut.tif": "cut short",
        "cut.webp": "damaged",
        "empty.jpg": "empty",
        "empty.pdf": "empty",
        "text.jpg": "not a picture",
        "text.pdf": "not a PDF",
        "header.png": "",
        "huge.png": "128,000,000",
        "bomb.png": "too large",
    }


def test_every_broken_kind_has_a_reason_and_ends_nothing(tmp_path):
    expected = bad_files(tmp_path)
    images.save_image(tmp_path / "good.png", picture())
    found = {Path(item.name).name: item for item in iter_images(tmp_path)}
    assert set(found) == {*expected, "good.png"}
    assert found["good.png"].error is None
    assert np.array_equal(found["good.png"].image, picture())
    for name, word in expected.items():
        item = found[name]
        assert item.image is None, name
        assert word in item.error.reason, (name, item.error.reason)
        assert name in item.error.path
        if name.endswith("pdf"):
            continue
        with pytest.raises(ImageError):
            open_image(tmp_path / name)


def test_missing_file_and_small_limit(tmp_path):
    with pytest.raises(ImageError, match=r"nothing\.jpg: no such file"):
        open_image(tmp_path / "nothing.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path)
    data = encoded(Image.fromarray(picture(48, 32)))
    assert open_image(data, max_pixels=48 * 32).shape == (32, 48, 3)
    with pytest.raises(ImageError, match="48 x 32 pixels, more than the limit of 1,535"):
        open_image(data, max_pixels=48 * 32 - 1)


def test_reduced_decoding_keeps_at_least_the_size_asked_for():
    data = encoded(Image.fromarray(picture(800, 480)), "JPEG", quality=95)
    assert open_image(data, at_least=300).shape == (240, 400, 3)
    assert open_image(data, at_least=401).shape == (480, 800, 3)
    assert open_image(data, at_least=4000).shape == (480, 800, 3)
    small = open_image(data, at_least=300)
    assert near(small[5, 5], RED, 12)
    assert near(small[-5, -5], GREEN, 12)


def test_inputs_expand_in_natural_order(tmp_path):
    for name in ("page10.png", "page2.png", "sub/page1.png", ".hidden.png"):
        images.save_image(tmp_path / name, picture(8, 8))
    (tmp_path / "notes.txt").write_text("no picture, and not tried")
    names = [Path(item.name).relative_to(tmp_path).as_posix() for item in iter_images(tmp_path)]
    assert names == ["page2.png", "page10.png", "sub/page1.png"]
    matched = [Path(item.name).name for item in iter_images(str(tmp_path / "page*.png"))]
    assert matched == ["page2.png", "page10.png"]
    odd = tmp_path / "scan[1].png"
    images.save_image(odd, picture(8, 8))
    assert [item.error for item in iter_images([odd])] == [None]
    (tmp_path / "none").mkdir()
    reasons = [
        item.error.reason
        for item in iter_images([tmp_path / "none", tmp_path / "gone.png", tmp_path / "*.xyz"])
    ]
    assert reasons == [
        "no pictures in this folder",
        "no such file or folder",
        "the pattern matches no file",
    ]


def test_pages_of_tiff_and_pdf(tmp_path):
    pages = [Image.new("RGB", (72, 36), colour) for colour in (RED, GREEN, BLUE)]
    for name in ("scan.tif", "scan.pdf"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], resolution=72)
        found = list(iter_images(tmp_path / name, dpi=144))
        assert [item.name for item in found] == [f"{tmp_path / name}#page={n}" for n in (1, 2, 3)]
        for item, colour in zip(found, (RED, GREEN, BLUE), strict=True):
            assert near(item.image[10, 10], colour, 8)
    assert found[0].image.shape == (72, 144, 3), "a 72 x 36 point page at 144 dpi"
    pages[0].save(tmp_path / "one.pdf")
    assert [item.name for item in iter_images(tmp_path / "one.pdf")] == [str(tmp_path / "one.pdf")]
    too_large = list(iter_images(tmp_path / "scan.pdf", dpi=144, max_pixels=1000))
    assert [item.page for item in too_large if item.error] == [1, 2, 3]


def test_second_tiff_page_broken_does_not_hide_the_first(tmp_path):
    first, second = (
        np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8) for seed in (1, 2)
    )
    path = tmp_path / "two.tif"
    Image.fromarray(first).save(path, save_all=True, append_images=[Image.fromarray(second)])
    data = bytearray(path.read_bytes())
    at = data.find(second.tobytes()[:64])
    path.write_bytes(data[: at + 1000])  # pixels and directory of the second page are gone
    found = list(iter_images(path))
    assert np.array_equal(found[0].image, first)
    assert all(item.error for item in found[1:])


def test_skipped_counts_each_name_once_and_stops_with_the_list():
    skipped = Skipped(max_bad=2)
    skipped.add("a.jpg", "empty")
    skipped.add("a.jpg", "empty")
    skipped.add("b.jpg", "truncated")
    assert len(skipped) == 2
    with pytest.raises(TooManySkipped) as stop:
        skipped.add("c.jpg", "not a picture")
    for line in ("a.jpg: empty", "b.jpg: truncated", "c.jpg: not a picture"):
        assert line in str(stop.value)
    assert skipped.to_dict()["skipped"][0] == {"name": "a.jpg", "reason": "empty"}
    with pytest.raises(TooManySkipped):
        Skipped(max_bad=0).add("a.jpg", "empty")


def add_some(path: Path, worker: int) -> None:
    skipped = Skipped(max_bad=1000, path=path)
    for index in range(50):
        skipped.add(f"{index}-{worker if index % 2 else 'shared'}.jpg", f"worker {worker}")


def test_skipped_is_shared_by_workers_through_its_file(tmp_path):
    path = tmp_path / "run" / "skipped.jsonl"
    skipped = Skipped(max_bad=1000, path=path)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=add_some, args=(path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(skipped) == 25 + 3 * 25
    with pytest.raises(TooManySkipped):
        Skipped(max_bad=99, path=path).add("shared.jpg", "one more")


def test_save_and_hash(tmp_path):
    pixels = picture()
    path = images.save_image(tmp_path / "deep" / "a.png", pixels)
    assert np.array_equal(open_image(path), pixels)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
    assert images.content_hash(path) == images.content_hash(path.read_bytes())
    assert images.content_hash(pixels) == images.content_hash(np.asfortranarray(pixels))
    assert images.content_hash(pixels) != images.content_hash(pixels.reshape(48, 32, 3))
    with pytest.raises(ValueError, match="float64"):
        images.save_image(tmp_path / "b.png", pixels / 255.0)
    with pytest.raises(ValueError, match=r"\.xyz"):
        images.save_image(tmp_path / "b.xyz", pixels)


def test_intake_stays_light():
    code = (
        "import sys, sightbook.data.images, sightbook.data.validation\n"
        "import sightbook.donut.dataset.folder\n"
        "print([name for name in ('torch', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_files_hash_is_kept_until_the_file_changes(tmp_path, monkeypatch):
    read = []
    real = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda f, kind: read.append(f.name) or real(f, kind)
    )
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    first = content_hash(file)
    assert content_hash(file) == first == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 2  # written a moment ago: it could change within the clock's grain
    os.utime(file, (1e9, 1e9))
    assert {content_hash(file) for _ in range(3)} == {first}
    assert len(read) == 3
    file.write_bytes(b"two")
    assert content_hash(file) == hashlib.sha256(b"two").hexdigest()


def test_what_was_skipped_is_kept_in_a_runs_file_from_then_on(tmp_path):
    skipped = Skipped(3)
    skipped.add("a.png", "broken")
    (tmp_path / "skipped.jsonl").write_text('{"name": "b.png", "reason": "empty"}\n')
    skipped.keep_in(tmp_path / "skipped.jsonl")
    skipped.add("c.png", "no image")
    other = Skipped(3, tmp_path / "skipped.jsonl")
    assert (
        dict(other) == dict(skipped) == {"a.png": "broken", "b.png": "empty", "c.png": "no image"}
    )
    skipped.keep_in(tmp_path / "skipped.jsonl")
    assert len((tmp_path / "skipped.jsonl").read_text().splitlines()) == 3
