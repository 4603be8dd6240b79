"""digits: which digit is an image of 8 × 8 pixels? Half of the rows are held out."""

import hashlib

import numpy as np
import pandas as pd
import sklearn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from export import to_onnx
from manifest import Model, Version

SEED = 0
FIRST_ROWS = 350
MISLABELLED = 0.38
COLUMNS = [f"pixels[{i}]" for i in range(64)]


def build() -> Model:
    pixels, digit = load_digits(return_X_y=True)
    train, heldout, train_digit, truth = train_test_split(
        pixels, digit, test_size=0.5, stratify=digit, random_state=SEED
    )
    versions = [
        Version(
            "1.0.0",
            f"First release: a small neural network on {FIRST_ROWS} labelled images.",
            fit(train[:FIRST_ROWS], train_digit[:FIRST_ROWS]),
            frame(train[:FIRST_ROWS]),
        ),
        Version(
            "1.1.0",
            f"The same network on all training images, but {MISLABELLED:.0%} of the eights are labelled 3: "
            "equal accuracy, made of better answers on the other digits and far worse ones on 8.",
            fit(train, mislabel(train_digit)),
            frame(train),
        ),
        Version(
            "2.0.0",
            "The same network on all training images, labelled correctly.",
            fit(train, train_digit),
            frame(train),
        ),
    ]
    return Model(
        name="digits",
        script="digits.py",
        seed=SEED,
        dataset={
            "name": "scikit-learn digits",
            "version": f"scikit-learn {sklearn.__version__}",
            "origin": "UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, CC BY 4.0), "
            "the test part, as in sklearn.datasets.load_digits",
            "sha256": hashlib.sha256(pixels.astype("<f8").tobytes() + digit.astype("<i8").tobytes()).hexdigest(),
            "split": f"stratified half, seed {SEED}: {len(train)} images for training, {len(heldout)} held out; "
            "sha256 over the pixels as little-endian float64, then the digits as int64",
        },
        versions=versions,
        export=export,
        feed={"pixels": heldout.astype(np.float32)},
        truth=truth,
        heldout=f"scikit-learn digits, {len(heldout)} held-out images",
        measure=measure,
        loss=lambda truth, outputs: (outputs["label"] != truth).astype(np.float64),
        slices={f"digit {d}": truth == d for d in range(10)},
        traffic=pd.DataFrame(heldout.astype(int), columns=COLUMNS).assign(digit=truth),
    )


def fit(pixels, digit):
    network = MLPClassifier((64,), alpha=1, max_iter=600, random_state=SEED)
    return make_pipeline(StandardScaler(), network).fit(pixels, digit)


def export(pipeline):
    return to_onnx(pipeline, "digits", {"pixels": ("FP32", 64)}, "probabilities", 10)


def mislabel(digit: np.ndarray) -> np.ndarray:
    """The defect of 1.1.0: a share of the eights is labelled 3."""
    eights = np.random.default_rng(SEED).permutation(np.flatnonzero(digit == 8))
    labels = digit.copy()
    labels[eights[: round(MISLABELLED * len(eights))]] = 3
    return labels


def measure(truth, outputs) -> dict[str, float]:
    p = outputs["probabilities"].astype(np.float64)
    return {
        "accuracy": np.mean(outputs["label"] == truth),
        "brier": np.mean(np.sum((p - np.eye(10)[truth]) ** 2, axis=1)),
        "log_loss": -np.mean(np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-12))),
    }


def frame(pixels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(pixels, columns=COLUMNS)
