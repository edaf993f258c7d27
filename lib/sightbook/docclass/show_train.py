"""What `02_train_docclass` shows: views before training, unseen types after it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sightbook.docclass.model import Embedder
from sightbook.docclass.params import TrainDocclass
from sightbook.docclass.store import Store, synthetic_store
from sightbook.docclass.synth.views import LEVELS, VIEW_SIDE, plain_pixels, render_view, views_of
from sightbook.docclass.train import VALIDATION_SEED
from sightbook.figures import plots
from sightbook.figures.style import MUTED, PALETTE, rgb, show_image, style_axes
from sightbook.training.task import evaluating


def views_by_level(store: Store, seed: int, templates: int = 4, per_level: int = 2) -> plots.Plot:
    """Templates (first column) and what each level of difficulty makes of them."""
    picked = np.linspace(0, len(store) - 1, min(templates, len(store))).round().astype(int)
    images, titles = [], []
    for index in picked:
        images.append(clean_view(store, index))
        titles.append("template")
        for level in LEVELS:
            for turn in range(per_level):
                rng = np.random.default_rng([seed, int(index), turn])
                aspect = float(store.aspects[index])
                images.append(render_view(store.pixels[index], aspect, rng, level))
                titles.append(level)
    return plots.image_grid(images, titles, columns=1 + len(LEVELS) * per_level, width=13)


def clean_view(store: Store, index: int) -> NDArray[np.uint8]:
    """A stored template as the network gets it when it is registered, ``[128, 128, 3]``."""
    size = (VIEW_SIDE, VIEW_SIDE)
    return np.asarray(cv2.resize(store.pixels[index], size, interpolation=cv2.INTER_AREA), np.uint8)


class Unseen:
    """Types that were not trained on: their templates, views of them, and embeddings of both."""

    def __init__(
        self, params: TrainDocclass, model: Embedder, types: int = 40, views: int = 6
    ) -> None:
        """Draw `types` of the validation's types and `views` of each, and embed them."""
        seed = params.seed + VALIDATION_SEED
        count = min(types, params.validation_classes)
        self.store = synthetic_store(count, seed)
        self.views, self.labels = views_of(self.store, views, "hard", seed + 1)
        self.templates = np.stack([clean_view(self.store, index) for index in range(count)])
        self.ours = embed(model, self.views), embed(model, self.templates)
        self.pixels = plain_pixels(self.views), plain_pixels(self.templates)

    def separation(self) -> plots.Plot:
        """Similarity of views to the template of their own type and of the others."""
        plot = plots.Plot(11, 3.4)
        panels = {"plain 16x16 pixels": self.pixels, "the trained network": self.ours}
        for place, (name, (views, templates)) in enumerate(panels.items()):
            ax = plot.add_subplot(1, 2, place + 1)
            scores = views @ templates.T
            own = self.labels[:, None] == np.arange(len(templates))[None]
            right = (scores.argmax(axis=1) == self.labels).mean()
            style_axes(ax, f"{name}: the right one is nearest for {right:.0%}", grid="y")
            edges = np.linspace(min(-0.5, float(scores.min())), 1, 50).tolist()
            for number, (part, label) in enumerate(((~own, "another type"), (own, "its own type"))):
                color = PALETTE[1 - number]
                ax.hist(
                    scores[part],
                    edges,
                    density=True,
                    color=(*rgb(color), 0.4),
                    ec=color,
                    histtype="stepfilled",
                    label=label,
                )
            ax.set_yticks([])
            ax.set_xlabel("cosine similarity to a template", color=MUTED, fontsize=9)
            ax.legend(frameon=False, fontsize=8, loc="upper left")
        return plot

    def answers(self, count: int = 10) -> plots.Plot:
        """Views (above) and the template taken for theirs (below); half of them wrong, if any."""
        views, templates = self.ours
        scores = views @ templates.T
        best = scores.argmax(axis=1)
        wrong, right = np.flatnonzero(best != self.labels), np.flatnonzero(best == self.labels)
        picked = [*spread(wrong, count // 2)]
        picked += spread(right, count - len(picked))
        plot = plots.Plot(13, 3.2)
        for place, index in enumerate(picked):
            for row, image in enumerate((self.views[index], self.templates[best[index]])):
                ax = plot.add_subplot(2, count, row * count + place + 1)
                verdict = "right" if best[index] == self.labels[index] else "WRONG"
                show_image(ax, image, f"{verdict} {scores[index].max():.2f}" if row else "")
        return plot


def spread(values: NDArray[np.int64], count: int) -> list[int]:
    """At most `count` of the values, evenly over all of them."""
    if not len(values):
        return []
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [int(value) for value in values[places]]


def embed(model: Embedder, views: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
    """Embed views uint8 ``[n, H, W, 3]`` with PyTorch; float32 ``[n, dim]``."""
    parts = []
    with evaluating(model):
        for start in range(0, len(views), batch):
            part = torch.from_numpy(views[start : start + batch])
            parts.append(model(part.permute(0, 3, 1, 2).float() / 255).numpy())
    return np.concatenate(parts)
