"""`explorer compare` and `explorer autopsy` on runs of the demo models, as people and machines call them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from explorer.cli import app
from explorer.data.aerial import make_aerial

run = CliRunner().invoke


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data") / "aerial"
    make_aerial(folder, images=4, seed=2, size=(160, 200))
    return f"{folder}:val"


@pytest.fixture(scope="module")
def runs(data: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for name in ("demo/V-19-slim-dw", "demo/MobileNetV2"):
        made.append(folder / name.replace("/", "-"))
        words = ["evaluate", name, "--data", data, "--out", str(made[-1]), "--device", "cpu"]
        assert run(app, [*words, "INPUT.MIN_SIZE_TEST", "160"]).exit_code == 0
    return made


def test_two_runs_are_compared(runs: list[Path], tmp_path: Path) -> None:
    words = ["compare", *map(str, runs), "--out", str(tmp_path), "--resamples", "30", "--score", "0.3"]
    done = run(app, words)
    assert done.exit_code == 0, done.output
    for part in ("demo/MobileNetV2", "AP small", "only A", "what would settle it", "report.html"):
        assert part in done.stdout
    document = json.loads((tmp_path / "report.json").read_text())
    assert [own["name"] for own in document["runs"]] == ["demo/V-19-slim-dw", "demo/MobileNetV2"]
    evaluated = json.loads((runs[0] / "metrics.json").read_text())["values"]["bbox"]
    assert document["runs"][0]["figures"]["AP"] == pytest.approx(evaluated["AP"], abs=1e-9)
    assert {"found_by"} <= set(json.loads((tmp_path / "objects.json").read_text())["annotations"][0])
    assert "plotly" in (tmp_path / "report.html").read_text()
    again = run(app, [*words, "--json", "-"])
    assert json.loads(again.stdout) | {"date": document["date"]} == document


def test_images_are_resampled_in_groups(runs: list[Path], tmp_path: Path) -> None:
    words = ["compare", *map(str, runs), "--out", str(tmp_path), "--resamples", "5", "--group"]
    done = run(app, [*words, "^."])
    assert done.exit_code == 0, done.output
    assert "groups of the 4 images" in done.stdout
    assert "too few groups" in done.stdout
    assert "(objects in groups)" in " ".join(done.stdout.split())
    (own, _), (pair,) = (json.loads((tmp_path / "report.json").read_text())[key] for key in ("runs", "pairs"))
    assert own["groups"]["number"] == own["by_size"]["AP"]["all"]["groups"] == pair["objects"][0]["groups"] == 1
    assert pair["objects"][0]["no_interval"] == "too few groups"
    assert "resamples of the groups of images" in (tmp_path / "report.html").read_text()
    refused = run(app, [*words, "scene"])
    assert refused.exit_code == 2
    assert "the images do not say which scene they show" in refused.stderr


def test_a_named_protocol_is_that_of_both_runs(runs: list[Path], tmp_path: Path) -> None:
    words = ["compare", *map(str, runs), "--out", str(tmp_path), "--resamples", "5", "--sizes", "ai-tod"]
    done = run(app, words)
    assert done.exit_code == 0, done.output
    for part in ("AP very tiny", "AP medium", "very tiny ("):
        assert part in done.stdout
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["runs"][0]["protocol"]["max_detections"] == [1, 100, 1500]
    assert list(document["runs"][0]["fates"]) == ["all", "very tiny", "tiny", "small", "medium"]
    assert "sizes ai-tod" in (tmp_path / "report.html").read_text()


def test_results_of_another_detector_become_a_run(runs: list[Path], data: str, tmp_path: Path) -> None:
    results, out = runs[1] / "coco_instances_results.json", tmp_path / "theirs"
    done = run(app, ["evaluate", "--results", str(results), "--data", data, "--out", str(out), "--name", "theirs"])
    assert done.exit_code == 0, done.output
    assert "theirs on" in done.stdout
    own, others = (json.loads((folder / "metrics.json").read_text())["values"]["bbox"] for folder in (out, runs[1]))
    assert own == pytest.approx(others, nan_ok=True)
    facts = json.loads((out / "run.json").read_text())
    assert (facts["model"], facts["data"], len(facts["results"]["sha256"])) == ("theirs", data, 64)
    assert (out / "report.html").is_file()
    words = ["compare", str(runs[0]), str(out), "--resamples", "5", "--out", str(tmp_path / "comparison")]
    assert run(app, words).exit_code == 0
    done = run(app, ["autopsy", str(out)])
    assert done.exit_code == 0, done.output
    assert "Give the model with --model" in done.stderr
    for call, say in (
        (["evaluate", "demo/V-19-slim-dw", "--results", str(results), "--data", data], "scored unchanged"),
        (["evaluate", "--data", data], "give a MODEL to run"),
        (["evaluate", "demo/V-19-slim-dw", "--data", data, "--name", "x"], "only be used with --results"),
    ):
        refused = run(app, call)
        assert refused.exit_code == 2
        assert say in refused.stderr


def test_conditions_fail_a_check_only_where_the_interval_says_so(
    runs: list[Path], data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enough images, so that there are intervals; B has a tenth of A's detections."""
    from explorer.data.aerial import make_aerial

    make_aerial(tmp_path / "more", images=24, seed=3, size=(120, 160))
    truth = json.loads((tmp_path / "more/annotations/instances_val.json").read_text())
    good = [{key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9} for a in truth["annotations"]]
    for name, own in (("good", good), ("bad", good[::10])):
        (tmp_path / f"{name}.json").write_text(json.dumps(own))
    words = ["--data", f"{tmp_path / 'more'}:val", "--resamples", "50", "--out", str(tmp_path / "out")]
    files = ["--junit", str(tmp_path / "junit.xml"), "--markdown", str(tmp_path / "summary.md")]
    a, b = (str(tmp_path / f"{name}.json") for name in ("good", "bad"))
    done = run(app, ["compare", a, b, *words, *files, "--fail-if", "AP < -0.5", "--fail-if", "AP50 > 1"])
    assert done.exit_code == 1, done.output
    assert "AP < -0.5: failed. bad − good is −" in done.stderr
    assert "AP50 > 1: passed" in done.stderr
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "the whole interval" in (failure.get("message") or "")
    summary = (tmp_path / "summary.md").read_text()
    assert "failed" in summary
    assert "| AP all" in summary
    assert run(app, ["compare", a, a, *words, "--fail-if", "AP < -0.5"]).exit_code == 0
    few = run(
        app,
        ["compare", *map(str, runs), "--resamples", "5", "--out", str(tmp_path / "few"), "--fail-if", "AP < 50"],
    )
    assert few.exit_code == 0, few.output
    assert "AP < 50: no interval" in few.stderr
    none = run(app, ["compare", a, a, *words, "--sizes", "4000", "--fail-if", "AP 4000– < 1"])
    assert "The data has no objects that this figure is of." in " ".join(none.stderr.split()), none.output
    for given, say in (("APs", "is not a condition"), ("APx < 1", "no figure 'APx'; there are AP, AP50")):
        with monkeypatch.context() as before:
            before.setattr("explorer.api.compare.compare", None)  # refused before anything is compared
            refused = run(app, ["compare", a, a, *words, "--fail-if", given])
        assert refused.exit_code == 2
        assert say in refused.stderr
    assert "--junit writes" in run(app, ["compare", a, a, *words, *files]).stderr
    seeds = ["compare", f"{a},{tmp_path / 'good2.json'}", f"{b},{tmp_path / 'bad2.json'}", *words, *files]
    for name in ("good", "bad"):
        (tmp_path / f"{name}2.json").write_text((tmp_path / f"{name}.json").read_text())
    done = run(app, [*seeds, "--fail-if", "AP < -0.5"])
    assert done.exit_code == 1, done.output
    assert "AP < -0.5: failed" in done.stderr


