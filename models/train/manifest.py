"""Turns one trained version into a folder: model.onnx and model.yaml, in the format of src/models/manifest.ts.

Knows nothing of what a model predicts. The metrics are computed from the ONNX file's own answers, never from
scikit-learn's.
"""

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import yaml

TRAINING = Path(__file__).parent
FRAMEWORKS = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "pandas")
DATATYPES = {"tensor(string)": "BYTES", "tensor(float)": "FP32", "tensor(int64)": "INT64"}
DECILES = np.linspace(0, 1, 11)
TOLERANCE = {"absolute": 1e-5, "relative": 1e-4}


@dataclass
class Version:
    version: str
    description: str
    # The fitted scikit-learn pipeline; `Model.export` makes the ONNX file from it.
    pipeline: Any
    # What this version was fitted on, one column a feature: the source of the profile.
    trained_on: pd.DataFrame


@dataclass
class Model:
    name: str
    script: str
    seed: int
    dataset: dict
    # The first version is the baseline that the others are compared with.
    versions: list[Version]
    # A version's pipeline → its ONNX model, with named inputs and outputs.
    export: Callable[[Any], onnx.ModelProto]
    # Held-out rows: input name → array [rows, width].
    feed: dict[str, np.ndarray]
    truth: np.ndarray
    heldout: str
    # (truth, outputs by name) → metrics; called for all rows and for each slice.
    measure: Callable[[np.ndarray, dict[str, np.ndarray]], dict[str, float]]
    # (truth, outputs by name) → one loss a row, for the paired difference with the baseline.
    loss: Callable[[np.ndarray, dict[str, np.ndarray]], np.ndarray]
    traffic: pd.DataFrame
    slices: dict[str, np.ndarray] = field(default_factory=dict)


class Flow(dict):
    """A mapping that is written on one line."""


class Dumper(yaml.SafeDumper):
    pass


Dumper.add_representer(
    Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)


def write_model(model: Model, folder: Path) -> None:
    """Writes every version of `model` and its traffic.csv under `folder`/<name>."""
    baseline = None
    for version in model.versions:
        target = folder / model.name / version.version
        target.mkdir(parents=True, exist_ok=True)
        exported = model.export(version.pipeline)
        exported.doc_string = f"{model.name} {version.version}"
        data = exported.SerializeToString(deterministic=True)
        session = open_session(data)
        outputs = run(session, model.feed)
        baseline = baseline if baseline is not None else model.loss(model.truth, outputs)
        manifest = describe(model, version, data, session, outputs, baseline)
        (target / "model.onnx").write_bytes(data)
        text = yaml.dump(manifest, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**9)
        (target / "model.yaml").write_text(text)
    model.traffic.to_csv(folder / model.name / "traffic.csv", index=False)


def describe(model, version, data, session, outputs, baseline) -> dict:
    return {
        "name": model.name,
        "version": version.version,
        "description": version.description,
        "file": "model.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "signature": {
            "inputs": [tensor_spec(t) for t in session.get_inputs()],
            "outputs": [tensor_spec(t) for t in session.get_outputs()],
        },
        "provenance": {
            "dataset": model.dataset,
            "code": {
                "revision": "sha256:"
                + digest_files(TRAINING / f for f in ("manifest.py", "export.py", model.script, "requirements.txt")),
                "command": f"python models/train/train.py {model.name}",
                "seed": model.seed,
            },
            "frameworks": {"python": platform.python_version()} | {name: package_version(name) for name in FRAMEWORKS},
        },
        "profile": {
            "rows": len(version.trained_on),
            "features": [profile(name, column) for name, column in version.trained_on.items()],
        },
        "metrics": measure(model, version, outputs, baseline),
        "golden": {"tolerance": Flow(TOLERANCE), "vectors": golden(model, session, outputs)},
    }


def measure(model, version, outputs, baseline) -> dict:
    """Metrics over the held-out rows; a version that is not the baseline also gets its paired loss difference D."""
    difference = model.loss(model.truth, outputs) - baseline

    def over(rows):
        metrics = model.measure(model.truth[rows], {name: values[rows] for name, values in outputs.items()})
        if version is not model.versions[0]:
            metrics |= {"loss_difference_mean": difference[rows].mean(), "loss_difference_sd": difference[rows].std()}
        return Flow({name: round(float(value), 6) for name, value in metrics.items()})

    return {
        "dataset": model.heldout,
        "rows": len(model.truth),
        "overall": over(np.ones(len(model.truth), bool)),
        "slices": [Flow(name=name, rows=int(rows.sum()), metrics=over(rows)) for name, rows in model.slices.items()],
    }


def golden(model, session, outputs) -> list[dict]:
    """Eight held-out rows, the surest class 0 to the surest last class: the first alone, the others as one batch."""
    label, probabilities = outputs.values()
    order = np.lexsort((probabilities[:, -1], label))
    picks = order[np.linspace(0, len(order) - 1, 8).astype(int)]
    vectors = []
    for rows in (picks[:1], picks[1:]):
        feed = {name: values[rows] for name, values in model.feed.items()}
        vectors.append(
            {
                "inputs": [golden_tensor(t, feed[t.name]) for t in session.get_inputs()],
                "outputs": [
                    golden_tensor(t, values)
                    for t, values in zip(session.get_outputs(), session.run(None, feed), strict=True)
                ],
            }
        )
    return vectors


def golden_tensor(spec, values: np.ndarray) -> Flow:
    data = [number(v) for v in values.ravel()]
    return Flow(name=spec.name, datatype=DATATYPES[spec.type], shape=list(values.shape), data=data)


def tensor_spec(tensor) -> Flow:
    shape = [d if isinstance(d, int) else -1 for d in tensor.shape]
    return Flow(name=tensor.name, datatype=DATATYPES[tensor.type], shape=shape)


def profile(name: str, column: pd.Series) -> Flow:
    if not pd.api.types.is_numeric_dtype(column):
        shares = column.value_counts(normalize=True).sort_index()
        return Flow(
            name=name, kind="categorical", categories=[Flow(value=str(v), share=round(s, 6)) for v, s in shares.items()]
        )
    values = column.to_numpy(np.float64)
    low, high = float(f"{values.min():.6g}"), float(f"{values.max():.6g}")
    quantiles = [float(f"{q:.6g}") for q in np.quantile(values, DECILES)]
    return Flow(name=name, kind="numeric", min=low, max=high, mean=float(f"{values.mean():.6g}"), quantiles=quantiles)


def number(value):
    """The shortest text that reads back as the same float32."""
    if isinstance(value, np.floating):
        return float(str(np.float32(value)))
    return int(value) if isinstance(value, np.integer) else str(value)


def open_session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(session, feed) -> dict[str, np.ndarray]:
    return dict(zip([t.name for t in session.get_outputs()], session.run(None, feed), strict=True))


def digest_files(files) -> str:
    """sha256 over the bytes of `files`, one after another."""
    return hashlib.sha256(b"".join(Path(f).read_bytes() for f in files)).hexdigest()
