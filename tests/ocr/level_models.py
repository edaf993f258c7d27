"""Constructed models, right by design: what is bright is text, its bright half the letter."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightbook.inference.onnx import write_metadata

ALPHABET = " ab"
LETTERS = {"a": (255, 64), "b": (64, 255)}
"""Grey of a letter's upper and lower half."""

BLANK_PAPER = 38
"""Grey of the page between words: below the detector's threshold, but not black."""


def write_detector(path: Path, height=100, width=300):
    """A pixel's probability is its brightness."""
    sizes = ["batch", 1, height, width]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "half"], ["probabilities"])],
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, sizes)],
        [numpy_helper.from_array(np.array(0.5, np.float32), "half")],
    )
    return _save(graph, path, {"line": "ocr", "task": "detection"})


def write_recogniser(path: Path):
    """Four columns a frame: "a" or "b" by the brighter half, a blank between words by its grey,
    CTC's blank by blackness. What is half one thing and half another reads as one of them."""
    # of the upper and lower half, from 0 to 1, by class: CTC's blank, " ", "a", "b"
    upper, lower = [-0.5, 0, 1.5, -0.5], [-0.5, 0, -0.5, 1.5]
    weights = 40 * np.array([upper, lower], np.float32)
    bias = 40 * np.array([0.075, 0, -0.3, -0.3], np.float32) + 0.5 * weights.sum(0)
    nodes = [
        helper.make_node(
            "AveragePool", ["line_image"], ["halves"], kernel_shape=[32, 4], strides=[32, 4]
        ),
        helper.make_node("Transpose", ["halves"], ["columns"], perm=[3, 0, 1, 2]),
        helper.make_node("Reshape", ["columns", "shape"], ["frames"]),
        helper.make_node("MatMul", ["frames", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("line_image", TensorProto.FLOAT, ["batch", 1, 64, "width"])],
        [helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["seq", "batch", 4])],
        [
            numpy_helper.from_array(np.array([0, 0, 2]), "shape"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    return _save(graph, path, {"line": "ocr", "task": "recognition", "alphabet": ALPHABET})


def _save(graph, path, facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    write_metadata(path, facts)
    return path


def draw_word(image, left, top, text, letter=24, height=32):
    """Letters beside one another, uint8; two alike must not follow one another."""
    middle = top + height // 2
    for place, character in enumerate(text):
        columns = slice(left + place * letter, left + (place + 1) * letter)
        image[top:middle, columns], image[middle : top + height, columns] = LETTERS[character]


def blank_page(height=100, width=300):
    return np.full((height, width), BLANK_PAPER, np.uint8)
