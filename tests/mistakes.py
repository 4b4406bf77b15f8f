"""Plants mistakes in a copy of this checkout, one at a time, and counts how many of them the tests notice.

    python tests/mistakes.py                    every mistake in tests/mistakes.toml
    python tests/mistakes.py tile.c DEAD        those whose file or text holds one of these words
    python tests/mistakes.py --first            only the tests that are likely to notice; no more where these do not

A mistake is caught where pytest fails, crashes or does not end in time. No test notices the others: write one that does. The exit
status is 0 where nine in ten are caught, 1 where fewer are, and 2 where the list no longer fits the code.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LIST = CHECKOUT / "tests" / "mistakes.toml"
ENOUGH = 0.9
WHOLE = ["tests", "--ignore=tests/test_benchmarks.py"]  # the tests of the benchmarks do not test the package


@dataclass(frozen=True)
class Mistake:
    """One text in one file that becomes another, and the tests to run first, or the reason why no test can tell."""

    file: str
    old: str
    new: str
    first: tuple[str, ...]
    equivalent: str = ""

    @property
    def path(self):
        return Path("src", "gaussmix", self.file)

    def fits(self):
        """Whether the code still holds the old text, once."""
        path = CHECKOUT / self.path
        return path.is_file() and path.read_text().count(self.old) == 1 and self.old != self.new

    def __str__(self):
        return f"{self.file}: {self.old.strip()!r} -> {self.new.strip()!r}"


def listed():
    """The mistakes of the list."""
    for file, entries in tomllib.loads(LIST.read_text()).items():
        for old, new, *first in entries.get("mistakes", []):
            yield Mistake(file, old, new, tuple(f"tests/{name}" for name in " ".join(first or [entries["tests"]]).split()))
        for old, new, reason in entries.get("equivalent", []):
            yield Mistake(file, old, new, (), reason)


class Copy:
    """A copy of the checkout with an editable installation in a virtual environment of its own."""

    def __init__(self, room):
        self.top = room / "gaussmix"
        files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                               cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, files.split("\0")):
            if (CHECKOUT / name).is_file():
                (self.top / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, self.top / name)
        builder = venv.EnvBuilder(symlinks=os.name != "nt")
        builder.create(room / "venv")
        self.python = builder.ensure_directories(room / "venv").env_exe
        # The copy's Python can import all that this one can, except an installed gaussmix: a .pth file there is not read again.
        site = sysconfig.get_path("purelib", "venv", {"base": str(room / "venv")})
        Path(site, "around.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
        self.environment = os.environ | {"PATH": f"{Path(self.python).parent}{os.pathsep}{os.environ['PATH']}"}
        self.environment.pop("PYTHONPATH", None)
        subprocess.run([sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-build-isolation",
                        "--no-deps", "-Cbuild-dir=build", "--editable", "."], cwd=self.top, env=self.environment, check=True)

    @contextlib.contextmanager
    def planted(self, mistake):
        """The copy with a mistake in it, compiled."""
        path = self.top / mistake.path
        right = path.read_text()
        try:
            self._write(path, right.replace(mistake.old, mistake.new))
            yield
        finally:
            self._write(path, right)

    def _write(self, path, text):
        path.write_text(text)
        # Byte code is told from newer source by seconds and size, which a quick mistake may share.
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)

    def build(self):
        """Compile what has changed; return what the compiler said where it refused, else nothing."""
        built = subprocess.run(["ninja", "-C", "build"], cwd=self.top, env=self.environment, capture_output=True, text=True)
        return built.stdout if built.returncode else ""

    def failure(self, tests, limit):
        """What the tests say against the copy: the first that fails, a crash or a hang; nothing where they pass."""
        command = [self.python, "-m", "pytest", "-x", "-q", "-rfE", "-p", "no:cacheprovider", *tests]
        process = subprocess.Popen(command, cwd=self.top, env=self.environment, start_new_session=True, text=True, errors="replace",
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return f"no end after {limit} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it started itself
        if process.returncode == 0:
            return ""
        first = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
        return first[1] if first else f"pytest ended with {process.returncode}: {said.strip()[-300:]}"


def noticed(copy, mistake, options):
    """Return which test notices a mistake; nothing where none does."""
    with copy.planted(mistake):
        refused = copy.build()
        if refused:
            raise SystemExit(f"{mistake}: does not compile:\n{refused[-2000:]}")
        return copy.failure(mistake.first, options.limit) or ("" if options.first else copy.failure(WHOLE, 4 * options.limit))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", help="only mistakes whose file or text holds one of these")
    parser.add_argument("--first", action="store_true", help="no more tests where the first ones do not notice")
    parser.add_argument("--limit", type=float, default=300, metavar="SECONDS", help="for the first tests; four times that for all")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests of Ctrl-C need it, also behind a shell that ignores it

    mistakes = list(listed())
    misfits = [mistake for mistake in mistakes if not mistake.fits()]
    equivalent = [mistake for mistake in mistakes if mistake.equivalent]
    chosen = [mistake for mistake in mistakes if not (mistake.equivalent or mistake in misfits)
              and (not options.words or any(word in str(mistake) for word in options.words))]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="gaussmix-mistakes-") as room:
        copy = Copy(Path(room))
        tests = sorted({test for mistake in chosen for test in mistake.first}) if options.first else WHOLE
        if failure := copy.failure(tests, None):
            raise SystemExit(f"without any mistake: {failure}")
        for mistake in chosen:
            begun = time.monotonic()
            by = noticed(copy, mistake, options)
            took = time.monotonic() - begun
            print(f"{'caught  ' if by else 'SURVIVED'} {took:4.0f} s  {mistake}{f'  ({by})' if by else ''}", flush=True)
            if not by:
                survivors.append(mistake)
    caught = len(chosen) - len(survivors)
    print(f"\n{caught} of {len(chosen)} mistakes caught")
    for title, some in (("No test noticed", survivors), ("No longer once in the code", misfits)):
        if some:
            print(f"\n{title}", *some, sep="\n  ")
    print("\nNo test can tell", *(f"{mistake}: {mistake.equivalent}" for mistake in equivalent), sep="\n  ")
    return 2 if misfits else 0 if caught >= ENOUGH * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