def test_runs_on_other_images_are_compared_by_force_alone(runs: list[Path], data: str, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer"
    words = ["evaluate", "demo/MobileNetV2", "--data", data, "--limit", "3", "--out", str(fewer), "--device", "cpu"]
    assert run(app, [*words, "INPUT.MIN_SIZE_TEST", "160"]).exit_code == 0
    for recipes in ([str(runs[0]), str(fewer)], [f"{runs[0]},{runs[1]}", f"{fewer},{runs[1]}"]):
        words = ["compare", *recipes, "--out", str(tmp_path / "out"), "--resamples", "5"]
        refused = run(app, words)
        assert refused.exit_code == 2
        assert "they were run on 4 and 3 images" in refused.stderr
        assert "--force compares them anyway" in refused.stderr
        assert not (tmp_path / "out").exists()
    forced = run(
        app, ["compare", str(runs[0]), str(fewer), "--out", str(tmp_path / "out"), "--resamples", "5", "--force"]
    )
    assert forced.exit_code == 0, forced.output
    said = "Compared by force although the runs differ"
    assert said in " ".join(forced.stdout.split())
    assert said in (tmp_path / "out" / "report.html").read_text()
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert all(any(said in note for note in own["notes"]) for own in document["runs"])


def test_any_detectors_results_are_compared(runs: list[Path], data: str, tmp_path: Path) -> None:
    files = [str(folder / "coco_instances_results.json") for folder in runs]
    done = run(app, ["compare", *files, "--data", data, "--out", str(tmp_path), "--resamples", "5"])
    assert done.exit_code == 0, done.output
    assert "coco_instances_results (1)" in done.stdout


def test_results_may_go_by_file_names(runs: list[Path], data: str, tmp_path: Path) -> None:
    results = json.loads((runs[0] / "coco_instances_results.json").read_text())
    named = [own | {"image_id": f"{own['image_id'] - 1:06d}"} for own in results]  # aerial scenes are numbered from 0
    for name, entries in (("ids", results), ("names", named)):
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
    files = [str(tmp_path / "ids.json"), str(tmp_path / "names.json")]
    words = ["compare", *files, "--data", data, "--out", str(tmp_path), "--resamples", "5", "--json", "-"]
    done = run(app, words)
    assert done.exit_code == 0, done.output
    one, other = json.loads(done.stdout)["runs"]
    assert one["figures"] == other["figures"]
    for command in (["compare", *files], ["autopsy", files[1]]):
        done = run(app, [*command, "--data", data, "--out", str(tmp_path), "--match-by", "id"])
        assert done.exit_code == 2
        assert "not among the 4 images" in done.stderr


def test_recipes_with_several_seeds_are_compared_by_their_means(runs: list[Path], tmp_path: Path) -> None:
    a, b = map(str, runs)  # two models stand for two seeds
    words = ["compare", f"{a},{b}", f"{b},{a}", "--out", str(tmp_path), "--resamples", "20"]
    done = run(app, words)
    assert done.exit_code == 0, done.output
    for part in ("demo/V-19-slim-dw, 2 seeds", "demo/MobileNetV2 −", "AP small", "of the variance"):
        assert part in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    document = json.loads((tmp_path / "report.json").read_text())
    evaluated = [json.loads((folder / "metrics.json").read_text())["values"]["bbox"] for folder in runs]
    mean = sum(own["APs"] for own in evaluated) / 2
    first, second = document["recipes"]
    assert first["by_size"]["AP"]["small"]["value"] == pytest.approx(mean, abs=1e-9)
    assert [seed["APs"] for seed in first["seeds"]] == pytest.approx([own["APs"] for own in evaluated], abs=1e-9)
    assert second["by_size"]["AP"]["small"]["value"] == pytest.approx(mean, abs=1e-9)
    (pair,) = document["pairs"]
    small = pair["differences_b_minus_a"]["AP"]["small"]
    assert small["value"] == pytest.approx(0, abs=1e-9)
    assert (small["low"], small["high"], small["no_interval"]) == (None, None, "too few images")  # four images
    assert small["objects"] > small["images"] > 0
    assert small["seed_share"] == pytest.approx(1)  # both have the same runs, so that images tell nothing
    assert json.loads(run(app, [*words, "--json", "-"]).stdout) | {"date": document["date"]} == document


def test_objects_are_followed_through_the_runs_model(runs: list[Path]) -> None:
    done = run(app, ["autopsy", str(runs[0]), "--device", "cpu", "--json", "-"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    counts = document["autopsy"]["all"]
    truth = json.loads((runs[0] / "objects.json").read_text())["annotations"]
    assert sum(counts.values()) == len(truth)
    assert {"verdict", "error_type", "fpn_level"} <= set(truth[0])
    assert json.loads((runs[0] / "autopsy.json").read_text())["by_size"]["all"] == counts
    assert json.loads((runs[0] / "report.json").read_text())["autopsy"]["all"] == counts
    verified = run(app, ["autopsy", str(runs[0]), "--device", "cpu", "--verify"])
    lost = json.loads((runs[0] / "report.json").read_text()).get("autopsy_verified")
    assert ("nothing to verify" in verified.stdout) == (not lost)
    assert ("get past it" in verified.stdout) == bool(lost)
    page = (runs[0] / "report.html").read_text()
    assert "Where objects are lost" in page


def test_without_a_model_it_says_what_detections_tell(runs: list[Path], data: str, tmp_path: Path) -> None:
    file = str(runs[1] / "coco_instances_results.json")
    done = run(app, ["autopsy", file, "--data", data, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Give the model with --model" in done.stderr
    assert "scored below the threshold: score <" in done.stdout
    assert "found by a detection of its class with IoU ≥ 0.5, score ≥ 0." in done.stdout
    assert not (tmp_path / "autopsy.json").exists()
    words = ["--model", "demo/MobileNetV2", "--device", "cpu", "--score", "0.2", "--iou", "0.6"]
    done = run(app, ["autopsy", file, "--data", data, "--out", str(tmp_path), *words])
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "autopsy.json").read_text())
    assert (document["score_threshold"], document["found"]["score"], document["found"]["iou"]) == (0.05, 0.2, 0.6)
    assert "with IoU ≥ 0.6, score ≥ 0.2" in done.stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["compare", "nowhere", "nothing"], "there is no run 'nowhere'"),
        (["compare", "nowhere"], "needs at least two runs"),
        (
            ["compare", "{run},{other}", "{run}"],
            "a single training does not show the variance between seeds: demo/V-19-slim-dw",
        ),
        (["compare", "{run},{other}", "{run},nowhere"], "there is no run 'nowhere'"),
        (["compare", "{run},{other}", "{run},{run}"], "contains a run twice"),
        (["compare", "{run},{other}", "{other},{run}", "--score", "0.5"], "compare single runs"),
        (["autopsy", "nowhere"], "there is no run 'nowhere'"),
        (["compare", "{run}", "{run}", "--iou", "0.42"], "nothing was matched at IoU 0.42"),
        (["compare", "{run}", "{run}", "--masks"], "boxes without masks"),
        (["compare", "{run}", "{run}", "--score", "0.5", "--precision", "0.5"], "both a score and a precision"),
        (["autopsy", "{run}", "--iou", "0.42"], "nothing was matched at IoU 0.42"),
        (["autopsy", "{run}", "--precision", "7"], "precision is 7; give"),
        (["compare", "{run}", "{run}", "--match-by", "name"], "cannot be matched by 'name': give id or file_name"),
        (["autopsy", "{run}", "--model", "retinanet_V_39_FPN_3x", "--weights", "missing.pth"], "missing.pth"),
    ],
)
def test_wrong_calls_exit_with_2_and_say_why(words: list[str], reason: str, runs: list[Path], tmp_path: Path) -> None:
    called = [word.format(run=runs[0], other=runs[1]) for word in words]
    done = run(app, [*called, "--out", str(tmp_path)])
    assert done.exit_code == 2, done.output
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
