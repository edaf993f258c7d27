"""The ``sightbook`` command. Commands import what they need when they run, so that help and
prediction stay fast and free of torch.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import sightbook
from sightbook.lines import LINES, LineError, line_module
from sightbook.params import ParameterError, read_yaml, repository_root
from sightbook.runs.run import RunError


class UsageError(RuntimeError):
    """A command line that asks for something that is not there."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(sightbook.__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Train, evaluate, export and use vision models, notebook by notebook.

    A line is one problem (donut reads documents, docclass names their type). Its notebooks 01 to 04
    prepare data, train, evaluate and export; every run leaves its record in outputs/LINE/RUN.

    \b
    First steps:
      sightbook doctor                           what is installed, what is missing
      sightbook demo donut                       the whole way, in minutes
      sightbook run 02_train_donut -p epochs 10  one notebook with other parameters
      sightbook predict donut photo.jpg --json   use the result
    """


@app.command()
@click.argument("notebook")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="YAML file of parameters; may be repeated, a later one wins.",
)
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    nargs=2,
    metavar="NAME VALUE",
    help="One parameter; may be repeated, wins over -f.",
)
@click.option(
    "--run",
    "run_name",
    help="The run's name (short for -p run NAME). A run of that name that was cut off goes on.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of all runs, not 'outputs'.")
def run(
    notebook: str,
    files: tuple[Path, ...],
    parameters: tuple[tuple[str, str], ...],
    run_name: str | None,
    out: Path | None,
) -> None:
    """Run NOTEBOOK (a name in notebooks/ or a path) and file what it made.

    It is the papermill run, made comfortable: parameters are checked before a kernel starts, the
    notebook's output appears here as it comes, the executed notebook and report.html go into its
    run folder, and the exit code is true: 0 only if every cell ran, 1 for an exception or a
    kernel that was killed, 130 for Ctrl-C. `sightbook params NOTEBOOK` lists the parameters.

    \b
    Examples:
      sightbook run 02_train_donut -f params/donut/gpu.yaml -p epochs 10 --run big
      sightbook run 03_evaluate_donut -p run big
    """
    given: dict[str, Any] = {}
    for path in files:
        given |= read_yaml(path)
    given |= dict(parameters)
    if run_name is not None:
        given["run"] = run_name
    sys.exit(_run_notebook(notebook, given, shlex.join(["sightbook", *sys.argv[1:]]), out))


def _run_notebook(name: str, given: dict[str, Any], command: str, out: Path | None = None) -> int:
    """Run one notebook, write its report, say where everything is; return the exit code."""
    from sightbook.runs import notebooks, report
    from sightbook.runs import run as runs

    path = notebooks.find_notebook(name)
    with notebooks.environment({runs.OUTPUTS: str(out.resolve())} if out else {}):
        outcome = notebooks.run_notebook(path, given, command=command)
    if outcome.traceback:
        print(outcome.traceback, file=sys.stderr, flush=True)
    if outcome.error:
        print(f"{path.stem} FAILED after {outcome.seconds:.0f} s: {outcome.error}", file=sys.stderr)
    else:
        print(f"{path.stem} done in {outcome.seconds:.0f} s")
    print(f"  notebook  {outcome.notebook}")
    print(f"  report    {report.write_report(outcome.folder)}", flush=True)
    return 130 if outcome.interrupted else int(outcome.error is not None)


@app.command()
@click.argument("line", default=next(iter(LINES)))
def demo(line: str) -> None:
    """Walk LINE from data to an exported model, as run 'demo'.

    Runs the line's notebooks 01 to 04. Training takes params/LINE/demo.yaml (or the one file there
    that ends in _demo.yaml), another stage demo.STAGE.yaml if there is one. Of a line with several
    networks each is trained by its TASK_demo.yaml as run 'demo_TASK'. A demo that was cut off goes
    on; a complete one starts anew.
    """
    from sightbook.runs import notebooks, report
    from sightbook.runs import run as runs

    steps = _walk(line)
    outputs = runs.outputs_root() / line
    names = list(dict.fromkeys(step.run for step in steps))
    for name in names:
        # Each run's own last stage: a complete demo starts anew, another one goes on.
        runs.discard_complete(outputs / name, [s.stage for s in steps if s.run == name][-1])
    for number, step in enumerate(steps, start=1):
        of_run = f" ({step.run})" if len(names) > 1 else ""
        print(f"\n=== {number}/{len(steps)} {step.notebook.stem}{of_run}", flush=True)
        given = read_yaml(step.params) if step.params is not None else {}
        model = notebooks.parameters_model(notebooks.read_notebook(step.notebook))
        fields = model.model_fields if model is not None else {}
        given |= {"run": step.run} if "run" in fields else {}
        given |= {"line": line} if "line" in fields else {}
        code = _run_notebook(str(step.notebook), given, f"sightbook demo {line}")
        if code:
            sys.exit(code)
    print(f"\nThe demo of '{line}' is done. Look at:")
    for name in names:
        for what, place in report.landmarks(outputs / name):
            print(f"  {what:<9} {place}")


@dataclass(frozen=True)
class _Step:
    """A notebook of a demo, the stage it is, the run it works on, and its parameters' file."""

    notebook: Path
    stage: str
    run: str
    params: Path | None


