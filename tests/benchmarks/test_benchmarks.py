"""benchmarks/: every command at a tiny size, and the papers' loops compute what the package does. No timing."""

import json
import math
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from cl_condense.common.rng import Purpose
from cl_condense.condensation.engine import Condensation
from cl_condense.condensation.sources.contract import SourceContext
from cl_condense.data import datasets
from cl_condense.data.held_out import split
from cl_condense.data.imageset import ImageSet
from cl_condense.methods.condense import condense
from cl_condense.methods.registry import build
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.build import method_for, training_for
from cl_condense.runs.defaults import DEFAULTS
from cl_condense.runs.run_config import RunConfig
from cl_condense.training.augment import DSA
from cl_condense.training.evaluate import score
from cl_condense.training.protocol import Training
from cl_condense.training.train import train

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
TINY = "--image-size 8 --width 4 --repeats 2 --device cpu --matrix 16".split()
CONDENSING = "--ipc 1 --real-per-class 3 --images 8 --iterations 1".split()
EVALUATING = "--networks 2 --epochs 2".split()
FIGURES = {"seconds", "all_seconds", "peak_bytes", "tflops", "gbs", "share_of_matmul", "share_of_copy"}


@pytest.fixture
def measure(load, monkeypatch, tmp_path):
    """Runs a command of speed.py and returns its record; memory is not measured unless asked for."""
    speed = load("speed")

    def run(*arguments, memory=False):
        if not memory:
            monkeypatch.setattr(speed, "peak_memory", lambda job, side: 4096.0 * job.classes)
        path = tmp_path / "record.json"
        result = CliRunner().invoke(speed.main, [*arguments, *TINY, "--json", str(path)])
        assert result.exit_code == 0, result.output
        return json.loads(path.read_text()) | {"printed": result.output}

    return run


def check(record):
    """A record of one comparison is whole, and every number of it finite and positive."""
    for side in ("reference", "ours"):
        figures = dict(record[side])
        assert set(figures) - {"network_epochs_per_second"} == FIGURES
        assert len(figures["all_seconds"]) == record["repeats"] == 2
        for value in (*figures.pop("all_seconds"), *figures.values()):
            assert math.isfinite(value)
            assert value > 0
    assert 0 < record["ratio"]["min"] <= record["ratio"]["median"] <= record["ratio"]["max"] < math.inf
    assert 0 < record["memory_ratio"] < math.inf


def check_head(record):
    assert {"device", "torch", "threads", "commit"} <= set(record)
    assert set(record["ceilings"]) == {"side", "float32_tflops", "bfloat16_tflops", "copy_gbs"}
    assert min(record["ceilings"].values()) > 0


def test_condense_compares_every_method_that_has_a_reference(measure):
    record = measure("condense", "--classes", "2", *CONDENSING)
    check_head(record)
    assert [r["method"] for r in record["condense"]] == ["dm", "ddm", "dc", "idm", "m3d"]
    for each in record["condense"]:
        check(each)
        assert (each["classes"], each["ipc"], each["size"], each["width"]) == (2, 1, 8, 4)
    assert record["printed"].count("  ratio ") == 5


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own(measure):
    record = measure("condense", "--method", "dm", "--classes", "2", *CONDENSING, memory=True)
    check(record["condense"][0])


def test_evaluate_counts_network_epochs(measure):
    record = measure("evaluate", "--classes", "2", "--ipc", "1", *EVALUATING)
    check_head(record)
    (each,) = record["evaluate"]
    check(each)
    for side in ("reference", "ours"):
        assert each[side]["network_epochs_per_second"] == pytest.approx(2 * 2 / each[side]["seconds"])


