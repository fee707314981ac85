"""Where compiled kernels are kept: a change of any file that may be part of one gives another folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilth.base import jit


def test_a_changed_helper_gives_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, outside = tmp_path / "package", tmp_path / "outside"
    for folder in (package / "base", package / "text", package / "model", outside):
        folder.mkdir(parents=True)
        (folder / "kernels.py").write_text("first")
    (package / "base" / "jit.py").write_text("")
    monkeypatch.setattr(jit, "__file__", str(package / "base" / "jit.py"))
    folders = (package / "text", package / "model", outside)
    before = [jit._cache_folder.__wrapped__(folder) for folder in folders]
    (package / "text" / "kernels.py").write_text("second")
    after = [jit._cache_folder.__wrapped__(folder) for folder in folders]
    assert [old != new for old, new in zip(before, after, strict=True)] == [True, False, True]
