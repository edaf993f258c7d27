"""Where modules of the flat layout went, for notebooks and scripts written before 2026-12.

`MODULES` is all there is to it: importing an old path, or a name from one, warns and gives what
the new place holds. The table, and this module with it, goes with release 0.3.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

MODULES: dict[str, tuple[str, ...]] = {
    # old path: the modules that hold its public names today, asked in this order
    "sightbook.detection": ("sightbook.defects",),
    "sightbook.detection.evaluate": ("sightbook.defects.evaluate",),
    "sightbook.detection.evaluate_headstamps": ("sightbook.headstamps.evaluate",),
    "sightbook.detection.evaluation_sets": ("sightbook.detection.metrics.sets", "sightbook._moved"),
    "sightbook.detection.headstamp_metrics": ("sightbook.headstamps.metrics",),
    "sightbook.detection.headstamp_render": ("sightbook.headstamps.overlay",),
    "sightbook.detection.headstamp_show": ("sightbook.headstamps.show",),
    "sightbook.detection.label_check": ("sightbook.detection.labels.statistics",),
    "sightbook.detection.merge": ("sightbook.detection.labels.merge",),
    "sightbook.detection.overlay": ("sightbook.detection.inference.overlay",),
    "sightbook.detection.params": (
        "sightbook.defects.params",
        "sightbook.headstamps.params",
    ),
    "sightbook.detection.params_evaluate": (
        "sightbook.defects.params",
        "sightbook.headstamps.params",
    ),
    "sightbook.detection.params_prepare": (
        "sightbook.defects.params",
        "sightbook.headstamps.params",
    ),
    "sightbook.detection.predict": (
        "sightbook.defects.predict",
        "sightbook.detection.inference.predict",
    ),
    "sightbook.detection.predict_headstamps": ("sightbook.headstamps.predict",),
    "sightbook.detection.prepare": (
        "sightbook.detection.labels.prepare",
        "sightbook.defects.prepare",
    ),
    "sightbook.detection.show": ("sightbook.detection.metrics.show",),
    "sightbook.detection.show_data": ("sightbook.detection.labels.show",),
    "sightbook.detection.show_train": ("sightbook.detection.training.show",),
    "sightbook.detection.summary": ("sightbook.detection.metrics.summary",),
    "sightbook.detection.synth": ("sightbook.defects.synth", "sightbook.headstamps.synth"),
    "sightbook.detection.synth.headstamps": ("sightbook.headstamps.synth.photographs",),
    "sightbook.detection.synth.surfaces": ("sightbook.defects.synth.surfaces",),
    "sightbook.detection.train": ("sightbook._moved",),
    "sightbook.detection.training_sets": ("sightbook.detection.training.sets",),
    "sightbook.docclass.show_data": ("sightbook.docclass.prepare",),
    "sightbook.doctor": ("sightbook.runs.doctor",),
    "sightbook.donut.checks": ("sightbook.donut.dataset.checks",),
    "sightbook.donut.evaluate": ("sightbook.donut.zone.evaluate",),
    "sightbook.donut.predict": ("sightbook.donut.zone.predict",),
    "sightbook.donut.prepare": ("sightbook.donut.dataset.prepare",),
    "sightbook.donut.train": ("sightbook.donut.zone.train",),
    "sightbook.exporting": ("sightbook.inference.export",),
    "sightbook.images": ("sightbook.data.images",),
    "sightbook.launch": ("sightbook.training.launch",),
    "sightbook.ocr.engine": ("sightbook.ocr.inference.engine",),
    "sightbook.ocr.evaluate": ("sightbook.ocr.evaluation.evaluate",),
    "sightbook.ocr.overlay": ("sightbook.ocr.pages.overlay",),
    "sightbook.ocr.params_evaluate": ("sightbook.ocr.params",),
    "sightbook.ocr.params_layout": ("sightbook.ocr.params",),
    "sightbook.ocr.params_prepare": ("sightbook.ocr.params",),
    "sightbook.ocr.predict": ("sightbook.ocr.inference.predict",),
    "sightbook.ocr.prepare": ("sightbook.ocr.pages.prepare",),
    "sightbook.ocr.show": ("sightbook.ocr.evaluation.show",),
    "sightbook.ocr.show_layout": ("sightbook.ocr.layout.show",),
    "sightbook.ocr.train_detection": ("sightbook.ocr.detection.train",),
    "sightbook.ocr.train_layout": ("sightbook.ocr.layout.train",),
    "sightbook.ocr.train_recognition": ("sightbook.ocr.recognition.train",),
    "sightbook.onnx": ("sightbook.inference.onnx",),
    "sightbook.plots": ("sightbook.figures.plots",),
    "sightbook.runs": ("sightbook.runs.run",),
    "sightbook.tables": ("sightbook.figures.tables",),
    "sightbook.trained": ("sightbook.inference.models",),
    "sightbook.training": ("sightbook.training.fit",),
    "sightbook.validation": ("sightbook.data.validation",),
    "sightbook.widgets": ("sightbook.figures.browser",),
}


def moved_names(package: str) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package that was a module, or a line, of the old layout.

    Args:
        package: its ``__name__``, a key of `MODULES`.
    """

    def get(name: str) -> Any:
        if not name.startswith("__"):
            for new in MODULES[package]:
                module = importlib.import_module(new)
                if hasattr(module, name):
                    _warn(f"{package}.{name}", f"{new}.{name}")
                    return getattr(module, name)
        raise AttributeError(f"module '{package}' has no attribute '{name}'", name=name, obj=None)

    return get


def install() -> None:
    """Make old paths importable; `sightbook` calls it once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())  # asked last, so it never hides a module that exists


def train(params: Any, run: Any) -> dict[str, Any]:
    """What ``sightbook.detection.train:train`` did: train the line that `params` are of."""
    line: ModuleType = importlib.import_module(f"sightbook.{params.line}.train")
    return line.train(params, run)


def detector_run(line: str, which: str, stage: str, shipped: str = "") -> Any:
    """What ``detection.evaluation_sets.detector_run`` did; `shipped` is in the table of lines."""
    from sightbook.inference.models import trained_run

    return trained_run(line, which, stage)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _Forward()) if fullname in MODULES else None


class _Forward(Loader):
    """A module under the old name whose attributes are those of the new ones."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        news = [importlib.import_module(name) for name in MODULES[module.__name__]]
        _warn(module.__name__, " and ".join(MODULES[module.__name__]))

        def get(name: str) -> Any:
            for new in news:
                if hasattr(new, name):
                    return getattr(new, name)
            raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")

        module.__getattr__ = get  # type: ignore[method-assign]
        module.__doc__ = news[0].__doc__
        module.__path__ = []  # old folders had modules, which are in the table too

    def get_code(self, fullname: str) -> CodeType:
        """What ``python -m OLD`` runs: the new module, in its place."""
        new = MODULES[fullname][0]
        _warn(fullname, new)
        run = f"import runpy; runpy.run_module({new!r}, run_name='__main__', alter_sys=True)"
        return compile(run, fullname, "exec")


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is now {new}; the old path goes with release 0.3",
        DeprecationWarning,
        stacklevel=3,  # whoever imports; warnings passes over importlib's own frames
    )
