"""Rows in a DataFrame of Spark, where pyspark and Java are there (docs/guide/clusters.md says how to install both)."""

import os
import re
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gaussmix import GaussianMixture, select
from gaussmix.data import OnCluster
from gaussmix.sources import SourceError

pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("there is no Java", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # those of Spark change from version to version

RNG = np.random.default_rng(0)
N = 12_000
X = RNG.normal(size=(N, 3)) + RNG.choice([0.0, 4.0, 9.0], size=(N, 1))
W = RNG.random(N)
NAMES = ["a", "b", "c"]
START = dict(weights_init=[0.2, 0.3, 0.5], means_init=[[0.0] * 3, [4.0] * 3, [9.0] * 3], precisions_init=[np.eye(3)] * 3)


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    session = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "4")
               .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate())
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def frame(spark, n_parts=5, rows=X, **more):
    table = pd.DataFrame(rows, columns=NAMES).assign(**more)
    return spark.createDataFrame(spark.sparkContext.parallelize(table.to_numpy().tolist(), n_parts), ", ".join(
        f"{name} {'string' if table[name].dtype.kind not in 'fi' else 'double'}" for name in table))


def model(**parameters):
    return GaussianMixture(3, random_state=0, max_iter=5, tol=0, **parameters)


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_a_fit_is_that_of_the_rows_and_of_the_same_partitions_on_one_machine(spark, quiet):
    from test_clusters import InThisProcess

    rows = frame(spark, 11)
    fitted = model().fit(rows)
    assert list(fitted.feature_names_in_) == NAMES
    np.testing.assert_allclose(fitted.means_, model().fit(X).means_, rtol=1e-10)
    from gaussmix.learning import fitted_by

    ends = np.cumsum(rows.rdd.glom().map(len).collect())
    assert len(ends) == 11
    parts = InThisProcess([(part, None) for part in np.split(X, ends[:-1])])
    one_machine = fitted_by(model(), OnCluster(parts, 100_000, 0))
    assert fitted.mixture_ == one_machine.fit.mixture
    assert fitted.history_ == one_machine.fit.history
    assert model().fit(rows).mixture_ == fitted.mixture_


def test_vectors(spark, quiet):
    from pyspark.ml.feature import VectorAssembler

    rows = VectorAssembler(inputCols=NAMES, outputCol="features").transform(frame(spark))
    fitted = model(**START).fit(rows.select("features"))
    np.testing.assert_allclose(fitted.means_, model(**START).fit(X).means_, rtol=1e-10)
    answers = fitted.predict(rows.select("features")).toPandas()["label"].to_numpy()
    np.testing.assert_array_equal(answers, fitted.predict(X))
    with pytest.raises(ValueError, match="numeric columns or one column of vectors"):
        model().fit(rows)
    beside = rows.select("features", (rows["a"] * 0 + 2).alias("w"))
    np.testing.assert_array_equal(fitted.predict(beside).toPandas()["label"], answers)
    assert fitted.score(beside, sample_weight="w") == pytest.approx(fitted.score(X), rel=1e-10)
    with pytest.raises(SourceError, match="column 0 holds NaN"):
        model().fit(rows.selectExpr("case when a < 0 then null else features end as features"))


def test_weights_are_a_column(spark, quiet):
    rows = frame(spark, w=W)
    expected = model(**START).fit(X, sample_weight=W)
    fitted = model(**START).fit(rows, sample_weight="w")
    np.testing.assert_allclose(fitted.means_, expected.means_, rtol=1e-10)
    assert fitted.score(rows, sample_weight="w") == pytest.approx(expected.score(X, sample_weight=W), rel=1e-10)
    with pytest.raises(TypeError, match="name of one of its columns"):
        model().fit(rows, sample_weight=W)
    with pytest.raises(ValueError, match="has no column 'v'"):
        model().fit(rows, sample_weight="v")


