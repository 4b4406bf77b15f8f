"""Lists every error and warning of the package with its place, as a user would read it.

    python tests/messages.py                    all of them
    python tests/messages.py WORD …             those in whose place or text each of these words is

Parts that are known only at run time are in braces, as in the source. The list is for reading: is each message a sentence that
says what was wrong, where, and what would be right?
"""

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[1] / "src" / "gaussmix"
TOLD = re.compile(r"(?:Error|Warning|Exit|Help)$")  # classes that are raised or warned with
CALLED = {"warn", "error", "cls"}  # functions and methods to which texts go
FORMAT = re.compile(r"%(%|[-+0-9.]*[a-zA-Z])")


class Message(NamedTuple):
    path: str
    line: int
    kind: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.kind}: " + self.text.replace("\n", "\\n")


def text_of(node, known):
    """
    A string as it would be read, with what is not known in braces.

    Parameters
    ----------
    node : ast.expr
    known : dict of str: ast.expr
        What was assigned to local names, which is put in where it is a text.

    Returns
    -------
    str or None
        Nothing where the expression makes no text.
    """
    if isinstance(node, ast.Constant):
        value = node.value.decode() if isinstance(node.value, bytes) else node.value
        return value if isinstance(value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else braced(part.value, known) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [text_of(side, known) for side in (node.left, node.right)]
        if parts == [None, None]:
            return None
        return "".join(braced(side, known) if part is None else part for part, side in zip(parts, (node.left, node.right)))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and text_of(node.left, known) is not None:
        values = iter(node.right.elts if isinstance(node.right, ast.Tuple) else [node.right])
        return FORMAT.sub(lambda found: "%" if found[1] == "%" else braced(next(values, node.right), known), text_of(node.left, known))
    if isinstance(node, ast.IfExp):
        texts = [(text_of(side, known), ast.unparse(side)) for side in (node.body, node.orelse)]
        return "{" + " | ".join(source if text is None else text for text, source in texts) + "}" if any(text for text, _ in texts) else None
    if isinstance(node, ast.Name) and node.id in known:
        return text_of(known[node.id], {name: value for name, value in known.items() if name != node.id})
    return None


def braced(node, known):
    """A part of a text: itself where it is a text, else the expression in braces."""
    text = text_of(node, known)
    return "{" + ast.unparse(node) + "}" if text is None else text


def name_of(node):
    """What is called: a class, a function or a method; of `in_use(kind)(text)` the kind."""
    if isinstance(node, ast.Call):
        return name_of(node.args[0]) if node.args else name_of(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def in_python(path):
    """The messages of a module of Python."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    found = {}
    for scope in [tree, *functions]:  # inner functions come later, and know more names
        known = {target.id: node.value for node in ast.walk(scope) if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name)}
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
                known.update((target.id, part) for target, part in zip(node.targets[0].elts, node.value.elts)
                             if isinstance(target, ast.Name))
        raised = {id(node.exc): node for node in ast.walk(scope) if isinstance(node, ast.Raise)}
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call):
                continue
            name = name_of(node.func)
            if not (id(node) in raised or TOLD.search(name) or name in CALLED):
                continue
            texts = [text for text in (text_of(argument, known) for argument in node.args) if text is not None]
            for text in texts[-1:]:
                found[node.lineno, node.col_offset] = name, text
    return [(line, kind, text) for (line, _), (kind, text) in found.items()]


def parts_in_python(path, used):
    """What functions return that stand in braces of some message: whole texts or a part of one."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef) and function.name in used:
            for node in ast.walk(function):
                text = text_of(node.value, {}) if isinstance(node, ast.Return) and node.value is not None else None
                if text and " " in text.strip():
                    yield node.lineno, f"part {function.name}", text


def in_cython(path):
    """The messages of a compiled module: what is raised, and the tables of texts for callers in C."""
    source, found = path.read_text(encoding="utf-8"), []
    for match in re.finditer(r"\braise (\w+)(?=\()|^MESSAGES\[(\w+)\] = ", source, re.MULTILINE):
        kind, begin = match[1] or match[2], match.end()
        end = closing(source, begin) if match[1] else source.index("\n", begin)
        written = re.sub(r"<[\w ]+\*?> ?(?=[\w(])", "", source[begin:end])  # casts, which Python does not know
        text = text_of(ast.parse(f"({written})", mode="eval").body, {})
        if text is not None:
            found.append((source.count("\n", 0, match.start()) + 1, kind, text))
    return found


def closing(source, begin):
    """Where the bracket that opens at `begin` closes; texts may hold brackets too."""
    depth, quoted = 0, ""
    for place in range(begin, len(source)):
        letter = source[place]
        if quoted:
            quoted = "" if letter == quoted and source[place - 1] != "\\" else quoted
        elif letter in "\"'":
            quoted = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
            if not depth:
                return place + 1
    raise SystemExit(f"a bracket is not closed: {source[begin:begin + 80]!r}")


def messages():
    """
    All messages of the package.

    Returns
    -------
    list of Message
        By file and line.
    """
    found = []
    for path in sorted(SOURCE.rglob("*.py*")):
        if path.suffix in (".py", ".pyx"):
            for one in (in_python if path.suffix == ".py" else in_cython)(path):
                found.append(Message(path.relative_to(SOURCE).as_posix(), *one))
    used = set(re.findall(r"(\w+)\(", " ".join(found_here for message in found for found_here in re.findall("{(.*?)}", message.text))))
    for path in sorted(SOURCE.rglob("*.py")):
        found += (Message(path.relative_to(SOURCE).as_posix(), *one) for one in parts_in_python(path, used | {"__str__"}))
    return sorted(found)


if __name__ == "__main__":
    for message in messages():
        if all(word in str(message) for word in sys.argv[1:]):
            print(message)
