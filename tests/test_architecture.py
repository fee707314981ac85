"""The house: floors, front doors, and what starts without what."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tilth"
FOLDERS = sorted(path.parent for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE)


def test_floors():
    done = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_front_door_names_every_file_of_its_folder(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    for file in folder.glob("*.py"):
        if file.name != "__init__.py":
            assert file.stem in text, f"{folder.name}/__init__.py does not name {file.stem}"


def imported_by(statement: str) -> set[str]:
    """Top-level packages that are loaded after `statement`."""
    program = f"{statement}\nimport sys, json\nprint(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", ["import tilth", "import tilth.cli.app"])
def test_starting_loads_nothing_heavy(statement):
    assert not imported_by(statement) & {
        "torch",
        "numba",
        "pyarrow",
        "numpy",
        "scipy",
        "tokenizers",
        "jinja2",
        "pandas",
    }


def test_reading_a_recipe_loads_nothing_heavy():
    assert not imported_by("import tilth.pipeline.recipe") & {"torch", "numba", "pyarrow", "scipy", "tokenizers"}


def test_the_corpus_half_runs_without_torch(tmp_path):
    (tmp_path / "a.txt").write_text("The field was ploughed. 田已经耕过了。\n" * 20, encoding="utf-8")
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'safetensors', 'transformers'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from tilth.cli.main import main\n"
        f"main(['corpus', {str(tmp_path / 'a.txt')!r}, '--out', {str(tmp_path / 'out')!r}, '--json'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (
        report["documents_in"] == report["documents_kept"] + report["documents_holdout"] + report["documents_rejected"]
    )


def test_no_file_grows_beyond_one_idea():
    long = {
        p.relative_to(SOURCE).as_posix(): n
        for p in SOURCE.rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 500
    }
    assert not long
