"""Checks of the site without building it: every public name has a page and an example, every script has a page, links work."""

import doctest
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest

import gaussmix
from test_package import ROOT, exists, links_of

DOCS = ROOT / "docs"
REFERENCE = (DOCS / "reference" / "index.rst").read_text(encoding="utf-8")
MODULES = re.findall(r"^   (gaussmix[\w.]*)$", REFERENCE, re.M)
PAGES = sorted(page for page in DOCS.rglob("*.md") if "auto_gallery" not in page.parts)
SCRIPTS = sorted((DOCS / "gallery").glob("plot_*.py"))
OPTIONAL = {"gaussmix.plotting"}  # which needs an extra


def public(name):
    """What a module of the reference offers, by name."""
    if name in OPTIONAL:
        pytest.importorskip("matplotlib")
    module = importlib.import_module(name)
    return {own: getattr(module, own) for own in module.__all__ if own != "__version__"}


def methods(kind):
    """The public methods and documented properties of a class, its own and those of our classes that it inherits."""
    for name, member in inspect.getmembers_static(kind):
        whose = next(base for base in kind.__mro__ if name in vars(base))
        if not name.startswith("_") and whose.__module__.startswith("gaussmix.") and "._core" not in whose.__module__:
            member = getattr(member, "__func__", member)
            if isinstance(member, property) or inspect.isfunction(member):
                yield name, member


def test_the_reference_has_the_public_modules():
    assert {"gaussmix", "gaussmix.functional", "gaussmix.selection", "gaussmix.modelfile", "gaussmix.structures"} <= set(MODULES)
    there = {module.name for module in pkgutil.iter_modules(gaussmix.__path__, "gaussmix.")}
    assert not OPTIONAL & there - set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_page(module):
    """The page of a module lists its classes, functions, warnings and errors: there is nothing else in its `__all__`."""
    for name, value in public(module).items():
        assert inspect.isclass(value) or inspect.isroutine(value), name


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_an_example(module):
    without = [name for name, value in public(module).items() if ">>>" not in (value.__doc__ or "")]
    assert not without


@pytest.mark.parametrize("face", [gaussmix.GaussianMixture, gaussmix.Mixture])
def test_every_public_method_has_an_example(face):
    found = dict(methods(face))
    assert {"save", "load"} <= set(found) and len(found) > 10
    assert not [name for name, method in found.items() if method.__doc__ and ">>>" not in method.__doc__]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere_on_github(page):
    for link in links_of(page.read_text(encoding="utf-8")):
        assert re.match("https?://", link) or exists(link, page.parent), link


def test_every_page_is_in_a_table_of_contents():
    """By its name or a pattern; the front page needs none."""
    entries = set()
    for page in PAGES:
        for block in re.findall(r"^```{toctree}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
            for line in block.splitlines():
                if line and not line.startswith(":"):
                    entries.update((page.parent).glob(f"{line}.md"))
    listed = {entry.resolve() for entry in entries}
    assert {page.resolve() for page in PAGES} - listed == {(DOCS / "index.md").resolve()}


def test_the_gallery_is_large_enough():
    assert len(SCRIPTS) >= 10


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_of_the_gallery_has_a_title_and_a_picture(script):
    text = script.read_text(encoding="utf-8")
    compile(text, str(script), "exec")
    title, line = text.split("\n")[1:3]
    assert text.startswith('"""\n') and set(line) == {"="} and len(line) == len(title)
    assert "import matplotlib.pyplot as plt" in text and "gaussmix" in text


SHOWN = [page for page in PAGES if "\n```pycon\n" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.stem)
def test_what_a_guide_shows_is_what_its_code_prints(page, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"^```pycon\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    code = "\n".join(re.sub(r"^$(?=\n.)", "<BLANKLINE>", block, flags=re.M) for block in blocks)  # what is empty in a block is output
    test = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), 0)
    problems = []
    with np.printoptions():
        found = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=problems.append)
    assert not problems and found.attempted > 3, "".join(problems)
