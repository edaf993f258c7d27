"""A detector for tests that finds bright squares of 16 pixels, exported as the real ones are."""

import torch

from sightbook.inference import onnx

CELL = 16


class BrightCells(torch.nn.Module):
    """Each cell of 16 x 16 pixels is an object as certain as it is bright; red ones are class 1."""

    def __init__(self, masks=False):
        super().__init__()
        self.masks = masks

    def forward(self, image):
        cells = torch.nn.functional.avg_pool2d(image[None], CELL)[0]
        bright = cells.amax(0)
        rows, columns = torch.nonzero(bright > 0.02, as_tuple=True)
        corner = torch.stack([columns, rows], 1).float() * CELL
        boxes = torch.cat([corner, corner + CELL], 1)
        labels = (cells[0] > cells[1] + 0.01).long()[rows, columns]
        found = boxes, labels, bright[rows, columns]
        if not self.masks:
            return found
        left_half = (torch.arange(8) < 4).float().expand(8, 8)
        return *found, left_half[None] * torch.ones_like(found[2])[:, None, None]


def write_bright_model(path, *, line="defects", point=None, masks=False, longer_side=4096):
    names = ["boxes", "labels", "scores", "masks"][: 4 if masks else 3]
    axes = {"image": {1: "height", 2: "width"}, **{name: {0: "detections"} for name in names}}
    facts = {
        "line": line,
        "labels": ["grey", "red"],
        "operating_point": point,
        "input": {"longer_side": longer_side},
    }
    sample = (torch.rand(3, 48, 64),)
    return onnx.export(BrightCells(masks), sample, path, ["image"], names, axes, metadata=facts)
