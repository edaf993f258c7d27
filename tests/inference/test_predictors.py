"""One contract of all lines: what an image may be, what comes back, what is refused."""

import io
import json
import warnings

import numpy as np
import pytest
from PIL import Image

from sightbook import defects, docclass, donut, headstamps, ocr
from sightbook.data.images import ImageError, as_pixels, iter_pixels

TEMPLATES = 2
ONE_THREAD = {"threads": 1}


def document():
    from sightbook.donut.synth.documents import render_document

    return render_document(77, 3, (640, 480), "passport").image


def card(index):
    rng = np.random.default_rng(index)
    return np.kron(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), np.ones((20, 20, 1), np.uint8))


def page():
    from sightbook.ocr.synth.pages import render_page

    grey = render_page(0, 1, kind="form", validation=True).image[:320, :400]
    return np.stack([grey] * 3, axis=2)


def surface():
    from sightbook.defects.synth.surfaces import render_surface

    return render_surface(3, 1, kind="road", size=(256, 256)).image


def bases():
    from sightbook.headstamps.synth.photographs import render_headstamps

    return render_headstamps(902, 6, size=224).image


def identifier():
    made = docclass.Predictor(**ONE_THREAD)
    for index in range(TEMPLATES):
        made.register(f"type {index}", card(index))
    return made


LINES = {
    "donut": (lambda: donut.Predictor(**ONE_THREAD), document, "mrz"),
    "docclass": (identifier, lambda: card(1), "type"),
    "ocr": (lambda: ocr.Predictor(**ONE_THREAD), page, "paragraphs"),
    "defects": (lambda: defects.Predictor(**ONE_THREAD), surface, "detections"),
    "headstamps": (lambda: headstamps.Predictor(**ONE_THREAD), bases, "detections"),
}
"""Of each line: its shipped predictor, a picture for it, and what is found on that, by key."""


@pytest.fixture(scope="module", params=LINES)
def line(request):
    """A line's shipped predictor, a picture for it, and what it says of that as an array."""
    make, draw, key = LINES[request.param]
    predictor, pixels = make(), draw()
    expected = said(predictor.predict(pixels))
    assert expected[key]
    return predictor, pixels, expected


def said(result):
    """A result by value: JSON-ready, and without the time that it took."""
    return {name: value for name, value in result.to_dict().items() if name != "seconds"}


def turned_file(pixels):
    """A PNG that holds the picture lying on its side, and says so in its EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(pixels)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def test_an_image_is_an_array_a_pil_image_a_path_or_bytes(line, tmp_path):
    predictor, pixels, expected = line
    json.dumps(expected)
    data = turned_file(pixels)
    file = tmp_path / "turned ü.png"
    file.write_bytes(data)
    for image in (Image.open(file), str(file), file, data):
        assert said(predictor.predict(image)) == expected


def test_a_grey_array_is_read_as_its_colours_are(line):
    predictor, pixels, _ = line
    grey = np.ascontiguousarray(pixels[..., 1])
    assert said(predictor.predict(grey)) == said(predictor.predict(np.stack([grey] * 3, axis=2)))


def test_a_batch_is_a_list_of_the_same_results(line):
    predictor, pixels, expected = line
    found = predictor.predict_batch([Image.fromarray(pixels), pixels])
    assert isinstance(found, list)
    assert [said(one) for one in found] == [expected, expected]
    assert predictor.predict_batch([]) == []


WRONG = {
    "None": (
        None,
        TypeError,
        "is a NoneType, expected a numpy array, a PIL image, a path or bytes",
    ),
    "a number": (7, TypeError, "is a int, expected a numpy array"),
    "floats": (np.zeros((40, 40, 3)), ImageError, r"float64 \[40, 40, 3\], expected uint8 \[H, W"),
    "channels": (np.zeros((40, 40, 4), np.uint8), ImageError, r"expected uint8 \[H, W, 3\]"),
    "nothing": (np.zeros((0, 40, 3), np.uint8), ImageError, "no pixels"),
    "no picture": (b"no picture", ImageError, "not a picture"),
    "no file": ("no such file.png", ImageError, "no such file"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_image_is_refused_in_one_sentence(line, kind):
    image, error, told = WRONG[kind]
    for refused in (lambda: line[0].predict(image), lambda: line[0].predict_batch([image])):
        with pytest.raises(error, match=told) as caught:
            refused()
        assert "\n" not in str(caught.value)


def test_several_where_one_is_expected_and_one_where_several_are(line):
    predictor, pixels, expected = line
    if isinstance(predictor, donut.Predictor):
        with pytest.warns(DeprecationWarning, match="predict_batch takes several"):
            found = predictor.predict([pixels])
        assert [said(one) for one in found] == [expected]
    else:
        with pytest.raises(TypeError, match="predict takes one image, predict_batch takes several"):
            predictor.predict([pixels])
    for single in (pixels, "a.png", b"bytes", Image.fromarray(pixels)):
        with pytest.raises(TypeError, match=r"a single image .* came, expected several"):
            predictor.predict_batch(single)
    with pytest.raises(TypeError, match="expected a list of images, found a int"):
        predictor.predict_batch(7)


def test_former_names_work_with_a_warning(line):
    predictor, pixels, expected = line
    if isinstance(predictor, defects.Predictor | docclass.Predictor):
        assert not hasattr(predictor, "read")
        return
    with pytest.warns(DeprecationWarning, match="is called predict now"):
        read = predictor.read(pixels)
    if isinstance(predictor, headstamps.Predictor):
        assert [head.to_dict() for head in read] == expected["detections"]
        with pytest.warns(DeprecationWarning, match=r"headstamps\.Predictor"):
            assert headstamps.Reader is headstamps.Predictor
    else:
        assert said(read) == expected


def test_parts_of_a_predictor_take_any_image_too(tmp_path):
    pixels = page()
    file = tmp_path / "page.png"
    file.write_bytes(turned_file(pixels))
    reader = ocr.Predictor(**ONE_THREAD)
    np.testing.assert_array_equal(reader.detect(file), reader.detect(pixels))
    (one,), (other,) = reader.read_lines([file]), reader.read_lines([pixels])
    assert one.text == other.text
    inspector = defects.Predictor(**ONE_THREAD, min_score=0.0)
    assert [box.xyxy for box in inspector.detect(Image.open(file))] == [
        box.xyxy for box in inspector.detect(pixels)
    ]
    embedder = docclass.Predictor(**ONE_THREAD)
    embeddings = embedder.embed([Image.open(file), file.read_bytes(), pixels])
    np.testing.assert_array_equal(embeddings[0], embeddings[2])
    np.testing.assert_array_equal(embeddings[1], embeddings[2])


def test_pixels_are_not_copied_and_a_batch_may_be_one_array():
    pixels = page()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_pixels(pixels) is pixels
        several = list(iter_pixels(np.stack([pixels, pixels])))
    assert len(several) == 2 and several[0].shape == pixels.shape
    with pytest.raises(ImageError, match="image 2 of the batch"):
        list(iter_pixels([pixels, np.zeros((4, 4))]))
