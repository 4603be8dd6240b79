"""Retrains the shipped models: python models/train/train.py [name …] [--check] [--pickle DIR]

Without --check it overwrites models/<name>/<version>/ and models/<name>/traffic.csv and copies the metrics into the
tables of models/README.md. With --check it retrains into a temporary folder, compares with what is committed, and exits
1 on a difference. With --pickle the fitted scikit-learn pipelines are saved too, as DIR/<name>/<version>/model.pkl: what
a model server in Python serves where the gateway embeds the ONNX file.
"""

import argparse
import importlib
import pickle
import sys
import tempfile
from pathlib import Path

import yaml

from manifest import Model, write_model
from tables import write_tables

MODELS = Path(__file__).resolve().parent.parent
NAMES = ("flight-delay", "digits", "tumour-risk")
# Another processor may add floats in another order; a metric that moves more than this is another model.
METRIC_TOLERANCE = 1e-3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"one of {', '.join(NAMES)}; all of them when none is given"
    )
    parser.add_argument(
        "--check", action="store_true", help="retrain elsewhere and compare with the committed manifests"
    )
    parser.add_argument("--pickle", type=Path, metavar="DIR", help="also save the fitted pipelines below DIR")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no model is called {', '.join(unknown)}: expected {', '.join(NAMES)}")
    names = options.names or NAMES
    if not options.check:
        for name in names:
            train(name, MODELS, options.pickle)
            print(f"wrote models/{name}")
        write_tables(MODELS)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            train(name, Path(folder), options.pickle)
        differences = [d for name in names for d in compare(MODELS / name, Path(folder) / name)]
    print("\n".join(differences) or "every metric reproduces")
    return 1 if differences else 0


def train(name: str, folder: Path, pickles: Path | None) -> None:
    model = importlib.import_module(name.replace("-", "_")).build()
    write_model(model, folder)
    if pickles is not None:
        write_pickles(model, pickles)


def write_pickles(model: Model, folder: Path) -> None:
    """Every version's pipeline as `folder`/<name>/<version>/model.pkl; scikit-learn of requirements.txt reads it."""
    for version in model.versions:
        target = folder / model.name / version.version
        target.mkdir(parents=True, exist_ok=True)
        (target / "model.pkl").write_bytes(pickle.dumps(version.pipeline))


def compare(committed: Path, retrained: Path) -> list[str]:
    """One sentence a difference: a metric off by more than METRIC_TOLERANCE, a version on one side only."""
    differences = []
    versions = {path.parent.name for root in (committed, retrained) for path in root.glob("*/model.yaml")}
    for version in sorted(versions):
        label = f"{committed.name} {version}"
        sides = [root / version / "model.yaml" for root in (committed, retrained)]
        if not all(side.exists() for side in sides):
            differences.append(f"{label}: is only in one of the two")
            continue
        before, after = (yaml.safe_load(side.read_text()) for side in sides)
        same = "the same bytes" if before["sha256"] == after["sha256"] else "other bytes"
        print(f"{label}: {same}, retrained", file=sys.stderr)
        old, new = flatten(before["metrics"]), flatten(after["metrics"])
        for key in sorted(old.keys() | new.keys()):
            if key not in old or key not in new or abs(old[key] - new[key]) > METRIC_TOLERANCE:
                differences.append(f"{label}: {key} was {old.get(key)}, is {new.get(key)}")
    return differences


def flatten(metrics: dict) -> dict[str, float]:
    values = {f"overall {key}": value for key, value in metrics["overall"].items()} | {"rows": metrics["rows"]}
    for part in metrics["slices"]:
        values |= {f"{part['name']} {key}": value for key, value in part["metrics"].items()}
    return values


if __name__ == "__main__":
    sys.exit(main())
