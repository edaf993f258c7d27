"""A model of plain pixels in ONNX, made on the spot: it tells coloured pictures apart."""

import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper


def write_pixel_model(path: Path, weights: str = "pixels", threshold: float | None = 0.6) -> Path:
    """Average 16x16 blocks, centre, and bring to unit length: `feats` [batch, 192]."""
    nodes = [
        helper.make_node(
            "AveragePool", ["img"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]
        ),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1]),
        helper.make_node("Sub", ["flat", "mean"], ["centred"]),
        helper.make_node("LpNormalization", ["centred"], ["feats"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "pixels",
        [helper.make_tensor_value_info("img", TensorProto.FLOAT, ["batch", 3, 128, 128])],
        [helper.make_tensor_value_info("feats", TensorProto.FLOAT, ["batch", 192])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    facts = {"line": "docclass", "dim": 192, "weights": weights}
    if threshold is not None:
        facts["threshold"] = {"value": threshold, "target": 0.01}
    helper.set_model_props(model, {"sightbook": json.dumps(facts)})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path
