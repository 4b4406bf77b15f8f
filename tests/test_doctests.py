"""The examples in the docstrings run, in modules of Python and in compiled ones."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import gaussmix

MODULES = ["gaussmix", *(module.name for module in pkgutil.walk_packages(gaussmix.__path__, "gaussmix."))]


def docstrings(module):
    """What a module defines, with its docstring: classes, their methods, functions (compiled ones are not found by doctest)."""
    def own(value):
        return getattr(value, "__module__", None) == module.__name__

    yield module.__name__, module.__doc__
    for name, value in vars(module).items():
        if own(value) and isinstance(getattr(value, "__doc__", None), str):
            yield name, value.__doc__
            for inner, method in vars(value).items() if isinstance(value, type) else ():
                if isinstance(getattr(method, "__doc__", None), str) and not inner.startswith("__"):
                    yield f"{name}.{inner}", method.__doc__


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name.startswith(("gaussmix.plotting", "gaussmix.estimator", "gaussmix.selection")):
        pytest.importorskip("matplotlib").use("Agg")
    if name == "gaussmix.onnx_export":
        pytest.importorskip("skl2onnx")
    module = importlib.import_module(name)
    for where, text in docstrings(module):
        test = doctest.DocTestParser().get_doctest(text or "", dict(vars(module)), f"{name}:{where}", None, 0)
        problems = []
        with np.printoptions():  # an example that sets them does not disturb the next
            doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=problems.append)
        assert not problems, "".join(problems)


def test_examples_are_found_in_compiled_modules():
    module = importlib.import_module("gaussmix._core.linalg")
    assert any(">>>" in (text or "") for _, text in docstrings(module))


@pytest.mark.parametrize("face", [gaussmix.GaussianMixture, gaussmix.Mixture])
def test_public_classes_have_examples(face):
    assert ">>>" in face.__doc__
