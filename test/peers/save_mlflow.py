"""Saves pickled pipelines as MLflow models: python save_mlflow.py PICKLES TARGET

PICKLES/<name>/<version>/model.pkl becomes TARGET/<name>/<version>/. What is served are the probabilities, not the labels:
MLflow's server answers one of the two. A pipeline that was fitted on named columns gets a signature, so that the server
refuses a request without one of them; the others take a matrix, as most models that were logged without one do.
"""

import logging
import pickle
import sys
from pathlib import Path

import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature

SHIPPED = Path(__file__).resolve().parents[2] / "models"


def main() -> None:
    pickles, target = (Path(folder) for folder in sys.argv[1:])
    # It warns of pickles, which are what this is about.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    for file in sorted(pickles.glob("*/*/model.pkl")):
        name, version = file.parent.parts[-2:]
        pipeline = pickle.loads(file.read_bytes())
        mlflow.sklearn.save_model(
            pipeline,
            target / name / version,
            pyfunc_predict_fn="predict_proba",
            serialization_format="pickle",
            # The server runs in this very environment; looking packages up would take a minute.
            pip_requirements=[],
            signature=signature(name, pipeline),
        )


def signature(name: str, pipeline):
    columns = getattr(pipeline, "feature_names_in_", None)
    if columns is None:
        return None
    rows = pd.read_csv(SHIPPED / name / "traffic.csv", nrows=5)[list(columns)]
    numbers = rows.select_dtypes("number").columns
    rows = rows.astype(dict.fromkeys(numbers, "float32"))
    return infer_signature(rows, pipeline.predict_proba(rows))


main()
