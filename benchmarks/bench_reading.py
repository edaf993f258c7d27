"""Reading with the shipped model: whole documents, and decoding beside transformers' generate.

One CPU thread. Run by hand: `python benchmarks/bench_reading.py`.
"""

from sightbook.donut.zone import export as exporting
from sightbook.donut.zone import task as reader
from sightbook.figures.tables import Table
from sightbook.params import repository_root
from sightbook.training.weights import weights_file

REFERENCE = repository_root() / "outputs" / "reference" / "donut"
REPEATS = 30

if __name__ == "__main__":
    lines, texts = exporting.sample_lines(20)
    print(Table([exporting.measure(REFERENCE, "float32", lines, texts, REPEATS)]))
    model = reader.load_reader(weights_file(REFERENCE, reader.WEIGHTS))
    print(Table([exporting.decoding_speed(model, REFERENCE, lines, REPEATS)]))
