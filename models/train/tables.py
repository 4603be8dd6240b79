"""Copies the metrics of the committed manifests into models/README.md, between `<!-- metrics NAME -->` markers."""

import math
import re
from pathlib import Path

import yaml

# model → (metrics shown overall, slices shown, metric shown on a slice)
SHOWN = {
    "flight-delay": (["auc", "accuracy", "brier"], ["origin EWR", "origin JFK", "origin LGA"], "brier"),
    "digits": (["accuracy", "brier"], ["digit 8", "digit 3"], "accuracy"),
    "tumour-risk": (["auc", "accuracy", "brier", "calibration_error"], [], ""),
}


def write_tables(models: Path) -> None:
    readme = models / "README.md"
    text = readme.read_text()
    for name in SHOWN:
        manifests = [yaml.safe_load(path.read_text()) for path in sorted((models / name).glob("*/model.yaml"))]
        block = f"<!-- metrics {name} -->\n{table(name, manifests)}<!-- end -->"
        text = re.sub(rf"<!-- metrics {name} -->.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL)
    readme.write_text(text)


def table(name: str, manifests: list[dict]) -> str:
    """One row a version. D is the loss of a row minus the loss of 1.0.0 on the same row, ± its standard error."""
    shown, slices, slice_metric = SHOWN[name]
    heads = ["version", *(key.replace("_", " ") for key in shown), "D overall, sd"]
    for part in slices:
        heads += [f"{slice_metric} {part}", f"D {part}"]
    lines = [heads, ["---"] * len(heads)]
    for manifest in manifests:
        metrics = manifest["metrics"]
        parts = {part["name"]: part for part in metrics["slices"]}
        cells = [manifest["version"], *(f"{metrics['overall'][key]:.4f}" for key in shown)]
        cells.append(difference(metrics["overall"], metrics["rows"], with_sd=True))
        for part in slices:
            cells += [
                f"{parts[part]['metrics'][slice_metric]:.4f}",
                difference(parts[part]["metrics"], parts[part]["rows"]),
            ]
        lines.append(cells)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def difference(metrics: dict, rows: int, with_sd: bool = False) -> str:
    if "loss_difference_mean" not in metrics:
        return "–"
    mean, sd = metrics["loss_difference_mean"], metrics["loss_difference_sd"]
    text = f"{mean:+.4f} ± {sd / math.sqrt(rows):.4f}"
    return f"{text}, {sd:.3f}" if with_sd else text
