"""The lines there are, and where each keeps what the shared commands and notebooks ask it for.

This is the one place outside the lines' own folders that names them: a new line is one entry here.
Modules are named, and imported when they are asked for, so that nothing here loads a line.
"""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType

LINES: dict[str, dict[str, str]] = {
    "donut": {
        "predict": "sightbook.donut.zone.predict",
        "export": "sightbook.donut.zone.export",
    },
    "docclass": {
        "predict": "sightbook.docclass.predict",
        "export": "sightbook.docclass.export",
        "export_params": "sightbook.docclass.params:ExportDocclass",
    },
    "ocr": {
        "predict": "sightbook.ocr.inference.predict",
        "export": "sightbook.ocr.inference.export",
        "export_params": "sightbook.ocr.params:ExportOcr",
    },
    "defects": {
        "predict": "sightbook.defects.predict",
        "export": "sightbook.defects.export",
        "shipped": "potholes",
    },
    "headstamps": {
        "predict": "sightbook.headstamps.predict",
        "export": "sightbook.headstamps.export",
    },
}
"""By line and by what is asked for:

- `predict`: module with `Predictor`, `OPTIONS` and `command(files, options) -> exit code`, free of
  torch (:mod:`sightbook.inference.command`)
- `export`: module with `export_run(run, params) -> Exported` (:mod:`sightbook.inference.export`)
- `export_params`: ``module:Class``, an `ExportModel` with parameters of the line's own; may be left
  out
- `shipped`: of several shipped models the one that `reference` means
  (:mod:`sightbook.inference.models`); left out where one model ships
"""


class LineError(RuntimeError):
    """A line that is not there, or that does not do what is asked."""


def line_module(line: str, task: str) -> ModuleType:
    """Import the module of a line that does a task.

    Args:
        line: its name.
        task: `predict` or `export`.

    Raises:
        LineError: there is no such line, or it does not do this; names the lines that do.
    """
    doing = [name for name, tasks in LINES.items() if task in tasks]
    if line not in doing:
        close = difflib.get_close_matches(line, doing, n=1)
        hint = f", did you mean '{close[0]}'?" if close else f"; there are: {', '.join(doing)}"
        raise LineError(f"no line '{line}' that can {task}{hint}")
    return importlib.import_module(LINES[line][task])