def test_answers_stand_beside_the_rows(spark, quiet):
    rows = frame(spark, number=np.arange(N))
    fitted = model(**START).fit(rows.select(*NAMES))
    table = pd.DataFrame(X, columns=NAMES)
    found = fitted.score_samples(fitted.predict_proba(fitted.predict(rows))).toPandas().sort_values("number")
    np.testing.assert_array_equal(found["label"], fitted.predict(table))
    np.testing.assert_allclose(np.stack(found["responsibilities"]), fitted.predict_proba(table), rtol=1e-12)
    np.testing.assert_allclose(found["log_density"], fitted.score_samples(table), rtol=1e-12)
    for name in ("score", "bic", "aic", "icl"):
        assert getattr(fitted, name)(rows) == pytest.approx(getattr(fitted, name)(table), rel=1e-10)


def test_answers_need_the_features_and_a_free_name(spark, quiet):
    fitted = model(**START).fit(frame(spark))
    rows = frame(spark, label=np.arange(N), log_density=np.ones(N))
    with pytest.raises(ValueError, match="has a column 'label', where the answers would stand"):
        fitted.predict(rows)
    with pytest.raises(ValueError, match="has no column 'b', which the model was fitted to"):
        fitted.predict(rows.select("a", "log_density", "c"))
    assert fitted.score(rows) == pytest.approx(fitted.mixture_.log_likelihood(X) / N, rel=1e-10)
    by_number = model(**START).fit(X)
    with pytest.raises(ValueError, match="X has 4 features, but the model was fitted to 3"):
        by_number.predict(rows.drop("label"))


def test_select(spark, quiet):
    found, expected = (select(rows, [2, 3], n_init=1, random_state=0) for rows in (frame(spark), X))
    assert found.chosen.n_components == expected.chosen.n_components
    assert found.chosen.bic == pytest.approx(expected.chosen.bic, rel=1e-10)


def test_a_bad_row_and_a_bad_column(spark):
    bad = X.copy()
    bad[5_000, 1] = np.nan
    with pytest.raises(SourceError, match=r"Spark DataFrame: block 2, row 5,000: column 1 holds NaN"):
        model().fit(frame(spark, rows=bad))
    with pytest.raises(ValueError, match="column 'word' does not hold numbers, but string"):
        model().fit(frame(spark, word="x"))


def test_partitions_without_rows(spark, quiet):
    rows = frame(spark, 3).filter("a > 2").repartition(2).union(frame(spark, 2).filter("a > 1000"))
    fitted = model(**START).fit(rows)
    np.testing.assert_allclose(fitted.means_, model(**START).fit(X[X[:, 0] > 2]).means_, rtol=1e-10)


def test_a_checkpoint(spark, tmp_path, quiet):
    class Stop(Exception):
        pass

    def stop(iteration, log_likelihood, mixture):
        if iteration == 3:
            raise Stop

    rows = frame(spark)
    with pytest.raises(Stop):
        model(**START, callback=stop).fit(rows, checkpoint=tmp_path / "state", checkpoint_every=1)
    assert model(**START).fit(rows, checkpoint=tmp_path / "state").mixture_ == model(**START).fit(rows).mixture_


def test_as_good_as_mllib(spark, quiet):
    """From its own start MLlib ends at a log-likelihood that is no higher."""
    from pyspark.ml.clustering import GaussianMixture as Theirs
    from pyspark.ml.feature import VectorAssembler

    rows = frame(spark)
    theirs = Theirs(k=3, maxIter=30, tol=1e-3, seed=1).fit(VectorAssembler(inputCols=NAMES, outputCol="features").transform(rows))
    ours = GaussianMixture(3, max_iter=30, tol=1e-6, random_state=0).fit(rows)
    assert N * ours.score(X) >= theirs.summary.logLikelihood - 1e-6 * N


def test_the_code_of_the_guide_runs(spark, quiet, tmp_path, monkeypatch, capsys):
    guide = Path(__file__).resolve().parents[1] / "docs" / "guide" / "clusters.md"
    code, = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert re.search(r"\|label\|count\|", capsys.readouterr().out)
    assert (tmp_path / "mixture.json").exists()
