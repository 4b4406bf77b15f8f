"""The tutorial of the command line prints what it says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "command-line-tutorial.md").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="the tutorial is for bash")
def test_every_command_prints_what_the_page_shows(tmp_path):
    shutil.copy(ROOT / "examples" / "faithful.csv", tmp_path)
    environment = {**os.environ, "COLUMNS": "80", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    blocks = re.findall(r"```sh\n(.*?)```\n(?:\n```text\n(.*?)```)?", PAGE, re.DOTALL)
    assert len(blocks) >= 8
    for command, shown in blocks:
        run = subprocess.run(["bash", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env=environment)
        assert run.returncode == 0 and run.stdout == shown, command