def _walk(line: str) -> list[_Step]:
    """Notebooks of a line's demo in their order.

    Raises:
        UsageError: the line has no notebooks.
    """
    from sightbook.runs import notebooks

    root = repository_root()
    folder = root / "params" / line
    own = [
        path
        for path in sorted((root / "notebooks").glob("0[1-3]_*.ipynb"))
        if path.stem.endswith(f"_{line}")
        or notebooks.parameters_reference(path).startswith(f"sightbook.{line}.")
    ]
    if not own:
        raise UsageError(f"line '{line}' has no notebooks 01 to 03 in {root / 'notebooks'}")
    tasks = [path.stem.removeprefix("02_train_") for path in own if "_train_" in path.stem]
    trained = ["demo"] if len(tasks) == 1 else [f"demo_{task}" for task in tasks]
    steps = []
    for path in own:
        stage = path.stem.split("_")[1]
        task = path.stem.removeprefix("02_train_")
        alone = stage != "train" or len(tasks) == 1
        file = _demo_file(folder, stage) if alone else folder / f"{task}_demo.yaml"
        run = "demo" if alone else f"demo_{task}"
        steps.append(_Step(path, stage, run, file))
    # Export is one notebook for all lines.
    export = root / "notebooks" / "04_export.ipynb"
    return steps + [_Step(export, "export", run, _demo_file(folder, "export")) for run in trained]


def _demo_file(folder: Path, stage: str) -> Path | None:
    """Parameters of the demo's stage, if there are any."""
    suffix = "yaml" if stage == "train" else f"{stage}.yaml"
    named = [folder / f"demo.{suffix}", *sorted(folder.glob(f"*_demo.{suffix}"))]
    return next((file for file in named if file.is_file()), None)


@app.command()
@click.argument("notebook")
def params(notebook: str) -> None:
    """List the parameters of NOTEBOOK: name, type, default, meaning.

    First those that its parameters cell shows, then all others; -p and -f take every one.
    """
    from sightbook.params import other_parameters_source
    from sightbook.runs import notebooks

    path = notebooks.find_notebook(notebook)
    content = notebooks.read_notebook(path)
    source, model = notebooks.parameters_cell(content), notebooks.parameters_model(content)
    if source is None:
        print(f"{path.stem} takes no parameters")
        return
    lines = [line for line in source.splitlines() if line.strip() and not line.startswith("#")]
    print("\n".join(lines))
    others = other_parameters_source(model) if model is not None else ""
    if others:
        print(f"\n# not in its parameters cell, and taken by name as well:\n{others}")


_OWN = "sightbook.predict"
"""In a click context: the line that is named, and the options that it registers."""


class _PredictCommand(click.Command):
    """Takes, beside the options of all lines, those that the line named registers."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        line = next((arg for arg in args if arg in LINES), None)
        if line is not None:
            own = line_module(line, "predict").OPTIONS
            ctx.meta[_OWN] = line, [_click_option(option) for option in own]
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption:
            wanted = [arg for arg in args if not arg.startswith("-")]
            if line is None and wanted:
                line_module(wanted[0], "predict")  # says which lines there are
            raise

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        _, own = ctx.meta.get(_OWN, ("", []))
        return [*super().get_params(ctx), *own]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        line, own = ctx.meta.get(_OWN, ("", []))
        every = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        shared = [param for param in every if param not in own]
        for title, params in (("Options", shared), (f"Options of {line}", own)):
            records = [param.get_help_record(ctx) for param in params]
            rows = [record for record in records if record is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _click_option(option: Any) -> click.Option:
    """A line's `predicting.Option` for the command line."""
    flag = "--" + option.name.replace("_", "-")
    if option.type is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    kind: Any = option.type
    if option.choices:
        kind = click.Choice(option.choices)
    elif option.type is Path:
        kind = click.Path(path_type=Path)
    return click.Option(
        [flag, option.name],
        type=kind,
        default=None,
        help=f"{option.help[:1].upper()}{option.help[1:]}.",
        hidden=bool(option.instead),
    )


