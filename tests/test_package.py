"""The package as a user sees it: what it imports, what is documented, and whether the documentation runs."""

import importlib
import importlib.metadata
import importlib.resources
import inspect
import os
import pkgutil
import pydoc
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import gaussmix
from gaussmix.modelfile import Model
from gaussmix.selection import Candidate, Selection
from gaussmix import functional, onnx_export
from gaussmix.statistics import Statistics

try:
    from gaussmix import plotting
except ImportError:  # without matplotlib
    PLOTS = []
else:
    PLOTS = [getattr(plotting, name) for name in plotting.__all__]

ROOT = Path(__file__).resolve().parent.parent
TYPED_PROGRAM = Path(__file__).with_name("typed_program.py")
SOURCES = sorted((ROOT / "src").rglob("*.pyx"))
COMPILED = [f"gaussmix._core.{module.name}" for module in pkgutil.iter_modules(gaussmix._core.__path__)]


def run_python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **options).stdout


def test_importing_is_light():
    heavy = ["sklearn", "matplotlib", "pandas", "polars", "pyarrow", "tqdm", "joblib", "scipy.stats", "scipy.optimize"]
    loaded = run_python(f"import sys, gaussmix; print(*[name for name in {heavy} if name in sys.modules])").split()
    assert loaded == []


def test_every_public_name_exists_and_is_documented():
    assert {"GaussianMixture", "Mixture"} <= set(gaussmix.__all__)
    for name in gaussmix.__all__:
        assert getattr(gaussmix, name).__doc__


def test_the_version_is_that_of_the_installed_package():
    assert gaussmix.__version__ == importlib.metadata.version("gaussmix")


def test_dependencies_are_numpy_and_scipy_only():
    needed = [line for line in importlib.metadata.requires("gaussmix") if "extra ==" not in line]
    assert sorted(re.match(r"[\w-]+", line)[0] for line in needed) == ["numpy", "scipy"]


@pytest.mark.parametrize("name", COMPILED)
def test_every_compiled_module_has_its_stub(name):
    module = importlib.import_module(name)
    assert not module.__file__.endswith(".py")
    assert (importlib.resources.files("gaussmix._core") / f"{name.rpartition('.')[2]}.pyi").is_file()


def test_the_compiled_interface_has_declarations():
    """It has declarations and needs no private ones: private modules have none after installation."""
    package = importlib.resources.files("gaussmix")
    declared = (package / "cython_mixture.pxd").read_text()
    assert re.findall(r"^from (\S+) cimport", declared, re.MULTILINE) == ["libc.stdint"]
    assert (package / "cython_mixture.pyi").is_file()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_every_compiled_module_declares_that_it_needs_no_gil(source, tmp_path):
    """In the C that Cython writes of it; a Python that has the GIL leaves the declaration out of what it compiles."""
    pytest.importorskip("Cython", reason="Cython is not installed")
    build = (ROOT / "meson.build").read_text(encoding="utf-8")
    arguments, = re.findall(r"^add_project_arguments\((.*), language: 'cython'\)$", build, re.M)
    written = tmp_path / "module.c"
    subprocess.run([sys.executable, "-m", "cython", *re.findall("'([^']*)'", arguments), "-I", ROOT / "src", source, "-o", written],
                   check=True)
    text = written.read_text(encoding="utf-8")
    slot, = re.findall(r"{Py_mod_gil, (\w+)}", text)
    last = dict(re.findall(r"#define (\w+) (Py_MOD_GIL_\w+)", text))  # where nobody who compiles says otherwise
    assert last.get(slot, slot) == "Py_MOD_GIL_NOT_USED"


@pytest.mark.skipif(getattr(sys, "_is_gil_enabled", lambda: True)(), reason="this Python has the GIL")
def test_importing_leaves_the_gil_off():
    modules = [".".join(source.relative_to(ROOT / "src").with_suffix("").parts) for source in SOURCES]
    assert run_python(f"import sys, gaussmix, {', '.join(modules)}; print(sys._is_gil_enabled())").strip() == "False"


def test_types_are_declared():
    assert (importlib.resources.files("gaussmix") / "py.typed").is_file()


def functions_of(public):
    """The public functions and methods behind a public name."""
    if not inspect.isclass(public):
        return [public]
    members = [member.fget if isinstance(member, property) else member for name, member in inspect.getmembers(public)
               if not name.startswith("_") or name == "__init__"]
    return [member for member in members if inspect.isfunction(member) or inspect.ismethod(member)]  # the compiled have stubs


PUBLIC = pytest.mark.parametrize("public", [
    gaussmix.GaussianMixture, gaussmix.Mixture, Statistics, Candidate, Selection, Model, gaussmix.select, gaussmix.save, gaussmix.load,
    gaussmix.show_config, functional.e_step, functional.moments, functional.m_step, functional.em, onnx_export.to_onnx,
    onnx_export.register,
    *PLOTS], ids=lambda public: public.__name__)


@PUBLIC
def test_public_signatures_are_annotated(public):
    functions = functions_of(public)
    assert functions
    for function in functions:
        signature = inspect.signature(function)
        parameters = [p for name, p in signature.parameters.items() if name != "self"]
        assert all(part is not inspect.Signature.empty for part in
                   (signature.return_annotation, *(p.annotation for p in parameters))), function.__qualname__


