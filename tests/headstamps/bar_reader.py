"""A recogniser of one letter, small enough to be seen through: a dark bar in a line's upper half is
an I."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightbook.inference.onnx import write_metadata


def write_bar_reader(file, **facts):
    """Write it as an exported recogniser of the OCR line with the alphabet " I"."""
    constants = {
        "from": np.array([8]),
        "to": np.array([32]),
        "rows": np.array([2]),
        "shape": np.array([0, 0, 1]),
        "gain": np.array([-40.0], np.float32),
        "threshold": np.array([-10.0], np.float32),
        "zero": np.array([0.0], np.float32),
        "never": np.array([-1000.0], np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["line", "from", "to", "rows"], ["upper"]),
        helper.make_node(
            "AveragePool", ["upper"], ["pooled"], kernel_shape=[24, 4], strides=[24, 4]
        ),
        helper.make_node("Transpose", ["pooled"], ["frames"], perm=[3, 0, 1, 2]),
        helper.make_node("Reshape", ["frames", "shape"], ["dark"]),
        helper.make_node("Mul", ["dark", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "threshold"], ["bar"]),
        helper.make_node("Mul", ["dark", "zero"], ["blank"]),
        helper.make_node("Add", ["blank", "never"], ["space"]),
        helper.make_node("Concat", ["blank", "space", "bar"], ["scores"], axis=2),
        helper.make_node("LogSoftmax", ["scores"], ["log_probs"], axis=2),
    ]
    line = helper.make_tensor_value_info("line", TensorProto.FLOAT, ["n", 1, 64, "w"])
    read = helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["t", "n", 3])
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "bars", [line], [read], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, file)
    write_metadata(file, {"line": "ocr", "task": "recognition", "alphabet": " I", **facts})
    return file