def test_classes_fits_slopes_and_draws_them(measure, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    counts = ("--counts", "3", "--counts", "2", "--plot", str(tmp_path / "classes.png"))
    record = measure("classes", *counts, *CONDENSING)
    assert [r["classes"] for r in record["classes"]] == [2, 3]
    for each in record["classes"]:
        check(each)
    assert record["slopes"]["ours_peak_bytes"] == pytest.approx(1)
    assert all(math.isfinite(slope) for slope in record["slopes"].values())
    assert (tmp_path / "classes.png").read_bytes().startswith(b"\x89PNG")


def test_all_runs_everything_into_one_record(measure):
    chosen = ("--method", "m3d", "--classes", "2", "--counts", "2")
    record = measure("all", *chosen, *CONDENSING, *EVALUATING)
    check_head(record)
    for kind in ("condense", "evaluate", "classes"):
        assert len(record[kind]) == 1
        check(record[kind][0])


def test_all_on_a_gpu_has_the_shapes_of_cifar100(load):
    job = load("speed").settle("all", torch.device("cuda"), 1, {"repeats": 3, "ipc": None})
    assert (job.classes, job.images, job.ipc, job.size, job.width, job.real) == (100, 500, 10, 32, 128, 0)
    assert load("speed").settle("condense", torch.device("cuda"), 1, {"repeats": 3}).classes == 10


def test_a_device_that_is_not_there_is_a_usage_error(load):
    result = CliRunner().invoke(load("speed").main, ["condense", "--device", "tpu"])
    assert result.exit_code == 2
    assert "is not here" in result.output


def test_ceilings_prints_them(load):
    result = CliRunner().invoke(load("ceilings").main, "--device cpu --matrix 16 --repeats 1".split())
    assert result.exit_code == 0, result.output
    assert "float32_tflops: " in result.output
    assert "copy_gbs: " in result.output


def test_costs_of_a_network_are_those_by_hand(load):
    net = load("reference_loops").ConvNet((3, 8, 8), 5, 4)
    work, traffic = load("ceilings").costs(net, (3, 8, 8))
    assert work == 27 * 4 * 64 + 64 * 5
    assert traffic == 4 * ((3 + 4) * 64 + 2 * 2 * 4 * 64 + (4 * 64 + 64) + (64 + 5))


def made_up(classes, images):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (classes * images, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return pixels, torch.arange(classes).repeat_interleave(images)


@pytest.mark.parametrize("method", ["dm", "ddm", "dc", "idm", "m3d"])
def test_the_reference_computes_what_the_package_does(load, method):
    """The first iteration's loss, and the images after it: of the first class where each class steps itself."""
    loops = load("reference_loops")
    images, targets = made_up(3, 8)
    real = ImageSet.of(images, targets, normalisation=(MEAN, STD))
    recipe = build(method, "cifar10", augment=DSA("none"), real_per_class=5, iterations=2).settled(2)
    network, seed = MakeConvNet(real.shape, 4), 7
    job = Condensation(real, recipe, ipc=2, network=network, seed=seed)
    net = recipe.source.start(SourceContext(real, network, recipe.augment, seed)).at(0).net

    loop = loops.LOOPS[method](images, targets, MEAN, STD, ipc=2, width=4, real_per_class=5)
    plain = loops.ConvNet(real.shape, 3, 4).requires_grad_(False)
    plain.load_state_dict(net.state_dict())
    mean, std = loop.mean, loop.std
    index, start = real.draw(5, Purpose.REAL_BATCH, seed, 0), recipe.synthetic.start(real, 2, seed)
    batches = loop.images[index]
    loop.pixels.data.copy_(start * std + mean if loop.unit else start)
    loop.new_net = lambda: plain
    loop.queue = [loop.member()] if method == "idm" else None
    loop.train = lambda *member: None
    loop.batch = lambda c, n: batches[c]
    loop.augment = lambda *pair: pair

    torch.testing.assert_close(loop.step(), job.step(), rtol=1e-4, atol=1e-6)
    got = loop.pixels.detach()
    got = (got.clamp(0, 1) - mean) / std if loop.unit else got
    same = slice(1 if recipe.class_steps else None)
    torch.testing.assert_close(got[same], job.state()["pixels"][same], rtol=1e-4, atol=1e-4)
    assert float((got - start)[same].abs().max()) > 1e-3


def test_the_reference_trains_as_the_package_does(load, monkeypatch):
    """Full batches and no augmentation, so that nothing is random."""
    loops, classes = load("reference_loops"), 3
    monkeypatch.setattr(loops, "OPERATIONS", dict.fromkeys(loops.DSA, lambda x, u: x))
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(classes).repeat_interleave(2)
    ours = MakeConvNet((3, 8, 8), 4)(classes)
    plain = loops.ConvNet((3, 8, 8), classes, 4)
    plain.load_state_dict(ours.state_dict())
    loops.train(lambda: plain, images, targets, networks=1, epochs=6)
    train([ours], images, targets, Training(6, augment=None), keys=(0,))
    for got, want in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("operation", DSA().groups)
def test_the_reference_augments_as_the_package_does(load, operation):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 6, 3, 8, 8, generator=generator)
    dsa = DSA(operation)
    for images in (None, 6):
        warp = dsa.draw([0], 3, images=images)
        got = load("reference_loops").OPERATIONS[operation](x[0], warp.u[0])
        torch.testing.assert_close(got, dsa(x, warp)[0], rtol=1e-4, atol=1e-5)


def test_means_that_run_over_whole_classes_are_those_of_one_look(load):
    less, (images, targets) = load("less_work"), made_up(2, 6)
    real = ImageSet.of(images, targets, normalisation=(MEAN, STD))
    recipe = build("ddm", iterations=4, real_per_class=6).reusing(2)
    options = {"ipc": 2, "network": MakeConvNet(real.shape, 4)}
    jobs = [kind(real, recipe, **options) for kind in (Condensation, less.Running)]
    for _ in range(4):
        a, b = (job.step() for job in jobs)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    sizes = [next(iter(view.values())).embedding.shape[1] for view in jobs[1]._kept.values()]
    assert sizes == [12]


@pytest.mark.parametrize("method", ["dm", "idm", "m3d"])
def test_the_reference_begins_with_real_images_and_shows_what_networks_train_on(load, method):
    """Were it scored as mosaics, or in other values, it would be a weak reference."""
    images = torch.randint(256, (24, 3, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
    targets = torch.arange(2).repeat_interleave(12)
    real = ImageSet.of(images, targets, normalisation=(MEAN, STD))
    sizes = {"ipc": 2, "width": 4, "real_per_class": 3}
    loop = load("reference_loops").LOOPS[method](images, targets, MEAN, STD, **sizes)
    shown, all_real = loop.shown(), real.take(torch.arange(24))
    half = torch.nn.functional.interpolate(all_real, scale_factor=0.5, mode="bilinear")
    known = torch.nn.functional.interpolate(half, size=8, mode="bilinear") if loop.factor == 2 else all_real
    assert shown.shape == (2, 2 * loop.factor**2, 3, 8, 8)
    for c, own in enumerate(shown):
        apart = torch.cdist(own.flatten(1), known[12 * c : 12 * (c + 1)].flatten(1))
        nearest = apart.argmin(1)
        assert apart.amin(1).max() < 1e-3
        assert len({*nearest.tolist()}) == len(own), "each another image"


def test_economy_is_looked_at_before_and_after_its_quiet_end_and_the_others_by_time(load, tmp_path):
    path = tmp_path / "economy.json"
    few = (
        "--dataset digits --fit 6 --held 4 --epochs 1 --width 4 --networks 2 --times 2 --seconds 0.02 --mark 1"
    )
    result = CliRunner().invoke(load("economy").main, [*few.split(), "--iterations", "5", "--json", str(path)])
    assert result.exit_code == 0, result.output
    rows = json.loads(path.read_text())["rows"]
    assert [row["iterations"] for row in rows[:2]] == [8, 10]  # of 10, two are quiet
    assert [row["way"] for row in rows[2:]] == ["the paper's settings", "the plain loop"]
    assert all(len(row["accuracies"]) == 2 for row in rows)
    assert all(row["seconds"] >= 0.02 for row in rows[2:])


def test_economy_says_when_each_way_comes_within_a_point_of_the_best(load):
    seen = [("a", 10, 0.5), ("a", 20, 0.58), ("a", 30, 0.6), ("b", 50, 0.3), ("b", 90, 0.589), ("c", 7, 0.595)]
    rows = [{"way": way, "seconds": at, "iterations": 1, "accuracies": [x, x]} for way, at, x in seen]
    said = load("forms")._economy({"settings": {"method": "dm"}, "rows": rows}).splitlines()[-1]
    assert said.endswith("within a point of the best, 60.0: a, 30; b, more than 90; c, 7.")


def test_averaging_ends_with_the_last_images_or_their_mean_and_shares_what_is_before(load, tmp_path):
    path = tmp_path / "averaging.json"
    few = "--dataset digits --fit 12 --held 4 --epochs 1 --ipc 2 --width 4 --networks 2 --draw 3"
    ways = "--iterations 12 --iterations 6 --share 0 --share 0.5"
    result = CliRunner().invoke(load("averaging").main, [*few.split(), *ways.split(), "--json", str(path)])
    assert result.exit_code == 0, result.output
    record = json.loads(path.read_text())
    rows = record["rows"]
    assert [(r["iterations"], r["averaged"]) for r in rows] == [(6, 0), (6, 0.5), (12, 0), (12, 0.5)]
    few = {"ipc": 2, "width": 4, "networks": 2, "epochs": 1, "economy": True}
    s = RunConfig.of("digits", ("dm",), **DEFAULTS["digits"] | few)
    fit, held = split(datasets.load("digits")[0], 12, 4)
    network = MakeConvNet(fit.shape, 4, s.main.depth)
    for row in rows:
        made, seen = replace(method_for(s.main), iterations=row["iterations"]), []
        job = Condensation(fit, made, ipc=2, network=network, seed=3)
        while job.iteration < made.quiet.start(made.iterations):
            job.step()
            seen.append(job.state()["pixels"].clone())
        if row["averaged"]:
            mean = torch.stack(seen[len(seen) - round(0.5 * len(seen)) :]).mean(0)
            job.restore({**job.state(), "pixels": mean, "momentum": torch.zeros_like(mean)})
        how = {"training": training_for(s.train), "networks": 2, "keys": (0,), "network": network}
        found = score(*job.run().decode(), held, **how).double().tolist()
        assert row["accuracies"] == pytest.approx(found, abs=0.026)  # an image of the mean's rounding, at most
    table = load("forms").show(record, "averaging", "x", first=False).splitlines()
    assert [len(line.split("|")) for line in table] == [8] * 6
    assert table[-1].startswith("| 12 | the mean of the last 50 % |")


def test_averaging_of_a_method_without_a_quiet_end_is_refused(load):
    result = CliRunner().invoke(load("averaging").main, ["--dataset", "digits", "--method", "dc", "--ipc", "1"])
    assert result.exit_code == 2
    assert "Error: dc has no quiet end: take another method, such as dm" in result.output


def test_held_out_condenses_by_economy_and_trains_in_the_way_that_is_asked_for(load, tmp_path):
    path = tmp_path / "held_out.json"
    few = "--fit 12 --held 4 --epochs 1 --ipc 2 --width 4 --networks 2 --seeds 2 --iterations 12".split()
    ways = ["--economy", "--evaluation", "augmented", "--method", "dm@lr=0.5"]
    result = CliRunner().invoke(load("held_out").main, [*few, *ways, "--json", str(path)])
    assert result.exit_code == 0, result.output
    record = json.loads(path.read_text())
    few = {"ipc": 2, "width": 4, "networks": 2, "epochs": 1, "iterations": 12, "economy": True}
    s = RunConfig.of("digits", ("dm@lr=0.5",), **DEFAULTS["digits"] | few)
    fit, held = split(datasets.load("digits")[0], 12, 4)
    network = MakeConvNet(fit.shape, 4, s.main.depth)
    recipe = method_for(s.main)
    assert recipe.quiet
    for seed, own in enumerate(record["rows"][0]["augmented"]):
        made = condense(fit, recipe, ipc=2, network=network, seed=seed)
        how = {"training": training_for(s.train), "networks": 2, "keys": (seed,), "network": network}
        assert own == score(*made.to_train(), held, **how).double().tolist()
    head = load("forms").show(record, "held_out", "x", first=False).splitlines()[0]
    assert head == "| method | augmented | seconds | n |"


def test_less_work_writes_a_row_a_way_and_time(load, tmp_path):
    path = tmp_path / "less.json"
    few = "--seconds 0.02 --fit 6 --held 4 --epochs 1 --ipc 1 --width 4 --mark 1 --seeds 2".split()
    ways = ["--way", "2:3", "--way", "2:3+"]
    result = CliRunner().invoke(load("less_work").main, [*few, *ways, "--json", str(path)])
    assert result.exit_code == 0, result.output
    rows = json.loads(path.read_text())["rows"]
    assert [(row["reuse"], row["real_per_class"], row["running"]) for row in rows] == [
        (2, 3, False),
        (2, 3, True),
    ]
    assert [[len(nets) for nets in row["accuracies"]] for row in rows] == [[3, 3]] * 2
    refused = CliRunner().invoke(load("less_work").main, ["--way", "much"])
    assert (refused.exit_code, "REUSE:REAL" in refused.output) == (2, True)


def test_shrinking_compares_its_ways_at_equal_bytes(load, tmp_path):
    path = tmp_path / "shrinking.json"
    few = "--fit 6 --held 4 --epochs 1 --ipc 3 --sizes 2,1 --iterations 2 --width 4 --seeds 2".split()
    result = CliRunner().invoke(load("shrinking").main, [*few, "--json", str(path)])
    assert result.exit_code == 0, result.output
    rows = {row["way"]: row["seeds"] for row in json.loads(path.read_text())["rows"]}
    assert [*rows] == ["first", "multisize", "recondense"]
    for seeds in rows.values():
        sizes = [[(step["ipc"], step["bytes"]) for step in own] for own in seeds]
        assert sizes == [[(3, 2200), (2, 1520), (1, 840)]] * 2
        assert all(len(step["accuracies"]) == 3 for own in seeds for step in own)
    assert load("shrinking").ways("dm@lr=0.1", 0.25)["multisize"] == ("dm@lr=0.1,multisize=0.25", "prefix")


@pytest.mark.slow
def test_precision_evaluates_a_set_at_both(load, tmp_path):
    made, path = tmp_path / "set.safetensors", tmp_path / "precision.json"
    condense(datasets.load("digits")[0], "random", ipc=1).save(made)
    few = "--dataset digits --networks 2 --epochs 1".split()
    result = CliRunner().invoke(load("precision").main, [*few, "--json", str(path), str(made)])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(path.read_text())["rows"]
    assert row["set"] == "set"
    assert [len(row[p]["accuracies"]) for p in ("float32", "bfloat16")] == [2, 2]
    settings = [json.loads(path.with_suffix(f".{p}.jsonl").read_text()) for p in ("float32", "bfloat16")]
    assert [each["training_precision"] for each in settings] == ["float32", "bfloat16"]


def test_compositions_on_the_test_images_have_the_seconds_of_their_pool_among_theirs(load, tmp_path):
    path, candidates = tmp_path / "equal.json", ("dm", "dance@reuse=5,factor=2")
    few = "--dataset digits --on test --rungs 1 --fit 20 --held 5 --width 4 --networks 1 --pool 2:2"
    words = [
        "--budget",
        "1:2:2",
        *few.split(),
        *(w for name in candidates for w in ("--candidate", name)),
        "--json",
        str(path),
    ]
    result = CliRunner().invoke(load("compositions").main, words)
    assert result.exit_code == 0, result.output
    plain, pooled = json.loads(path.read_text())["rows"]
    assert (plain["candidate"], pooled["candidate"]) == candidates
    assert plain["before"] < pooled["before"]  # nothing, and a training
    assert json.loads(path.read_text())["settings"]["on"] == "test"


def test_compositions_of_a_stream_condense_each_step_from_its_images_alone(load, monkeypatch, tmp_path):
    compositions, seen = load("compositions"), []
    condensed = compositions.condensed

    def noted(recipe, fit, ipc, seconds, **options):
        seen.append((fit.class_ids, seconds))
        return condensed(recipe, fit, ipc, 0.1, **options)

    monkeypatch.setattr(compositions, "condensed", noted)
    path = tmp_path / "memory.json"
    words = "--dataset digits --steps 3 --rungs 1 --candidate dm --budget 2:6:1 --fit 20 --held 5 --width 4"
    result = CliRunner().invoke(compositions.main, [*words.split(), "--json", str(path)])
    assert result.exit_code == 0, result.output
    assert [(list(own), seconds) for own, seconds in seen] == [
        ([0, 1, 2, 3], 2),
        ([4, 5, 6], 2),
        ([7, 8, 9], 2),
    ]
    (row,) = json.loads(path.read_text())["rows"]
    assert row["iterations"] >= 3 * compositions.PROBE
    assert len(row["accuracies"]) == 2


def test_with_as_many_images_a_storage_of_more_has_fewer_epochs(load, tmp_path):
    path = tmp_path / "same.json"
    words = "--dataset digits --same-images --rungs 1 --candidate dm --candidate dm+partition --budget 2:0.2:8"
    few = "--fit 20 --held 5 --width 4 --networks 1"
    result = CliRunner().invoke(load("compositions").main, [*words.split(), *few.split(), "--json", str(path)])
    assert result.exit_code == 0, result.output
    assert [row["epochs"] for row in json.loads(path.read_text())["rows"]] == [8, 2]


def test_what_a_candidate_spends_before_is_taken_from_its_seconds(load, monkeypatch):
    """As if whatever is done took a second: of three two are left after a second for networks."""

    def second(do):
        do()
        return 1.0

    compositions = load("compositions")
    monkeypatch.setattr(compositions, "cpu_seconds", second)
    real = ImageSet.of(torch.randint(256, (40, 1, 8, 8), dtype=torch.uint8), torch.arange(40) % 2)
    recipe = compositions.recipe_of("dm", "digits", 1, (2, 2))
    options = {"network": MakeConvNet((1, 8, 8), 2), "pools": None}
    found = [compositions.condensed(recipe, real, 1, 3, within, **options)[1] for within in (False, True)]
    more, fewer = (each["iterations"] for each in found)
    assert more == pytest.approx(1.5 * fewer, abs=2)  # whole ones
