"""What is wrong with a file or an option of `tilth fit` is told in one sentence, exit status 2; nothing is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tilth.cli.fit_output import _lines
from tilth.laws.chinchilla import BESIROGLU, Chinchilla
from tilth.laws.dcpt import DCPT, curves, share_for_domain, share_for_general, share_for_limited_tokens
from tilth.laws.repeated import MUENNIGHOFF, Repeated

FILES = {
    "empty.csv": "",
    "blank.csv": "\n\n\n",
    "header.csv": "N,D,C,U,r,loss,web,code,step\n",
    "semicolons.csv": "N;D;C;U;r;loss;web;code;step\n1;2;3;4;5;6;7;8;9\n",
    "runs.json": '{"N": [1, 2]}\n',
    "tabs.csv": "N\tD\tC\tU\tr\tloss\tweb\tcode\tstep\n",
    "thousands.csv": "N,D,C,U,r,loss,web,code,step\n1,000,1e9,1e18,1e8,0.5,3,0.5,0.5,9\n",
    "short.csv": "N,D,C,U,r,loss,web,code,step\n1e8,1e9\n",
    "unclosed.csv": 'N,D,C,U,r,loss,web,code,step\n"1e8,1e9,1e18,1e8,0.5,3,0.5,0.5,9\n',
    "twice.csv": "N,N,D,C,U,r,loss,web,code,step\n1,1,1,1,1,1,1,1,1,1\n",
    "words.csv": "N,D,C,U,r,loss,web,code,step\n1e8,1e9,1e18,1e8,0.5,三,0.5,0.5,9\n",
    "nan.csv": "N,D,C,U,r,loss,web,code,step\n" + "1e8,1e9,1e18,1e8,0.5,nan,0.5,0.5,9\n" * 9,
    "negative.csv": "N,D,C,U,r,loss,web,code,step\n" + "1e8,1e9,1e18,1e8,0.5,-3,0.5,0.5,9\n" * 9,
    "absurd.csv": "N,D,C,U,r,loss,web,code,step\n" + "1e8,1e9,1e18,1e8,0.5,1e300,0.5,0.5,9\n" * 9,
    "one.csv": "N,D,C,U,r,loss,web,code,step\n1e8,1e9,6e17,1e8,0.5,3,0.5,0.5,9\n",
    "flat-shares.csv": "r,loss\n0.1,3\n0.2,3\n0.3,3\n0.4,3\n",
    "far-share.csv": "N,D,r,loss\n1e8,1e9,0.5,3\n\n1e8,1e9,1.5,3\n",
    "two.csv": "web,code,loss\n0.5,0.5,3\n0.4,0.6,3.1\n",
    "three.csv": "web,code,loss\n0.5,0.5,3\n0.4,0.6,3.1\n0.3,0.7,3.2\n",
    "sums.csv": "web,code,loss\n0.5,0.5,3\n0.4,0.4,3\n",
    "unread.csv": "N,D,U,loss\n1e8,1e9,1e9,3\n1e8,1e9,2e9,9\n1e8,2e9,1e9,3\n",
    "contrary.csv": "N,D,C,r,loss\n1e8,1e9,6e17,0.5,3\n1e8,2e9,9e17,0.4,2.9\n2e8,2e9,9e17,0.3,2.8\n",
}
LAWS = {
    "chinchilla": "",
    "kaplan": "",
    "isoflop": "",
    "envelope": "",
    "repeated": "",
    "dcpt": "",
    "critical": "--base 2.8",
    "mixing": "--domains web,code --targets loss",
    "nested": "--domains web,code --targets loss --steps step --to-steps 100k",
}
SAID = {
    "empty.csv": "empty.csv: the file is empty (a CSV is expected",
    "blank.csv": "blank.csv: the file is empty (a CSV is expected",
    "header.csv": "holds no rows",
    "semicolons.csv": "commas are expected",
    "runs.json": "this looks like JSON; a CSV is expected",
    "tabs.csv": "commas are expected",
    "thousands.csv": "write numbers without commas",
    "short.csv": "short.csv:2: holds 2 values for 9 columns",
    "unclosed.csv": "unclosed.csv: is no CSV: a quotation mark is never closed (a CSV is expected",
    "twice.csv": "names the column 'N' twice",
    "words.csv": "words.csv:2: column 'loss': expected a number, found '三'",
    "nan.csv": "nan.csv:2: column 'loss': expected a finite number",
    "negative.csv": "negative.csv:2: column 'loss' is -3: expected above 0",
    "absurd.csv": "absurd.csv:2: column 'loss' is 1e+300: expected above 0 and at most",
    "binary.csv": "is not UTF-8 text",
    "gb.csv": "save it as UTF-8",
    "folder": "is a folder (give a file in it: inside.csv)",
    "none.csv": "there is no such file (a CSV is expected",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("bad")
    for name, text in FILES.items():
        (here / name).write_text(text, encoding="utf-8")
    (here / "binary.csv").write_bytes(bytes(range(256)))
    (here / "gb.csv").write_bytes("参数,损失\n1,2\n".encode("gb18030"))
    (here / "folder").mkdir()
    (here / "folder" / "inside.csv").write_text("N,D,loss\n")
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(1e9, 1e11, 6)))
    _write(here / "runs.csv", "N,D,loss", n, d, Chinchilla().predict(BESIROGLU, N=n, D=d))
    u = np.minimum(d, 5e9)
    _write(here / "repeats.csv", "N,D,U,loss", n, d, u, Repeated().predict(MUENNIGHOFF, N=n, D=d, U=u))
    _write(here / "中文.csv", "参数,词元,损失", n, d, Chinchilla().predict(BESIROGLU, N=n, D=d))
    n, d, r = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9], np.geomspace(1e9, 2e10, 4), np.linspace(0.1, 0.9, 5)))
    _write(here / "domain.csv", "N,D,r,loss", n, d, r, DCPT().predict(DOMAIN, N=n, D=d, r=r))
    _write(here / "general.csv", "N,D,r,loss", n, d, 1 - r, DCPT().predict(GENERAL, N=n, D=d, r=1 - r))
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 12)
    _write(here / "mixtures.csv", "网页,代码,书籍,损失", *shares.T, 2 + 0.3 * (shares @ [1, 0.2, 0.4]) ** -0.3)
    return here


DOMAIN = {
    "E": 1.4,
    "A": 300,
    "alpha": 0.33,
    "B": 500,
    "eta": 0.3,
    "beta": 0.3,
    "C": 0.25,
    "epsilon": 0.08,
    "gamma": 0.6,
}
GENERAL = DOMAIN | {"E": 1.6, "C": 0.5}


def _write(file: Path, header: str, *columns: np.ndarray) -> None:
    rows = (",".join(f"{cell:.10g}" for cell in row) for row in zip(*columns, strict=True))
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def tell(folder: Path, monkeypatch: pytest.MonkeyPatch, run_tilth):
    """Run `tilth fit …` in the folder: exit status, what it printed, what it complained of."""
    monkeypatch.chdir(folder)
    return lambda *arguments: run_tilth("fit", *arguments)


@pytest.mark.parametrize("file", SAID)
@pytest.mark.parametrize("law", LAWS)
def test_every_law_refuses_every_bad_file(tell, law: str, file: str) -> None:
    status, printed, said = tell(law, file, *LAWS[law].split(), "--out", "never.json")
    assert status == 2
    assert printed == ""
    assert SAID[file] in said
    assert said.startswith("tilth: ")
    assert said.count("\n") == 1
    assert not Path("never.json").exists()


@pytest.mark.parametrize(
    ("law", "said"),
    [
        ("chinchilla", "1 points cannot determine the 5 parameters"),
        ("kaplan", "1 points cannot determine the 4 parameters"),
        ("isoflop", "0 of 1 budgets have a minimum inside their sizes"),
        ("envelope", "training curves of 1 sizes; at least 3 are needed"),
        ("repeated", "1 points cannot determine the 7 parameters"),
        ("dcpt", "1 points cannot determine the 9 parameters"),
        ("critical", "1 different shares; at least 3 are needed"),
        ("mixing", "1 different mixtures; at least 3 are needed"),
        ("nested", "curve 1 has 1 points; a power law needs at least two"),
    ],
)
def test_one_run_is_too_few(tell, law: str, said: str) -> None:
    status, _, complaint = tell(law, "one.csv", *LAWS[law].split())
    assert status == 2
    assert said in complaint


def test_runs_that_cannot_tell_an_effect_are_refused(tell) -> None:
    rows = [f"{10.0**n:g},{10.0 ** (n + 1):g},{loss}" for n, loss in zip(range(3, 11), range(1, 9), strict=True)]
    Path("rising.csv").write_text("\n".join(["N,D,loss", *rows]))
    status, _, said = tell("chinchilla", "rising.csv", "--flops", "1e21")
    assert status == 2
    assert "has no compute-optimal size" in said
    Path("same.csv").write_text("N,D,loss\n" + "1e8,1e9,3\n" * 8)
    assert "all 8 points have the same N" in tell("chinchilla", "same.csv")[2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chinchilla runs.csv --flops nan", "--flops nan: expected between"),
        ("chinchilla runs.csv --flops -1", "--flops -1: expected between"),
        ("kaplan runs.csv --flops 1e300", "for example --flops 5.76e23"),
        ("envelope runs.csv --flops 0", "--flops 0"),
        ("isoflop runs.csv --noise -0.1", "--noise -0.1: expected between 0 and 0.5"),
        ("isoflop runs.csv --noise nan", "--noise nan"),
        ("isoflop runs.csv --noise 7", "--noise 7"),
        ("chinchilla runs.csv --delta nan", "--delta nan: expected between 0 and 10"),
        ("chinchilla runs.csv --delta -1", "--delta -1"),
        ("critical domain.csv --base nan", "--base nan: expected between"),
        ("critical domain.csv --base 0", "--base 0"),
        ("critical domain.csv --base 1e9", "--base 1e+09"),
        ("chinchilla runs.csv --drop-highest 99", "--drop-highest 99: there are 36 runs"),
        ("chinchilla runs.csv --counting 全部", "--counting: '全部' is no way"),
        ("chinchilla runs.csv --column X=Y", "expected NAME=COLUMN"),
        ("chinchilla runs.csv --loss 损失", "has no column '损失'"),
        ("chinchilla runs.csv --predict N=-1,D=1e9", "--predict: 'N' is -1"),
        ("repeated repeats.csv --predict N=1e8,D=1e9,U=1e10", "--predict: 1e+10 unique tokens of 1e+09 trained on"),
        ("chinchilla runs.csv --predict N=1e8", "D is missing"),
        ("chinchilla runs.csv --predict N=1e8,N=1e8,D=1e9", "N is given twice"),
        ("chinchilla runs.csv --predict N=inf,D=1e9", "expected a finite number"),
        ("chinchilla runs.csv --plot fit.png", "does not end in .svg"),
        ("chinchilla runs.csv --out folder", "--out: folder is a folder"),
        ("dcpt domain.csv --at N=1e9,D=2e10", "--at: what is asked?"),
        ("dcpt domain.csv --general general.csv", "--general: what is asked?"),
        ("dcpt domain.csv --keep-general 3", "need the general losses"),
        ("dcpt domain.csv --general general.csv --keep-general 3", "--at N=…,D=… is missing"),
        ("dcpt domain.csv --general general.csv --keep-general 1 --at N=1e9,D=2e10", "no share gives a general loss"),
        ("dcpt domain.csv --at N=1e9 --domain-tokens -5B", "--domain-tokens -5e+09"),
        ("dcpt domain.csv --at N=0 --domain-tokens 5B", "--at N 0"),
        ("mixing mixtures.csv --domains 网页,代码 --targets 损失", "the shares sum to"),
        ("mixing mixtures.csv --domains 网页,网页 --targets 损失", "'网页' stands twice"),
        (
            "isoflop runs.csv --method foo",
            "--method foo: 'foo' is not one of 'akima', 'parabola' (for example --method akima)",
        ),
        ("critical flat-shares.csv --base 3", "flat-shares.csv: all runs have the same loss: no share changes it"),
        ("mixing mixtures.csv --domains 网页,,书籍 --targets 损失", "a name is empty"),
        ("mixing mixtures.csv --domains 网页,代码,书籍 --targets 损失 --predict 网页=2,代码=-1,书籍=0", "sum to 1"),
        ("mixing mixtures.csv --domains 网页,代码,书籍 --targets 损失 --members forest", "is no model of mixtures"),
        ("nested mixtures.csv --domains 网页,代码,书籍 --targets 损失", "nothing to carry the losses along"),
        (
            "nested mixtures.csv --domains 网页,代码,书籍 --targets 损失 --steps 步",
            "--steps and --to-steps go together",
        ),
        ("nested one.csv --domains web,code --targets loss --steps step --to-steps 0", "--to-steps 0: expected"),
        (
            "chinchilla runs.csv --predict N=7GB,D=1e9",
            "--predict N=7GB: expected NAME=NUMBER (a number such as 0.3, 1e9 or 7B)",
        ),
    ],
)
def test_a_bad_option_is_named(tell, line: str, said: str) -> None:
    status, printed, complaint = tell(*line.split())
    assert status == 2
    assert printed == ""
    assert said in complaint


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chinchilla contrary.csv", "contrary.csv:3: C is 9e+17, but 6 N D is 1.2e+18, and 1 more row of"),
        ("dcpt far-share.csv", "far-share.csv:4: 'r' is 1.5: a share is between 0 and 1"),
        ("critical far-share.csv --base 3", "far-share.csv:4: 'r' is 1.5: a share is between 0 and 1"),
        ("mixing sums.csv --domains web,code --targets loss", "sums.csv:3: the shares sum to 0.8, they must sum to 1"),
        ("repeated unread.csv", "unread.csv:3: 2e+09 unique tokens of 1e+09 trained on"),
        ("chinchilla runs.csv --predict N=0,D=1e9", "--predict: 'N' is 0: it must be above 0"),
        ("mixing two.csv --domains web,code --targets loss", "two.csv: 2 different mixtures; at least 3 are needed"),
        (
            "mixing three.csv --domains web,code --targets loss --members share",
            "--members: 'share' is no model of mixtures (did you mean 'shares'?)",
        ),
        ("isoflop contrary.csv", "contrary.csv:3: C is 9e+17, but 6 N D is 1.2e+18"),
        ("kaplan contrary.csv --variable C", "contrary.csv:3: C is 9e+17, but 6 N D is 1.2e+18"),
        ("chinchilla runs.csv --column N=D", "--column: the column 'D' is read as N and as D (name another)"),
        ("chinchilla runs.csv --loss N", "--loss: the column 'N' is read as N and as loss"),
        ("chinchilla runs.csv --column N=D --column N=N", "--column N=N: N is named twice"),
        (
            "dcpt domain.csv --general domain.csv --at N=1e9,D=2e10 --keep-general 3",
            "--general: domain.csv is the domain's file too (give the general losses)",
        ),
        (
            "mixing one.csv --domains web,code --targets code",
            "--targets: the column 'code' is read as a domain and as a target",
        ),
        (
            "mixing one.csv --domains web,code --targets loss --group web",
            "--group: the column 'web' is read as a domain and as the group",
        ),
        (
            "nested one.csv --domains web,code --targets loss --steps loss --to-steps 100k",
            "--steps: the column 'loss' is read as a target and as steps",
        ),
        (
            "nested one.csv --domains web,code --targets loss --steps step --to-steps 1k --sizes step --to-size 1B",
            "--sizes: the column 'step' is read as steps and as sizes",
        ),
    ],
)
def test_input_that_contradicts_itself_is_one_sentence(tell, line: str, said: str) -> None:
    status, printed, complaint = tell(*line.split(), "--out", "never.json")
    assert (status, printed, complaint.count("\n")) == (2, "", 1)
    assert said in complaint
    assert not Path("never.json").exists()


def test_compute_that_agrees_with_the_others_is_welcome(tell, folder: Path) -> None:
    """Tokens of whole steps: C may be off by a per cent."""
    head, *rows = (folder / "runs.csv").read_text(encoding="utf-8").splitlines()
    cells = [list(map(float, row.split(","))) for row in rows]
    more = [f"{row},{6.05 * n * d}" for row, (n, d, _) in zip(rows, cells, strict=True)]
    (folder / "agree.csv").write_text("\n".join([f"{head},C", *more]) + "\n", encoding="utf-8")
    with_compute, without = (json.loads(tell("chinchilla", name, "--json")[1]) for name in ("agree.csv", "runs.csv"))
    assert with_compute == without


@pytest.mark.parametrize(
    ("law", "file", "rest"),
    [
        ("chinchilla", "runs.csv", ""),
        ("isoflop", "profiles.csv", ""),
        ("mixing", "mixtures.csv", "--domains 网页,代码,书籍 --targets 损失 --members shares"),
    ],
)
def test_rows_that_say_the_same_are_counted_and_told(tell, folder: Path, law: str, file: str, rest: str) -> None:
    c, n = (x.ravel() for x in np.meshgrid(np.geomspace(1e18, 1e20, 4), np.geomspace(1e7, 1e9, 9)))
    _write(folder / "profiles.csv", "C,N,loss", c, n, Chinchilla().predict(BESIROGLU, N=n, D=c / 6 / n))
    head, *rows = (folder / file).read_text(encoding="utf-8").splitlines()
    (folder / "copied.csv").write_text("\n".join([head, *rows, *rows[:2]]) + "\n", encoding="utf-8")
    alone, copied = (json.loads(tell(law, name, *rest.split(), "--json")[1]) for name in (file, "copied.csv"))
    said = f"2 of {len(rows) + 2} rows repeat others, and count as a run of its own: equal to the last digit"
    assert any(one.startswith(said) for one in copied["warnings"])
    assert not any("repeat" in one for one in alone["warnings"])


def test_repeated_rows_are_counted_behind_what_was_left_out(tell, folder: Path) -> None:
    head, *rows = (folder / "runs.csv").read_text(encoding="utf-8").splitlines()
    rows.sort(key=lambda row: -float(row.rpartition(",")[2]))
    (folder / "twin.csv").write_text("\n".join([head, *rows, rows[0], rows[-1]]) + "\n", encoding="utf-8")
    of_all, of_rest = (
        [one for one in json.loads(tell("chinchilla", "twin.csv", *more, "--json")[1])["warnings"] if "repeat" in one]
        for more in ([], ["--drop-highest", "2"])
    )
    assert of_all[0].startswith(f"2 of {len(rows) + 2} rows repeat others")
    assert of_rest[0].startswith(f"1 of {len(rows)} row repeats another")


def test_counts_have_suffixes_wherever_they_stand(tell, folder: Path) -> None:
    resamples, plain = (tell("chinchilla", "runs.csv", "--bootstrap", n, "--json") for n in ("0.02k", "20"))
    assert resamples == plain
    assert tell("chinchilla", "runs.csv", "--seed", "1k", "--json") == tell(
        "chinchilla", "runs.csv", "--seed", "1000", "--json"
    )
    short, long = (
        tell("chinchilla", "runs.csv", "--predict", place, "--json")[1] for place in ("N=7B,D=1.4T", "N=7e9,D=1.4e12")
    )
    assert json.loads(short) == json.loads(long)
    at = ("--domain-tokens", "5B", "--json")
    assert tell("dcpt", "domain.csv", "--at", "N=1B", *at) == tell("dcpt", "domain.csv", "--at", "N=1e9", *at)
    rows = [line.split(",") for line in (folder / "runs.csv").read_text(encoding="utf-8").splitlines()[1:]]
    sizes = [",".join([f"{float(n) / 1e6!r}M", f"{float(d) / 1e9!r}B", y]) for n, d, y in rows]
    (folder / "suffixes.csv").write_text("\n".join(["N,D,loss", *sizes]) + "\n", encoding="utf-8")
    found, plain = (json.loads(tell("chinchilla", name, "--json")[1]) for name in ("suffixes.csv", "runs.csv"))
    assert found["parameters"] == pytest.approx(plain["parameters"], rel=1e-3)


def test_errors_have_their_units(tell) -> None:
    told = [
        " ".join(line.split()) for line in tell("chinchilla", "runs.csv", "--predict", "N=7B,D=1.4T")[1].splitlines()
    ]
    start = told.index("held out")
    assert told[start + 1] == "how 5 folds"
    assert re.fullmatch(r"mean error \S+ nats a token", told[start + 3])
    assert re.fullmatch(r"largest error \S+ nats a token", told[start + 4])
    assert re.fullmatch(r"mean error \S+ %", told[start + 5])
    assert any(re.fullmatch(r"value \S+ nats a token", line) for line in told)
    assert "N 7e+09" in told  # where the prediction is has no unit of a loss


def test_an_envelope_of_too_few_budgets_says_so_without_empty_words(tell, folder: Path) -> None:
    """Three curves that meet in one place, where the middle one is lowest."""
    rows = ["1e7,6e9,3.1", "1e7,6.01e9,3.1", "1e8,6e8,3.0", "1e8,6.01e8,3.0", "1e9,6e7,3.2", "1e9,6.01e7,3.2"]
    (folder / "meeting.csv").write_text("\n".join(["N,D,loss", *rows]), encoding="utf-8")
    status, _, said = tell("envelope", "meeting.csv")
    assert "()" not in said
    assert status == 0 or "3 are needed" in said


def test_chinese_names_are_names(tell) -> None:
    assert tell("chinchilla", "中文.csv", "--column", "N=参数", "--column", "D=词元", "--loss", "损失")[0] == 0
    columns = ["--domains", "网页,代码,书籍", "--targets", "损失"]
    status, printed, _ = tell("mixing", "mixtures.csv", *columns, "--optimise", "--plot", "图.svg")
    assert status == 0
    assert "网页" in printed
    assert "书籍" in Path("图.svg").read_text(encoding="utf-8")


def test_json_is_json_whatever_was_fitted(tell, folder: Path, tmp_path: Path) -> None:
    _write(folder / "flat.csv", "N,loss", np.geomspace(1e7, 1e9, 6), np.full(6, 3.0))
    status, told, _ = tell("kaplan", "flat.csv", "--variable", "N", "--json", "--out", str(tmp_path / "out.json"))
    found = json.loads(told, parse_constant=pytest.fail)
    assert status == 0
    assert None in found["parameters"].values()
    assert json.loads((tmp_path / "out.json").read_text(), parse_constant=pytest.fail) == found


def test_the_questions_of_dcpt_are_answered_as_the_laws_answer_them(tell) -> None:
    """From exact points both laws are found again, and with them the shares that the true laws give."""
    both = ["--general", "general.csv", "--at", "N=1e9,D=2e10", "--keep-general", "3.0", "--reach-domain", "2.45"]
    found = json.loads(tell("dcpt", "domain.csv", *both, "--json")[1])
    domain, general = curves(DOMAIN, GENERAL, 1e9, 2e10)
    assert found["keep_general"]["domain_share"] == pytest.approx(
        share_for_general(domain, general, 3.0).share, abs=0.01
    )
    assert found["reach_domain"]["domain_share"] == pytest.approx(
        share_for_domain(domain, general, 2.45).share, abs=0.01
    )
    assert found["keep_general"]["general_loss"] == pytest.approx(3.0, abs=1e-6)
    together = json.loads(tell("dcpt", "domain.csv", *both, "--domain-tokens", "5B", "--json")[1])
    alone = found
    found = json.loads(tell("dcpt", "domain.csv", "--at", "N=1e9", "--domain-tokens", "5B", "--json")[1])
    assert together == alone | found
    share, total, loss = share_for_limited_tokens(DOMAIN, 1e9, 5e9)
    assert found["limited_domain_tokens"]["domain_share"] == pytest.approx(share, abs=0.02)
    assert found["limited_domain_tokens"]["tokens_in_all"] == pytest.approx(total, rel=0.05)
    assert found["limited_domain_tokens"]["domain_loss"] == pytest.approx(loss, abs=0.002)


def test_a_share_beyond_the_points_of_either_law_is_told(tell, folder: Path) -> None:
    n, d, r = (x.ravel() for x in np.meshgrid([1e8, 3e8, 1e9], np.geomspace(1e9, 2e10, 4), np.linspace(0.9, 0.98, 5)))
    _write(folder / "little.csv", "N,D,r,loss", n, d, r, DCPT().predict(GENERAL, N=n, D=d, r=r))
    asked = ["--general", "little.csv", "--at", "N=1e9,D=4e10", "--keep-general", "3.2", "--json"]
    told = json.loads(tell("dcpt", "domain.csv", *asked)[1])["keep_general"]["warnings"]
    assert [one.partition(" = ")[0] for one in told] == ["domain law: D", "general law: D", "general law: r"]


@pytest.mark.parametrize("law", ["chinchilla", "kaplan", "isoflop", "envelope"])
def test_an_optimum_is_told_alike_of_every_law_and_once_where_it_is_extrapolated(tell, law: str) -> None:
    resamples = [] if law == "envelope" else ["--bootstrap", "50"]
    found = json.loads(tell(law, "runs.csv", "--flops", "1e24", *resamples, "--json")[1])["optimum"]
    assert found["tokens_per_parameter"]["value"] == pytest.approx(
        found["tokens"]["value"] / found["parameters"]["value"]
    )
    assert 6 * found["tokens"]["value"] * found["parameters"]["value"] == pytest.approx(1e24)
    for name in ("parameters", "tokens", "tokens_per_parameter"):
        low, high = found[name]["interval"] or (0, float("inf"))
        assert low <= found[name]["value"] <= high
    (said,) = found["warnings"]
    assert said.startswith("1e+24 FLOP lies outside the ")
    assert tell(law, "runs.csv", "--flops", "1e24", *resamples)[1].count("lies outside") == 1


def test_few_resamples_are_no_interval(tell) -> None:
    few, more = (json.loads(tell("chinchilla", "runs.csv", "--bootstrap", n, "--json")[1]) for n in ("3", "60"))
    assert "3 resamples are too few for the ends of a 95 % interval: draw 200 or more" in few["warnings"]
    assert not any("resamples" in one for one in more["warnings"])


def test_names_of_columns_and_parameters_are_printed_as_they_are(tell, folder: Path) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(2), 9)
    _write(folder / "under_scores.csv", "the_web,my_code,my_loss", *shares.T, 2 + 0.3 * (shares @ [1, 0.2]) ** -0.3)
    asked = ["under_scores.csv", "--domains", "the_web,my_code", "--targets", "my_loss", "--members", "shares"]
    told = tell("mixing", *asked, "--optimise", "--predict", "the_web=0.5,my_code=0.5")[1]
    for name in ("the_web", "my_code", "my_loss", "mean loss of average mixture", "held out"):
        assert f"  {name} " in told or name == "held out", name
    assert "alpha_N" in tell("kaplan", "runs.csv")[1]


def test_of_several_groups_the_one_that_is_meant_is_told(tell, folder: Path) -> None:
    shares = np.tile(np.random.default_rng(0).dirichlet(np.ones(2), 8), (2, 1))
    sizes = np.repeat(["small", "large"], 8)
    loss = 2 + 0.3 * (shares @ [1, 0.2]) ** -0.3 - 0.2 * (sizes == "large")
    runs = zip(shares.tolist(), sizes, loss.tolist(), strict=True)
    rows = [f"{web!r},{code!r},{size},{y!r}" for (web, code), size, y in runs]
    (folder / "groups.csv").write_text("\n".join(["web,code,size,loss", *rows]) + "\n", encoding="utf-8")
    asked = ["groups.csv", "--domains", "web,code", "--targets", "loss", "--group", "size", "--members", "shares"]
    asked += ["--predict", "web=0.5,code=0.5", "--optimise"]
    found = json.loads(tell("mixing", *asked, "--json")[1])
    assert found["prediction"]["group"] == found["best"]["group"] == "large"
    told = [line.split(maxsplit=1) for line in tell("mixing", *asked)[1].splitlines()]
    assert ["groups", "small, large"] in told
    assert told.count(["group", "large"]) == 2


def test_a_group_of_one_run_is_told(tell, folder: Path) -> None:
    rows = [f"{r},{1 - r},{'s' if at else 'l'},{3 - r / 9}" for at, r in enumerate((0.25, 0.5, 0.75, 0.125))]
    (folder / "alone.csv").write_text("\n".join(["web,code,size,loss", *rows]) + "\n", encoding="utf-8")
    asked = ["alone.csv", "--domains", "web,code", "--targets", "loss", "--group", "size", "--members", "shares"]
    said = json.loads(tell("mixing", *asked, "--json")[1])["warnings"]
    assert said == ["1 of 2 groups are one run each, which says its group's level and no more"]


def test_of_the_smallest_share_that_is_looked_at_it_is_told(tell) -> None:
    asked = ["dcpt", "domain.csv", "--at", "N=1e9", "--json", "--domain-tokens"]
    for tokens, lean in (("1k", True), ("5B", False)):
        said = json.loads(tell(*asked, tokens)[1])["limited_domain_tokens"]["warnings"]
        assert any("0.01 is the smallest share that is looked at" in one for one in said) == lean


def test_only_two_numbers_are_an_interval() -> None:
    lines = _lines({"interval": (1.0, 2.5), "names": ["a", "b"], "counts": [1, 2], "three": [0.5, 1.0, 1.5]})
    assert [line.split(maxsplit=1)[1] for line in lines] == ["1 to 2.5", "a, b", "1, 2", "0.5, 1, 1.5"]


@pytest.mark.parametrize("law", LAWS)
def test_a_result_never_takes_the_place_of_what_is_read(tell, folder: Path, law: str) -> None:
    before = (folder / "one.csv").read_bytes()
    status, _, said = tell(law, "one.csv", *LAWS[law].split(), "--out", "folder/../one.csv")
    assert (status, said.count("\n")) == (2, 1)
    assert "is read by this command (give the result another name)" in said
    assert (folder / "one.csv").read_bytes() == before


def test_nor_of_the_general_losses_nor_of_the_other_result(tell, folder: Path) -> None:
    asked = ("dcpt", "domain.csv", "--general", "general.csv", "--at", "N=1e9,D=2e10", "--keep-general", "3")
    before = (folder / "general.csv").read_bytes()
    assert "--out: general.csv is read by this command" in tell(*asked, "--out", "general.csv")[2]
    assert (folder / "general.csv").read_bytes() == before
    assert "--plot: both.svg is the file of --out too" in tell(*asked, "--out", "both.svg", "--plot", "both.svg")[2]
    assert not (folder / "both.svg").exists()
