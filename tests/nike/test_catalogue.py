"""The command `nike catalogue`: one-line errors that leave no files, and continuation of a plan."""

import pytest

pytest.importorskip("pyarrow", reason="pip install -e '.[catalogue]' brings it")

from nike import catalogue
from nike.cataloguing import pipeline, run
from nike.cataloguing.plan import open_plan
from nike.cataloguing.report import Report


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "products.csv"
    path.write_text("id,url\n" + "".join(f"{i},http://a.example/{i}.jpg\n" for i in range(20)))
    return str(path)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "tiny.h5"
    path.write_bytes(b"weights")
    return str(path)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--shard-size", "0"], "--shard-size: expected a number above 0, got 0"),
        (["--actors", "-1"], "--actors: expected a number above 0, got -1"),
        (["--timeout", "nan"], "--timeout: expected a number above 0, got nan"),
        (["--gpus", "-1"], "--gpus: expected 0 or more"),
        (["--id-column", "sku"], "expected a column 'sku', got columns id, url"),
        (["--weights", "none.h5"], "--weights"),
    ],
)
def test_user_errors(table, weights, tmp_path, capsys, options, message):
    assert catalogue.main([table, str(tmp_path / "out"), "--weights", weights, *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert open_plan(tmp_path / "out") is None


def test_missing_input_and_bad_output(table, tmp_path, capsys):
    assert catalogue.main([str(tmp_path / "no.csv"), str(tmp_path / "out")]) == 2
    assert catalogue.main([table, table]) == 2
    assert "no such file" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_run_is_continued_with_the_same_options_only(table, weights, tmp_path, capsys, monkeypatch):
    seen = []

    def process_all(output, plan, load, limits, pool, show, **options):
        seen.append((plan.rows, plan.shards, limits, pool))
        return Report(plan.rows, show)

    monkeypatch.setattr(run, "process_all", process_all)
    command = [table, str(tmp_path / "out"), "--weights", weights, "--shard-size", "6", "--limit", "15"]
    assert catalogue.main(command) == 0
    assert catalogue.main([*command, "--actors", "3", "--per-host", "2", "--allow-private"]) == 0
    assert [item[:2] for item in seen] == [(15, 3), (15, 3)]
    assert seen[1][3] == pipeline.Pool(3) and (seen[1][2].per_host, seen[1][2].allow_private) == (2, True)
    assert catalogue.main([*command, "--min-confidence", "0.2"]) == 2
    assert "was started with options" in capsys.readouterr().err
    with open(table, "a") as file:
        file.write("20,http://a.example/20.jpg\n")
    assert catalogue.main(command) == 2
    assert "was started with input" in capsys.readouterr().err


def test_after_ctrl_c_a_message_explains_how_to_continue(table, weights, tmp_path, capsys, monkeypatch):
    def process_all(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "process_all", process_all)
    assert catalogue.main([table, str(tmp_path / "out"), "--weights", weights]) == 130
    assert capsys.readouterr().err.strip() == "Interrupted. Repeat the command to continue."