@PUBLIC
def test_help_shows_short_signatures(public):
    for function in functions_of(public):
        signature = inspect.signature(function)
        for part in (*map(str, signature.parameters.values()), str(signature.return_annotation)):
            assert len(part) <= 70, (function.__qualname__, part)
    for documented in (public, *functions_of(public)):
        indent = 8 if documented is not public and inspect.isclass(public) else 4
        widest = max((inspect.getdoc(documented) or "").splitlines(), key=len, default="")
        assert indent + len(widest) <= 135, widest
    text = pydoc.render_doc(public, renderer=pydoc.plaintext)
    assert [word for word in ("Union[", "_SupportsArray", "numpy._typing", "mtrand", "collections.abc.") if word in text] == []
    if sys.version_info >= (3, 13):  # which breaks long signatures into lines
        assert max(map(len, text.splitlines())) <= 135


def test_a_program_with_types_runs_and_uses_every_public_name():
    text = TYPED_PROGRAM.read_text(encoding="utf-8")
    assert [name for name in gaussmix.__all__ if not re.search(rf"\b{name}\b", text)] == []
    printed = run_python(f"import runpy; runpy.run_path({str(TYPED_PROGRAM)!r}, run_name='__main__')",
                         env={**os.environ, "PYTHONWARNINGS": "error"})
    assert f"gaussmix {gaussmix.__version__}" in printed.splitlines()


def test_mypy_accepts_a_program_with_types(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    environment, options = dict(os.environ), []
    package = Path(gaussmix.__file__).parents[1]
    if package.name != "site-packages":  # an editable install, which mypy does not find by itself
        environment["MYPYPATH"], options = str(package), ["--follow-imports=silent"]
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={tmp_path}", *options, TYPED_PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_example_runs(tmp_path):
    block, = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    printed = run_python(block, cwd=tmp_path, env={**os.environ, "PYTHONWARNINGS": "error"})
    assert gaussmix.GaussianMixture.load(tmp_path / "eruptions.json").n_components == 2
    assert "nan" not in printed
    assert len(printed.splitlines()) > 10


HOME = "https://github.com/gaussmix/gaussmix"


def links_of(text):
    """The targets of a Markdown text's links and pictures, outside of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return re.findall(r"\]\(\s*<?([^)\s>]+)", text) + re.findall(r"^\[[^]]+\]:\s*<?([^\s>]+)", text, re.M) + re.findall(
        r"""(?:href|src)=["']([^"']+)""", text)


def exists(target, folder):
    """Whether a file, and in it the heading that a link names, is in the repository."""
    path, _, anchor = target.partition("#")
    file = folder / path
    if anchor:
        titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
        return anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    return file.exists()


def test_links_of_the_readme_hold_wherever_it_is_shown():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = links_of(text)
    assert len(links) >= 6
    defined = re.findall(r"^\[([^]]+)\]: ", text, re.M)
    assert {*re.findall(r"\[((?:docs/|[A-Z]+\.(?:md|cff))[^]\s]*)\](?![:(])", text), "picture"} == set(defined)
    for link in links:
        assert re.match("https?://", link), link
        if link.startswith(HOME + "/"):
            kind, branch, target = link.removeprefix(HOME + "/").split("/", 2)
            assert (kind, branch) == ("tree" if (ROOT / target).is_dir() else "blob", "main") and exists(target, ROOT), link
        elif link.startswith("https://raw.githubusercontent.com/gaussmix/gaussmix/main/"):
            assert exists(link.partition("/main/")[2], ROOT), link


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").glob("*.md")), *(
    ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY"))], ids=lambda page: page.name)
def test_links_of_the_documentation_lead_somewhere(page):
    for link in links_of(page.read_text(encoding="utf-8")):
        assert re.match("https?://", link) or exists(link, page.parent), link


def test_the_package_says_where_it_lives():
    urls = dict(line.split(", ", 1) for line in importlib.metadata.metadata("gaussmix").get_all("Project-URL"))
    assert urls == {"Homepage": HOME, "Repository": HOME, "Issues": f"{HOME}/issues", "Documentation": f"{HOME}/tree/main/docs",
                    "Changelog": f"{HOME}/blob/main/CHANGELOG.md"}
    for name in ("Documentation", "Changelog"):
        assert (ROOT / urls[name].removeprefix(HOME + "/").split("/", 2)[2]).exists()


def test_the_recipe_for_conda_forge_asks_for_what_the_package_needs():
    """The version, and the requirements of pyproject.toml where it builds and where it runs."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    recipe = yaml.safe_load((ROOT / "docs" / "conda-forge" / "recipe.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    def plain(requirements):
        return {re.sub("[ ]", "", requirement).lower() for requirement in requirements if isinstance(requirement, str)}

    assert recipe["context"]["version"] == gaussmix.__version__
    assert plain(recipe["requirements"]["host"]) == {"python", "pip", *plain(project["build-system"]["requires"])}
    assert plain(recipe["requirements"]["run"]) == {"python", *plain(project["project"]["dependencies"])}
    assert recipe["build"]["skip"] == [f'match(python, "<{project["project"]["requires-python"].removeprefix(">=")}")']
    for listed in recipe["tests"][1]["files"]["source"]:
        assert (ROOT / listed).exists(), listed


def test_the_citation_is_of_this_package():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # which the format demands
    assert citation["license"] == project["license"] and citation["repository-code"] == HOME and citation["keywords"] == project["keywords"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]
    assert "version" not in citation  # which is written in meson.build
