"""Imports run downward: each room of CONTRIBUTING's picture knows only those below it."""

import ast
import re
from pathlib import Path

import pytest

import gaussmix

PACKAGE = Path(gaussmix.__file__).parent
CONTRIBUTING = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def floors():
    """The picture in CONTRIBUTING, from the top: the rooms of each of its lines."""
    text = CONTRIBUTING.read_text(encoding="utf-8")
    table = text[text.index("## The rooms of the house"):].split("\n\n")
    lines = next(part for part in table if part.startswith("| rooms")).splitlines()[2:]
    return [re.findall(r"`([\w/]+?)(?:\.pyx?|/)`", line.split("|")[1]) for line in lines]


def room_of(module):
    """The room of a module, by its name below gaussmix; a folder is one room."""
    return module.split(".")[0]


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] not in ("__init__", "__main__", "_version") or len(parts) > 1:
            yield ".".join(parts), path
    for path in (CONTRIBUTING.parent / "src" / "gaussmix").glob("*.pyx"):
        yield path.stem, path


def imported(path):
    """The modules of the package that a file imports, when it is imported itself or later; not those for type checkers only."""
    if path.suffix == ".pyx":
        yield from re.findall(r"^from gaussmix\.([\w.]+) c?import", path.read_text(encoding="utf-8"), re.MULTILINE)
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
               for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gaussmix":
            names = [alias.name for alias in node.names] if node.module == "gaussmix" else [node.module.removeprefix("gaussmix.")]
            yield from names
        elif isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("gaussmix.") for alias in node.names if alias.name.startswith("gaussmix."))


def test_the_picture_has_every_room():
    rooms = [room for floor in floors() for room in floor]
    assert sorted(rooms) == sorted({room_of(module) for module, _ in modules()})


# `Mixture.save` and `Mixture.load` are the same as `gaussmix.save` and `gaussmix.load`, which know Mixture. A `plot` method imports what
# draws when it is called, so that nothing else needs matplotlib.
UPWARD = {("mixture", "modelfile"), ("estimator", "plotting"), ("selection", "plotting"), ("search", "plotting")}


@pytest.mark.parametrize("module, path", list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_run_downward(module, path):
    floor_of = {room: height for height, rooms in enumerate(floors()) for room in rooms}
    here = room_of(module)
    for name in imported(path):
        there = room_of(name)
        if there in (here, "_version") or (here, there) in UPWARD:
            continue
        assert floor_of[there] > floor_of[here], f"{module} imports {name}, which is not below it"


def test_nothing_compiled_imports_the_package():
    """Except compiled modules, in imports and in declarations."""
    folders = PACKAGE / "_core", CONTRIBUTING.parent / "src" / "gaussmix" / "_core"
    for path in (path for folder in folders for ending in ("py", "pyi", "pyx", "pxd") for path in folder.glob(f"*.{ending}")):
        for name in re.findall(r"^\s*(?:from|c?import) (gaussmix[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert name.startswith("gaussmix._core"), f"{path.name} imports {name}"


def test_only_structures_and_what_is_compiled_ask_for_a_kind():
    """Except Statistics, whose second moments are of a kind."""
    for module, path in modules():
        if room_of(module) not in ("structures", "statistics"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"kind (?:==|!=|in|is|is not) Kind\b|Kind\.[A-Z]+ (?:==|!=)", text), module
