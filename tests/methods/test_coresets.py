"""Which real images are kept: drawn ones, those that follow the mean, cover the class, or were forgotten."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_condense.data.imageset import ImageSet
from cl_condense.methods import coresets
from cl_condense.methods.coresets import Coreset, FeatureScorer, count_forgotten
from cl_condense.methods.registry import build
from cl_condense.networks.contract import Features
from cl_condense.networks.convnet import MakeConvNet
from cl_condense.runs.build import method_for
from cl_condense.runs.config import CondenseConfig

CLASSES = (2, 5, 6)
STUDIES = ["herding", "k_center", "forgetting"]


def numbered(counts=(12, 30, 21), weights=None):
    """Images of which each shows its own number, in float."""
    labels = torch.tensor(CLASSES[: len(counts)]).repeat_interleave(torch.tensor(counts))
    images = torch.arange(float(len(labels))).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    return ImageSet.of(images, labels, weights=weights)


def picks(result):
    """Numbers of the images of each class."""
    return [part[:, 0, 0, 0].long().tolist() for part in result.pixels.split(result.counts)]


def random(real, ipc, seed=0):
    return picks(build("random")(real, ipc=ipc, network=MakeConvNet(real.shape, width=4), seed=seed))


class Flat(nn.Module):
    """The image is its own embedding, so that training does not change what herding looks at."""

    def __init__(self, classes):
        super().__init__()
        self.classifier = nn.Linear(12, classes)

    def features(self, x, taps=frozenset()):
        return Features(x.flatten(1), self.classifier(x.flatten(1)))

    def forward(self, x):
        return self.features(x).logits


def embedded(counts=(12, 30, 21), weights=None, seed=0):
    labels = torch.tensor(CLASSES).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((len(labels), 3, 2, 2), generator=generator).exp()
    return ImageSet.of(images, labels, weights=weights)


def select(name, real, ipc, seed=0, iterations=2, network=Flat, on_iteration=None):
    method = Coreset(name, getattr(coresets, name), iterations=iterations)
    return method(real, ipc=ipc, network=network, seed=seed, on_iteration=on_iteration)


def herding(real, ipc, seed=0, iterations=2, network=Flat, on_iteration=None):
    method = replace(build("herding"), iterations=iterations)
    return method(real, ipc=ipc, network=network, seed=seed, on_iteration=on_iteration)


class Told:
    """A scorer that says what it was told to."""

    def __init__(self, *, embedding=(), forgotten=None):
        self.embeddings = lambda: embedding
        self.forgotten = lambda: forgotten


def k_center(real, ipc, x):
    """Indices of the images chosen from given embeddings."""
    return coresets.k_center(real, ipc, 0, Told(embedding=x.float().split(real.counts))).tolist()


def forgetting(real, ipc, counts, seed=0):
    return coresets.forgetting(real, ipc, seed, Told(forgotten=torch.as_tensor(counts).float())).tolist()


def plain_herding(x, weights, m):
    """Algorithm 4 of iCaRL: p_k = argmin_x |mu - (phi(x) + sum of the phi(p_j)) / k|, each image once."""
    rows = [[float(v) for v in row] for row in x.flatten(1).double()]
    whole = sum(weights)
    mu = [sum(w * row[d] for w, row in zip(weights, rows, strict=True)) / whole for d in range(len(rows[0]))]
    chosen = []
    for k in range(1, m + 1):
        best = None
        for i, row in enumerate(rows):
            if i in chosen:
                continue
            sums = [row[d] + sum(rows[j][d] for j in chosen) for d in range(len(mu))]
            apart = sum((mu[d] - sums[d] / k) ** 2 for d in range(len(mu)))
            if best is None or apart < best[0]:
                best = apart, i
        chosen.append(best[1])
    return x[chosen]


def plain_k_center(x, weights, m):
    """Nearest to the mean, then farthest from those chosen; each image once."""
    rows = [[float(v) for v in row] for row in x.flatten(1).double()]
    whole = sum(weights)
    mu = [sum(w * row[d] for w, row in zip(weights, rows, strict=True)) / whole for d in range(len(rows[0]))]
    chosen = [min(range(len(rows)), key=lambda i: math.dist(rows[i], mu))]
    while len(chosen) < m:
        rest = [i for i in range(len(rows)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: min(math.dist(rows[i], rows[j]) for j in chosen)))
    return chosen


def plain_count(looks):
    """Forgetting events of one image, of looks in order."""
    if not any(looks):
        return float("inf")
    return sum(1 for before, after in itertools.pairwise(looks) if before and not after)


def test_random_draws_different_images_of_each_class():
    for own, start, n in zip(random(numbered(), 12), (0, 12, 42), (12, 30, 21), strict=True):
        assert len(set(own)) == 12
        assert set(own) <= set(range(start, start + n))


def test_random_is_one_draw_a_seed_and_another_for_another():
    real = numbered()
    assert random(real, 5, seed=3) == random(real, 5, seed=3)
    assert random(real, 5, seed=3) != random(real, 5, seed=4)
    assert random(real, 5, seed=3)[1] == random(real.only([5]), 5, seed=3)[0]


def test_classes_of_equal_size_get_different_draws():
    first, second, _ = random(numbered((20, 20, 20)), 8)
    assert [i - 20 for i in second] != first


def many(classes, n, weights=None):
    """Classes of n images each, which show their own number within the class."""
    images = torch.arange(float(n)).repeat(classes).view(-1, 1, 1, 1)
    labels = torch.arange(classes).repeat_interleave(n)
    return ImageSet.of(images, labels, weights=None if weights is None else weights.repeat(classes))


def draws(real, ipc, seeds):
    """``[seeds * classes, ipc]``: what is drawn of each class, which is a draw of its own."""
    return torch.tensor([own for seed in range(seeds) for own in random(real, ipc, seed)])


def test_random_is_uniform_in_every_place():
    found = draws(many(30, 10), 3, seeds=20)
    counts = torch.stack([found[:, place].bincount(minlength=10) for place in range(3)])
    chi = ((counts - 60) ** 2 / 60).sum(1)
    assert float(chi.max()) < 27.9  # 9 degrees of freedom, 1 in 1000
    assert float(chi.min()) > 0.9


@pytest.mark.parametrize("weighted", [1.0, 4.0, 250.0])
def test_a_weight_is_the_chance_to_be_drawn_first(weighted):
    found = draws(many(40, 10, torch.tensor([weighted, 1.0] * 5)), 1, seeds=20)
    heavy = float((found % 2 == 0).double().mean())
    want = weighted / (weighted + 1)
    assert abs(heavy - want) < 4 * (want * (1 - want) / len(found)) ** 0.5 + 1e-9


@pytest.mark.parametrize(("heavy", "light", "ipc"), [(3, 9, 6), (19, 2, 20), (20, 3, 20), (4, 3, 7)])
@pytest.mark.parametrize("weight", [30.0, 1e4])
def test_weighted_images_are_drawn_once_each(heavy, light, ipc, weight):
    weights = torch.tensor([weight] * heavy + [1.0] * light)
    for seed in range(20):
        own = random(numbered((heavy + light,), weights), ipc, seed)[0]
        assert len(set(own)) == ipc
        assert weight < 1e4 or len(set(own) & set(range(heavy))) == min(heavy, ipc)


def test_weights_belong_to_their_images_where_labels_come_unsorted():
    labels = torch.tensor([5, 2] * 10)
    images = torch.arange(20.0).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    weights = torch.where(torch.arange(20) == 6, 1e9, 1.0)
    real = ImageSet.of(images, labels, weights=weights)
    assert all(random(real, 1, seed)[1] == [6] for seed in range(10))


# With weights the chance of an image depends on how many are drawn: a weighted random choice has no order.
@pytest.mark.parametrize(
    ("method", "weighted"), [("random", False), *((name, w) for name in STUDIES for w in (False, True))]
)
def test_fewer_images_are_the_first_of_more(method, weighted):
    weights = torch.rand(63, generator=torch.Generator().manual_seed(1)) * 9 + 1 if weighted else None
    real = embedded(weights=weights)
    whole = select(method, real, 12)
    for ipc in (1, 2, 7):
        assert torch.equal(select(method, real, ipc).pixels, whole.first(dict.fromkeys(CLASSES, ipc)).pixels)


@pytest.mark.parametrize("weighted", [False, True])
def test_herding_is_the_algorithm_of_icarl(weighted):
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(63, generator=generator) * 20 + 0.1 if weighted else torch.ones(63)
    real = embedded(weights=weights if weighted else None)
    result, at = herding(real, 12), 0
    for c, n in zip(CLASSES, (12, 30, 21), strict=True):
        own = real.only([c])
        want = plain_herding(own.images, weights[at : at + n].tolist(), 12)
        assert torch.equal(result.only([c]).pixels, want)
        assert len(want.unique(dim=0)) == 12
        at += n


def test_herding_looks_through_a_network_that_has_learnt_the_classes():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(CLASSES).repeat_interleave(30)
    centres = torch.randn(3, 1, 8, 8, generator=generator).repeat_interleave(30, 0)
    real = ImageSet.of(centres + 0.5 * torch.randn(90, 1, 8, 8, generator=generator), labels)
    nets = []

    def network(classes):
        nets.append(MakeConvNet((1, 8, 8), width=8)(classes))
        return nets[-1]

    for iterations, learnt in ((1, False), (150, True)):
        herding(real, 2, iterations=iterations, network=network)
        right = nets[-1](real.images).argmax(1) == torch.arange(3).repeat_interleave(30)
        assert (float(right.double().mean()) > 0.95) == learnt


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_depends_on_the_seed_alone(name):
    generator = torch.Generator().manual_seed(0)
    real = ImageSet.of(torch.randn(90, 1, 8, 8, generator=generator), torch.arange(3).repeat(30))
    options = {"ipc": 5, "network": MakeConvNet((1, 8, 8), width=8), "iterations": 5}
    torch.manual_seed(1)
    first = select(name, real, **options, seed=3).pixels
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(first, select(name, real, **options, seed=3).pixels)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, select(name, real, **options, seed=4).pixels)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize(("n", "iterations"), [(21, 5), (300, 6), (300, 5), (300, 1)])
def test_a_study_reports_its_training_to_the_end(n, iterations, name):
    """Steps of 256 images: one an epoch with 21 images, two with 300."""
    seen = []
    real = ImageSet.of(torch.rand(n, 3, 2, 2), torch.arange(n) % 3)
    select(name, real, 2, iterations=iterations, on_iteration=seen.append)
    done = [p.done for p in seen if p.stage == "selecting"]
    assert [p.stage for p in seen[len(done) :]] == ["selected"]
    assert done == sorted(set(done))
    assert done[0] >= 1
    assert done[-1] == iterations
    assert {p.total for p in seen[:-1]} == {iterations}
    assert all(float(p.loss) > 0 for p in seen[:-1])


def test_random_needs_no_network():
    def network(classes):
        raise AssertionError("a network was made")

    seen = []
    build("random")(numbered(), ipc=2, network=network, on_iteration=seen.append)
    assert [p.stage for p in seen] == ["selected"]
    assert seen[0].picture().size > (8, 8)


@pytest.mark.parametrize("weighted", [False, True])
def test_k_center_is_the_greedy_algorithm(weighted):
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(63, generator=generator) * 20 + 0.1 if weighted else torch.ones(63)
    real = embedded(weights=weights if weighted else None)
    result, at = select("k_center", real, 12), 0
    for c, n in zip(CLASSES, (12, 30, 21), strict=True):
        own = real.only([c])
        want = plain_k_center(own.images, weights[at : at + n].tolist(), 12)
        assert torch.equal(result.only([c]).pixels, own.images[want])
        at += n


def test_k_center_of_points_on_a_line():
    line = torch.tensor([0.0, 1, 2, 6, 10])[:, None]  # the mean is 3.8
    assert k_center(numbered((5,)), 5, line) == [[2, 4, 3, 0, 1]]


def test_k_center_takes_what_is_farthest_from_the_chosen():
    x = torch.randn(63, 7, generator=torch.Generator().manual_seed(3))
    apart = torch.cdist(x.double(), x.double())
    for own, start, n in zip(k_center(numbered(), 12, x), (0, 12, 42), (12, 30, 21), strict=True):
        assert len({i for i in own if start <= i < start + n}) == 12
        for j in range(1, 12):
            to_chosen = apart[start : start + n, own[:j]].min(1).values
            assert float(to_chosen[own[j] - start]) == pytest.approx(float(to_chosen.max()), rel=1e-6)


@pytest.mark.parametrize("ipc", [1, 4, 12])
def test_k_center_takes_identical_images_once_each(ipc):
    same = k_center(numbered(), ipc, torch.ones(63, 3))
    pairs = k_center(numbered(), ipc, torch.arange(63)[:, None] % 2)
    for chosen in (same, pairs):
        for own, start, n in zip(chosen, (0, 12, 42), (12, 30, 21), strict=True):
            assert len(set(own)) == ipc
            assert set(own) <= set(range(start, start + n))
    assert ipc == 1 or all(own[0] % 2 != own[1] % 2 for own in pairs)  # both points before any copy


def test_k_center_starts_at_the_mean_that_the_weights_give():
    line = torch.arange(9.0)[:, None]
    weights = torch.where(torch.arange(9) == 7, 100.0, 1.0)
    assert k_center(numbered((9,)), 2, line) == [[4, 0]]
    assert k_center(numbered((9,), weights), 2, line) == [[7, 0]]
    # The weights of a class that is not the first are its own.
    assert k_center(numbered((9, 9), torch.cat([torch.ones(9), weights])), 1, torch.cat([line, line])) == [
        [4],
        [16],
    ]


def test_forgetting_events_are_right_and_then_wrong():
    looks = {
        "111111": 0,
        "000000": math.inf,
        "000001": 0,
        "100000": 1,
        "001110": 1,
        "010101": 2,
        "110100": 2,
        "101010": 3,
    }
    right = torch.tensor([[look == "1" for look in image] for image in looks]).T
    assert count_forgotten(right).tolist() == list(looks.values())
    assert count_forgotten(right[:1]).tolist() == [0, math.inf, math.inf, 0, math.inf, math.inf, 0, 0]


def test_what_was_forgotten_most_comes_first():
    real = numbered((5, 6))
    counts = [0, 3, 1, math.inf, 2, 5, 4, 0, math.inf, 1, 6]
    assert forgetting(real, 5, counts) == [[3, 1, 4, 2, 0], [8, 10, 5, 6, 9]]


def test_ties_are_broken_among_equals_alone():
    generator = torch.Generator().manual_seed(0)
    for seed in range(20):
        counts = torch.randint(0, 4, (63,), generator=generator).float()
        counts[torch.rand(63, generator=generator) < 0.1] = torch.inf
        chosen = forgetting(numbered(), 12, counts, seed)
        for own, part, start in zip(chosen, counts.split([12, 30, 21]), (0, 12, 42), strict=True):
            assert len(set(own)) == 12
            assert set(own) <= set(range(start, start + len(part)))
            assert counts[own].tolist() == sorted(part.tolist(), reverse=True)[:12]


def test_ties_are_broken_by_the_seed_and_the_class():
    real = numbered((20, 20, 20))
    chosen = forgetting(real, 8, torch.ones(60), seed=3)
    assert chosen == forgetting(real, 8, torch.ones(60), seed=3)
    assert all(a != b for a, b in zip(chosen, forgetting(real, 8, torch.ones(60), seed=4), strict=True))
    places = [[i - start for i in own] for own, start in zip(chosen, (0, 20, 40), strict=True)]
    assert places[0] != places[1] != places[2] != places[0]
    for place, c in zip(places, CLASSES, strict=True):
        assert forgetting(real.only([c]), 8, torch.ones(20), seed=3) == [place]
    assert chosen == random(real, 8, seed=3)


class Scripted(Flat):
    """Learns as Flat does; what it says at look t of the image that shows i is right where script[t][i]."""

    def __init__(self, classes, script):
        super().__init__(classes)
        self.script, self.look, self.sizes, self.order = script, -1, [], []

    def forward(self, x):
        assert self.training == torch.is_grad_enabled()
        numbers = x[:, 0, 0, 0].long()
        if self.training:
            self.order += numbers.tolist()
            return super().forward(x)
        self.look += int(numbers[0] == 0)
        self.sizes.append(len(x))
        right = torch.tensor(self.script[self.look])[numbers]
        return nn.functional.one_hot((numbers * 3 // 300 + ~right) % 3, 3).float()


def three_hundred():
    return ImageSet.of(torch.arange(300.0).view(-1, 1, 1, 1).expand(-1, 3, 2, 2), torch.arange(300) // 100 * 2)


def test_a_study_looks_at_every_image_after_every_epoch():
    real = three_hundred()
    generator = torch.Generator().manual_seed(0)
    script = (torch.rand(6, 300, generator=generator) < 0.4).tolist()
    nets = []

    def network(classes):
        nets.append(Scripted(classes, script))
        return nets[-1]

    scorer = FeatureScorer(real, network, iterations=11)  # two steps an epoch
    want = [plain_count(looks) for looks in zip(*script, strict=True)]
    assert scorer.forgotten().tolist() == want
    assert {0, 1, 2, 3, math.inf} <= set(want)
    assert nets[0].sizes == [256, 44] * 6
    assert scorer.forgotten().tolist() == want
    all_embeddings(scorer)
    assert len(nets) == 1  # one training for all
    chosen = coresets.forgetting(real, 10, 0, scorer)
    for own, start in zip(chosen.tolist(), (0, 100, 200), strict=True):
        assert [want[i] for i in own] == sorted(want[start : start + 100], reverse=True)[:10]


def all_embeddings(scorer):
    return torch.cat([*scorer.embeddings()])


def test_a_study_for_embeddings_takes_no_looks_and_the_seed_orders_its_training():
    nets = {}
    for seed in (1, 2):
        nets[seed] = Scripted(3, [])
        own = nets[seed]
        all_embeddings(FeatureScorer(three_hundred(), lambda _, own=own: own, iterations=4, seed=seed))
        assert nets[seed].sizes == []
        for epoch in (nets[seed].order[:300], nets[seed].order[300:]):
            assert sorted(epoch) == list(range(300))
    assert nets[1].order != nets[2].order


def test_looking_does_not_change_what_is_learnt():
    class Noisy(Flat):
        """Its embedding depends on weights, running statistics and what was drawn while it trained."""

        def __init__(self, classes):
            super().__init__(classes)
            self.body = nn.Sequential(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.Dropout(0.5))

        def features(self, x, taps=frozenset()):
            embedding = self.body(x.flatten(1))
            return Features(embedding, self.classifier(embedding))

    real = embedded()
    looked, blind = (FeatureScorer(real, Noisy, iterations=6, seed=2) for _ in range(2))
    looked.forgotten()
    assert torch.equal(all_embeddings(looked), all_embeddings(blind))
    assert torch.equal(all_embeddings(looked), all_embeddings(blind))  # looking once more finds the same
    assert torch.equal(blind.forgotten(), looked.forgotten())


def test_forgetting_finds_images_with_the_label_of_another_class():
    generator = torch.Generator().manual_seed(0)
    shown = torch.arange(3).repeat_interleave(30)
    labels = torch.where(torch.arange(90) % 30 < 3, (shown + 1) % 3, shown)
    centres = 2 * torch.randn(3, 3, 2, 2, generator=generator)
    images = centres[shown] + 0.3 * torch.randn(90, 3, 2, 2, generator=generator)
    result = select("forgetting", ImageSet.of(images, labels), 3, iterations=20)
    wrong = images[labels != shown]
    assert all((wrong == image).flatten(1).all(1).any() for image in result.pixels)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("base", STUDIES)
def test_the_network_of_a_coreset_is_compiled_where_networks_are(base, compiled, monkeypatch):
    found = []

    def train(*given, **_):
        found.append(given[3].compiled)

    monkeypatch.setattr(coresets, "train", train)
    method = method_for(CondenseConfig("digits", base, compiled=compiled))
    assert method == build(base, compiled=compiled)
    assert method.settings().get("compiled", False) is compiled
    scorer = FeatureScorer(numbered(), MakeConvNet((1, 8, 8), width=2), 1, compiled=method.compiled)
    all_embeddings(scorer)
    assert found == [compiled]


def test_what_looks_through_no_network_has_none_to_compile():
    assert method_for(CondenseConfig("digits", "random", compiled=True)) == build("random")
    with pytest.raises(ValueError, match="random selects real images: it has no setting compiled, none"):
        build("random", compiled=True)
    with pytest.raises(ValueError, match="compiled"):
        build("herding", compiled=1)
