"""A value that an option cannot take, and a place that takes no file: one sentence and exit status 2, everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilth.base.errors import UserError
from tilth.base.files import check_writable, write_text

RUNS = "r,loss\n0.1,3.0\n0.2,2.9\n0.3,2.85\n0.4,2.83\n0.5,2.82\n"


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_tilth):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text(RUNS, encoding="utf-8")
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").write_text("here", encoding="utf-8")
    return lambda line: run_tilth(*line.split())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plan layout gpt2 --devices abc", "--devices 'abc': expected a number such as 4096, 3.9M, 14B or 1.4e10"),
        ("plan layout gpt2 --devices 0", "--devices 0: expected between 1 and 1e+07 devices (for example --devices 8)"),
        ("plan layout gpt2 --devices 1.5", "--devices 1.5: expected a whole number (for example --devices 8)"),
        ("plan layout gpt2 --length x", "--length 'x': expected a number such as 4096, 3.9M, 14B or 1.4e10"),
        ("fit critical runs.csv --base 3 --seed x", "--seed 'x': expected a number such as 4096"),
        ("plan scale --days x", "--days x: expected a number (for example --days 7)"),
        ("plan scale --utilisation 40%", "--utilisation 40%: expected a number (for example --utilisation 0.4)"),
        ("plan scale --flops many", "--flops 'many': expected a number such as"),
        ("fit critical runs.csv --base x", "--base x: expected a number (for example --base 2.5)"),
        (
            "fit critical runs.csv --base 3 --bootstrap -1",
            "--bootstrap -1: expected between 0 and 100000 (for example --bootstrap 1k)",
        ),
        ("fit isoflop runs.csv --flops x", "--flops 'x': expected a number such as"),
        ("fit critical runs.csv --base 3 --bootstrap 1GB", "--bootstrap 1GB: these are bytes, expected a number"),
        ("fit isoflop runs.csv --method cubic", "--method cubic: 'cubic' is not one of 'akima', 'parabola'"),
        (
            "fit kaplan runs.csv --variable X",
            "--variable X: 'X' is not one of 'N', 'D', 'C', 'ND' (for example --variable ND)",
        ),
        ("corpus runs.csv --plan --currency=", "--plan: currency: expected 1 or more characters, found ''"),
        ("corpus runs.csv --plan --price-per-hour nan", "--price-per-hour nan: must be at least 0"),
        (
            "plan size 7B",
            "MODEL 7B is a number; a recipe, a published name or a config.json is expected (tilth plan cost",
        ),
        (
            "plan buy requests_per_month=3GiB",
            "on the command line: requests_per_month=3GiB: these are bytes, expected a",
        ),
        ("plan buy private=1", "on the command line: private=1: expected true or false, found 1"),
        ("plan buy private=yes", "on the command line: private=yes: expected true or false, found 'yes'"),
        ("corpus a --workers none --out o", "--workers none: expected a whole number (for example --workers 8)"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_by_option_expectation_and_example(tell, line: str, said: str) -> None:
    status, printed, complaint = tell(line)
    assert (status, printed) == (2, "")
    assert complaint.startswith(f"tilth: {said}")


def test_a_word_that_is_no_choice_is_told_with_the_choices(tell) -> None:
    status, _, complaint = tell("plan scale --law foo")
    assert status == 2
    assert complaint.startswith("tilth: --law foo:")
    assert "'chinchilla', 'hoffmann', 'muennighoff' (for example --law chinchilla)" in complaint
    assert "'line' (for example --method exact)" in tell("dedup a --out o --method foo")[2]  # which has no default


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plan cost", "PARAMETERS is missing: of the model, for example 7B (tilth plan cost --help)"),
        ("plan cost 7B", "TOKENS is missing: to train on, for example 140B (tilth plan cost --help)"),
        ("fit critical runs.csv", "--base is missing: loss on the old corpus before, to be kept (tilth fit critical"),
        ("corpus a --ot o", "--ot is no option of tilth corpus (did you mean --out?)"),
        ("plan scale --flop 1e21", "--flop is no option of tilth plan scale (did you mean --flops?)"),
        ("plan scale --xyzzy", "--xyzzy is no option of tilth plan scale (known: --"),
        ("plan scale 7B 8B", "7B 8B: tilth plan scale takes no more arguments (tilth plan scale --help)"),
        ("plan scale --flops", "--flops needs a value (see --help)"),
        ("plan scale --json=1", "--json takes no value (see --help)"),
        ("plan scael", "'scael' is no command of tilth plan (did you mean scale?)"),
        ("rnu", "'rnu' is no command of tilth (did you mean run?)"),
        ("run", "RECIPE is missing: a recipe (YAML) (tilth run --help)"),
        ("resume", "RUN is missing: a run folder (tilth resume runs/NAME, or --explain)"),
        ("plan --xyzzy", "--xyzzy is no option of tilth plan (there are none but --help)"),
        ("plan buy =", "expected KEY=VALUE, found '=' (for example months=24; a file comes first)"),
        ("plan buy months=12 needs.yaml", "expected KEY=VALUE, found 'needs.yaml' (for example months=24; a file"),
        ("-x", "-x is no option of tilth (known: --"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_one_plain_sentence(tell, line: str, said: str) -> None:
    status, printed, complaint = tell(line)
    assert (status, printed) == (2, "")
    assert complaint.startswith(f"tilth: {said}")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("line", ["plan", "fit", "tokenizer"])
def test_a_group_of_commands_alone_shows_what_there_is(tell, line: str) -> None:
    status, printed, complaint = tell(line)
    assert status == 2
    assert "Commands:" in printed + complaint


@pytest.mark.parametrize("place", ["/proc/x", "file/x"])
def test_a_folder_that_cannot_be_made_is_one_sentence(tell, place: str) -> None:
    status, printed, complaint = tell(f"corpus file --out {place}")
    assert (status, printed) == (2, "")
    assert complaint.startswith(f"tilth: {place}: cannot be written: ")
    assert complaint.count("\n") == 1


def test_a_file_of_another_kind_is_not_printed_whole(tell, tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("a,b\n" * 99, encoding="utf-8")
    complaint = tell("corpus file --out o --config long.csv")[2]
    assert "long.csv: expected a section of settings, found 'a,b" in complaint
    assert len(complaint) < 150


@pytest.mark.parametrize("option", ["--plot", "--cluster"])
def test_a_name_that_is_empty_is_told_by_its_option(run_tilth, option: str) -> None:
    status, printed, said = run_tilth("plan", "scale", option, "")
    assert (status, printed) == (2, "")
    assert said == f"tilth: {option}: the name is empty (tilth plan scale --help)\n"


PLACES = [
    ("/proc/x.svg", "/proc/x.svg cannot be written"),
    ("file/x.svg", "file/x.svg cannot be written: Not a directory"),
    ("folder.svg", "folder.svg is a folder"),
]


@pytest.mark.parametrize(("place", "said"), PLACES)
@pytest.mark.parametrize("line", ["plan scale", "plan cost 7B 140B", "plan buy", "fit critical runs.csv --base 2.9"])
def test_a_plot_that_cannot_be_written_is_one_sentence(tell, line: str, place: str, said: str) -> None:
    status, printed, complaint = tell(f"{line} --plot {place}")
    assert (status, printed) == (2, "")
    assert complaint.startswith(f"tilth: --plot: {said}")
    assert "Traceback" not in complaint


@pytest.mark.parametrize("place", ["/proc/x", "file/x", "folder.svg", "/dev/null"])
def test_a_result_that_cannot_be_written_is_one_sentence_before_anything_is_fitted(tell, place: str) -> None:
    status, printed, complaint = tell(f"fit critical runs.csv --base 2.9 --out {place}")
    assert (status, printed) == (2, "")
    assert complaint.startswith(f"tilth: --out: {place} ")


@pytest.mark.parametrize("place", ["/proc/x", "file/x", "folder.svg", "/dev/null"])
def test_whatever_writes_says_the_same(tell, place: str, tmp_path: Path) -> None:
    for write in (lambda: write_text(Path(place), "text"), lambda: check_writable(Path(place))):
        with pytest.raises(UserError, match=r"cannot be written|is a folder|is a device") as error:
            write()
        assert str(error.value).startswith(place)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder.svg", "runs.csv"]


def test_a_writable_place_is_left_as_it_was(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deep" / "x.json")
    assert list(tmp_path.iterdir()) == []
