"""tumour-risk: is a breast tumour malignant, given 30 measurements of its nuclei? Half of the rows are held out."""

import hashlib

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from export import to_onnx
from manifest import Model, Version

SEED = 0
# Columns of the data set: mean texture, mean smoothness, mean compactness.
FIRST_FEATURES = [1, 4, 5]
TEMPERATURE = 3
COLUMNS = [f"features[{i}]" for i in range(30)]


def build() -> Model:
    data = load_breast_cancer()
    features, malignant = data.data, 1 - data.target
    train, heldout, train_malignant, truth = train_test_split(
        features, malignant, test_size=0.5, stratify=malignant, random_state=SEED
    )
    trained_on = pd.DataFrame(train, columns=COLUMNS)
    first = fit(train, train_malignant, FIRST_FEATURES)
    versions = [
        Version(
            "1.0.0",
            "First release: logistic regression on mean texture, smoothness and compactness.",
            first,
            trained_on,
        ),
        Version(
            "1.1.0",
            f"1.0.0 with a temperature of {TEMPERATURE} that should have softened the score: the score "
            "was multiplied by it, not divided. "
            "Same order of patients, same labels, overconfident.",
            sharpen(first),
            trained_on,
        ),
        Version(
            "2.0.0",
            "Logistic regression on all 30 measurements.",
            fit(train, train_malignant, list(range(30))),
            trained_on,
        ),
    ]
    return Model(
        name="tumour-risk",
        script="tumour_risk.py",
        seed=SEED,
        dataset={
            "name": "scikit-learn breast cancer",
            "version": f"scikit-learn {sklearn.__version__}",
            "origin": "UCI Breast Cancer Wisconsin (Diagnostic) (Wolberg, Mangasarian, Street and Street, CC BY 4.0), "
            "as in sklearn.datasets.load_breast_cancer",
            "sha256": hashlib.sha256(features.astype("<f8").tobytes() + malignant.astype("<i8").tobytes()).hexdigest(),
            "split": f"stratified half, seed {SEED}: {len(train)} tumours for training, {len(heldout)} held out; "
            "class 1 is malignant; "
            "sha256 over the features as little-endian float64, then the classes as int64",
        },
        versions=versions,
        export=export,
        feed={"features": heldout.astype(np.float32)},
        truth=truth,
        heldout=f"scikit-learn breast cancer, {len(heldout)} held-out tumours",
        measure=measure,
        loss=lambda truth, outputs: (outputs["probabilities"][:, 1].astype(np.float64) - truth) ** 2,
        traffic=pd.DataFrame(heldout.astype(np.float32), columns=COLUMNS).assign(malignant=truth),
    )


def fit(features, malignant, columns: list[int]):
    chosen = ColumnTransformer([("chosen", StandardScaler(), columns)])
    return make_pipeline(chosen, LogisticRegression(C=1, max_iter=5000)).fit(features, malignant)


def sharpen(pipeline):
    """The defect of 1.1.0: every logit times the temperature, a monotone transform, so the AUC cannot move."""
    chosen, regression = pipeline[0], pipeline[-1]
    hot = LogisticRegression()
    hot.classes_ = regression.classes_
    hot.n_features_in_ = regression.n_features_in_
    hot.coef_, hot.intercept_ = regression.coef_ * TEMPERATURE, regression.intercept_ * TEMPERATURE
    return make_pipeline(chosen, hot)


def export(pipeline):
    return to_onnx(pipeline, "tumour-risk", {"features": ("FP32", 30)}, "probabilities", 2)


def measure(truth, outputs) -> dict[str, float]:
    p = outputs["probabilities"][:, 1].astype(np.float64)
    return {
        "auc": roc_auc_score(truth, p),
        "brier": np.mean((p - truth) ** 2),
        "log_loss": log_loss(truth, np.clip(p, 1e-7, 1 - 1e-7)),
        "accuracy": np.mean(outputs["label"] == truth),
        "calibration_error": calibration_error(truth, p),
        "overconfident_wrong": np.mean(np.abs(p - truth) > 0.9),
    }


def calibration_error(truth: np.ndarray, p: np.ndarray) -> float:
    """Expected calibration error, ten equal bins (Guo et al., On calibration of modern neural networks, 2017)."""
    bins = np.minimum((p * 10).astype(int), 9)
    return sum(abs(p[bins == b].sum() - truth[bins == b].sum()) for b in range(10)) / len(p)