@app.command(cls=_PredictCommand)
@click.argument("line")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", is_flag=True, help="Print one JSON object a line per picture.")
@click.option(
    "--model", help="Model file or folder, a run's name, 'latest' or 'reference' (the shipped one)."
)
@click.option(
    "--render",
    is_flag=False,
    flag_value="rendered",
    metavar="[DIR]",
    help="Folder for copies of the pictures with what was found drawn on them.",
)
@click.option(
    "-o",
    "--option",
    "others",
    multiple=True,
    nargs=2,
    metavar="NAME VALUE",
    help="Older spelling of --NAME VALUE; goes with release 0.3.",
)
@click.pass_context
def predict(
    ctx: click.Context,
    line: str,
    files: tuple[Path, ...],
    others: tuple[tuple[str, str], ...],
    **options: Any,
) -> None:
    """Read FILES (pictures, folders, multi-page TIFF, PDF) with an exported model of LINE.

    Needs onnxruntime, numpy and an image library, no torch. `sightbook predict LINE --help` lists
    the line's own options too. The exit code is 0 if every picture was read, 1 if one could not be,
    2 for a command line that cannot be carried out.

    \b
    Examples:
      sightbook predict donut passport.jpg --json
      sightbook predict donut scans/ --model outputs/donut/big
      sightbook predict docclass --register templates/ photo.jpg
      sightbook predict defects road.jpg --json --model potholes
      sightbook predict headstamps bases.jpg --render drawn/ --strips strips/
    """
    from sightbook.inference.command import CommandError

    module = line_module(line, "predict")
    options |= _older_spelling(ctx, line, others, module.OPTIONS)
    render = options["render"]
    if render is not None and Path(render).is_file():
        raise UsageError(
            f"--render {render}: is a file, a folder to write to is expected; put --render last, "
            "or name one"
        )
    try:
        sys.exit(module.command(list(files), options))
    except CommandError as error:
        print(f"sightbook: {error}", file=sys.stderr)
        sys.exit(2)


def _older_spelling(
    ctx: click.Context, line: str, others: tuple[tuple[str, str], ...], own: Sequence[Any]
) -> dict[str, Any]:
    """Options given as ``-o NAME VALUE``, by name."""
    import yaml

    names = ["json", "model", "render", *(option.name for option in own)]
    known = {
        param.name: param
        for param in ctx.command.get_params(ctx)
        if isinstance(param, click.Option) and param.name in names
    }
    given = {}
    for spelled, value in others:
        name = spelled.replace("-", "_")
        if name not in known:
            told = ", ".join(str(one) for one, param in known.items() if not param.hidden)
            raise click.UsageError(f"{line} knows no option {spelled}; there are {told}", ctx)
        if yaml.safe_load(value) is not None:
            given[name] = known[name].type_cast_value(ctx, value)
    if given:
        spelled = next(iter(given))
        renamed = {option.name: option.instead for option in own if option.instead}
        today = renamed.get(spelled, spelled).replace("_", "-")
        print(
            f"sightbook: -o {spelled} VALUE is written --{today} VALUE now; -o goes with release "
            "0.3",
            file=sys.stderr,
        )
    return given


@app.command()
@click.argument("line", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def runs(line: str | None, as_json: bool) -> None:
    """List the runs, of LINE or of all, oldest first: when, name, stages and their status."""
    from sightbook.runs.run import list_runs, outputs_root, read_json, status_of

    folders = list_runs(line)
    if not folders and not as_json:
        print(f"no runs yet under {outputs_root()}")
    for folder in folders:
        facts = read_json(folder / "run.json")
        stages = {facts.get("stage"): facts, **facts.get("stages", {})}
        states = {stage: status_of(record) for stage, record in stages.items()}
        if as_json:
            final = folder / "metrics.json"
            metrics = read_json(final) if final.is_file() else {}
            print(json.dumps({"path": str(folder), "stages": states, "metrics": metrics}))
            continue
        when = str(facts.get("created", ""))[:16].replace("T", " ")
        summary = ", ".join(f"{stage} {state}" for stage, state in states.items())
        print(f"{when:<16}  {folder.parent.name + '/' + folder.name:<32}  {summary}")


@app.command()
@click.argument("run")
def report(run: str) -> None:
    """Write report.html of RUN (LINE/NAME, LINE/latest or a folder) again and print its path.

    It is one file that opens offline.
    """
    from sightbook.runs.report import write_report
    from sightbook.runs.run import find_run

    line, _, name = run.rpartition("/")
    if not Path(run).is_dir() and not line:
        raise UsageError(f"which line's run is '{run}'? Write LINE/{run}, or a folder's path")
    print(write_report(Path(run) if Path(run).is_dir() else find_run(line, name)))


@app.command()
def doctor() -> None:
    """Check this machine: packages, GPU, memory, disk, fonts, tools, logins.

    Says of each what was found and, if something is missing, what to do. The exit code is 1 if
    something is missing that every notebook needs.
    """
    from sightbook.runs.doctor import examine, show

    findings = examine()
    print(show(findings))
    sys.exit(any(finding.level == "missing" for finding in findings))


def main() -> None:
    """Entry point: an error the user can mend is one sentence, not a traceback."""
    try:
        app(prog_name="sightbook")
    except (LineError, ParameterError, RunError, UsageError) as error:
        print(f"sightbook: {error}", file=sys.stderr)
        sys.exit(1)
