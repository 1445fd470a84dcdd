"""The equations of the objectives, the ConvNet and the training loop as plain loops, to compare with."""

import math

import torch
import torch.nn.functional as F

from cl_condense.common.rng import Purpose, normals
from cl_condense.training.cutmix import cutmix, cuts


def tapped(view):
    """What the network of a view says of all its images at once."""
    return view.net.features(view.images.flatten(0, 1), frozenset({"maps", "convs"}))


def images_of(x, view, c):
    m = len(x) // view.classes
    return [x[c * m + i] for i in range(m)]


def average(values):
    return sum(values) / len(values)


def over_classes(real, syn, of_class):
    return sum(of_class(c) for c in range(real.classes))


def mean_matching(real, syn):
    def of_class(c):
        a, b = (images_of(v.embedding.flatten(0, 1), v, c) for v in (real, syn))
        return sum((average([e[j] for e in a]) - average([e[j] for e in b])) ** 2 for j in range(len(a[0])))

    return over_classes(real, syn, of_class)


def central_moments(view, c, order):
    """Of each dimension of the embedding: the mean over images of (value - mean)^order."""
    columns = zip(*images_of(view.embedding.flatten(0, 1), view, c), strict=True)
    return [average([(value - average(column)) ** order for value in column]) for column in columns]


def moment_gap(real, syn, order):
    def of_class(c):
        a, b = (central_moments(v, c, order) for v in (real, syn))
        return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))

    return over_classes(real, syn, of_class)


def second_moments(real, syn):
    return moment_gap(real, syn, 2)


def third_moments(real, syn):
    return moment_gap(real, syn, 3)


def layer_matching(real, syn):
    def of_class(c):
        total, last = 0, len(tapped(real).maps) - 1
        for layer in range(last + 1):
            a, b = (average(images_of(tapped(v).maps[layer], v, c)) for v in (real, syn))
            total += (1.0 if layer == last else 0.1) * ((a - b) ** 2).sum()
        return total

    return over_classes(real, syn, of_class)


def mean_attention(view, layer, c, power):
    rows = []
    for maps in images_of(tapped(view).maps[layer], view, c):
        a = sum(channel**power for channel in maps).reshape(-1)  # after ReLU they are their own moduli
        rows.append(a / torch.sqrt((a**2).sum()))
    return average(rows)


def attention_gap(real, syn, power):
    def of_class(c):
        total = 0
        for layer in range(len(tapped(real).maps) - 1):
            total += ((mean_attention(real, layer, c, power) - mean_attention(syn, layer, c, power)) ** 2).sum()
        return total

    return over_classes(real, syn, of_class)


def attention_matching(real, syn):
    return attention_gap(real, syn, 4)


def plain_attention_matching(real, syn):
    return attention_gap(real, syn, 1)


def moments_of_channel(plane, correction=1):
    values = plane.reshape(-1)
    n = len(values)
    mu = values.sum() / n
    var = ((values - mu) ** 2).sum() / (n - correction)
    return mu, torch.sqrt(var + 1e-5)


def channel_moments(view, layers, layer, c, correction=1):
    maps = images_of(layers[layer], view, c)
    per_channel = [[moments_of_channel(image[ch], correction) for image in maps] for ch in range(len(maps[0]))]
    return [tuple(average([pair[which] for pair in images]) for which in (0, 1)) for images in per_channel]


def style_moments(real, syn):
    def of_class(c):
        total = 0
        for layer in range(len(tapped(real).maps)):
            a = channel_moments(real, tapped(real).maps, layer, c)
            b = channel_moments(syn, tapped(syn).maps, layer, c)
            squares = [(p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 for p, q in zip(a, b, strict=True)]
            total += sum(squares) / len(squares)
        return total

    return over_classes(real, syn, of_class)


def mean_map_moments(real, syn):
    """DDM's first code: maps are averaged over images first, and layers afterwards."""

    def of_class(c):
        per_layer = []
        for layer in range(len(tapped(real).maps)):
            means = [average(images_of(tapped(v).maps[layer], v, c)) for v in (real, syn)]
            a, b = ([moments_of_channel(plane) for plane in mean] for mean in means)
            halves = [average([(p[i] - q[i]) ** 2 for p, q in zip(a, b, strict=True)]) for i in (0, 1)]
            per_layer.append(average(halves))
        return average(per_layer)

    return over_classes(real, syn, of_class)


def relative_moments(real, syn):
    def of_class(c):
        per_layer = []
        for layer in range(len(tapped(real).convs)):
            a = channel_moments(real, tapped(real).convs, layer, c, correction=0)
            b = channel_moments(syn, tapped(syn).convs, layer, c, correction=0)
            half = []
            for which in (0, 1):
                gap = average([(p[which] - q[which]) ** 2 for p, q in zip(a, b, strict=True)])
                half.append(gap / (average([p[which] ** 2 for p in a]) + 1e-8))
            per_layer.append((half[0] + half[1]) / 2)
        return average(per_layer)

    return over_classes(real, syn, of_class)


def mean_gram(view, layers, layer, c):
    """Entries of the class's mean of F F^T, not yet normalised."""
    maps = [image.flatten(1) for image in images_of(layers[layer], view, c)]
    channels = range(len(maps[0]))
    return {(i, j): average([(f[i] * f[j]).sum() for f in maps]) for i in channels for j in channels}


def gram_matrices(real, syn):
    def of_class(c):
        total = 0
        for layer, maps in enumerate(tapped(real).maps):
            size, positions = maps.shape[1], maps.shape[2] * maps.shape[3]
            a = mean_gram(real, tapped(real).maps, layer, c)
            b = mean_gram(syn, tapped(syn).maps, layer, c)
            total += sum((a[ij] - b[ij]) ** 2 for ij in a) / (4 * size**2 * positions**2)
        return total

    return over_classes(real, syn, of_class)


def mean_gram_gap(real, syn, tap):
    def of_class(c):
        per_layer = []
        for layer, maps in enumerate(getattr(tapped(real), tap)):
            scale = maps.shape[1] * maps.shape[2] * maps.shape[3]
            a, b = (mean_gram(v, getattr(tapped(v), tap), layer, c) for v in (real, syn))
            per_layer.append(sum((a[ij] / scale - b[ij] / scale) ** 2 for ij in a))
        return average(per_layer)

    return over_classes(real, syn, of_class)


def conv_gram_matrices(real, syn):
    return mean_gram_gap(real, syn, "convs")


def mean_gram_matrices(real, syn):
    return mean_gram_gap(real, syn, "maps")


def softmax(e):
    exp = torch.exp(e - e.max().detach())
    return exp / exp.sum()


def diversity(syn, near):
    """Of neighbours, ``near(ipc)`` of them where there are so many others."""

    def of_class(c):
        e = images_of(syn.embedding.flatten(0, 1), syn, c)
        ipc = len(e)
        if ipc == 1:
            return 0 * e[0].sum()
        k = min(near(ipc), ipc - 1)
        terms = []
        for i in range(ipc):
            others = [j for j in range(ipc) if j != i]
            nearest = sorted(others, key=lambda j: ((e[i] - e[j]) ** 2).sum().item())[:k]
            p, q = softmax(e[i]), softmax(average([e[j] for j in nearest]))
            terms.append(-sum(a * torch.log(a / b) for a, b in zip(p, q, strict=True)))
        return average(terms)

    return over_classes(syn, syn, of_class)


def intra_class_diversity(real, syn):
    return diversity(syn, lambda ipc: max(1, round(0.2 * ipc)))


def two_neighbour_diversity(real, syn):
    return diversity(syn, lambda ipc: 2)


def cross_entropy(logits, target):
    return -torch.log(softmax(logits)[target])


def class_aware_regularisation(real, syn):
    """Accuracy in percent times cross-entropy (IDM, eq. 4)."""

    def of_class(c):
        return average(
            [cross_entropy(row, syn.targets[c]) for row in images_of(syn.logits.flatten(0, 1), syn, c)]
        )

    return 100 * syn.accuracy * over_classes(real, syn, of_class)


def trained_classification(real, syn):
    def of_class(c):
        rows = images_of(syn.of_trained.logits.flatten(0, 1), syn, c)
        return average([cross_entropy(row, syn.targets[c]) for row in rows])

    return over_classes(real, syn, of_class)


def characteristic_function(real, syn):
    """NCFM's form, with amplitudes and phases apart."""
    d = syn.embedding.shape[2]
    t = normals(d * 1024, Purpose.FREQUENCY, *syn.keys).view(d, 1024).to(syn.embedding.dtype)

    def of_class(c):
        r, s = (
            average([torch.exp(1j * (e / torch.sqrt((e**2).sum())) @ t.to(torch.complex128)) for e in own])
            for own in (images_of(v.embedding.flatten(0, 1), v, c) for v in (real, syn))
        )
        amplitude = (r.abs() - s.abs()) ** 2
        # 2 (|r| |s| - Re r Re s - Im r Im s), where that would be a difference of almost equal numbers
        phase = 4 * r.abs() * s.abs() * torch.sin(torch.angle(r * s.conj()) / 2) ** 2
        # theirs keeps the phase from 1e-12, so that the root has a gradient; ours the sum of both parts
        return torch.sqrt(amplitude / 2 + torch.clamp(phase, min=1e-30) / 2).sum() / 1024

    return over_classes(real, syn, of_class)


def discrimination(real, syn):
    centres = [average(images_of(syn.embedding.flatten(0, 1), syn, c)) for c in range(syn.classes)]

    def of_class(c):
        images = images_of(real.embedding.flatten(0, 1), real, c)
        rows = [torch.stack([(e * centre).sum() for centre in centres]) for e in images]
        return average([cross_entropy(row, c) for row in rows])

    return over_classes(real, syn, of_class)


def kernel_regression(real, syn):
    """FRePo, eq. 4, image by image."""
    own = [e for c in range(syn.classes) for e in images_of(syn.embedding.flatten(0, 1), syn, c)]
    rows = [torch.stack([(a * b).sum() for b in own]) for a in own]
    ridge = 1e-6 * average([row[i] for i, row in enumerate(rows)])
    kernel = torch.stack([row + ridge * (torch.arange(len(own)) == i) for i, row in enumerate(rows)])

    def label(c):
        return torch.tensor([float(c == j) for j in range(real.classes)], dtype=kernel.dtype) - 1 / real.classes

    per_class = len(own) // syn.classes
    labels = torch.stack([label(i // per_class) for i in range(len(own))])
    weights = torch.linalg.solve(kernel.double(), labels.double())

    def of_class(c):
        errors = []
        for e in images_of(real.embedding.flatten(0, 1), real, c):
            guess = torch.stack([(e * s).sum() for s in own]).double() @ weights
            errors.append(((guess - label(c)) ** 2).sum() / 2)
        return average(errors)

    return over_classes(real, syn, of_class)


def class_centralisation(real, syn):
    """IID, eq. 3-4, of the distance alone."""

    def of_class(c):
        e = images_of(syn.embedding.flatten(0, 1), syn, c)
        return sum(((one - average(e)) ** 2).sum() for one in e)

    return over_classes(real, syn, of_class)


def local_covariance(view, c):
    """IID, eq. 6-7; an embedding without positions is a map of one position."""
    f = tapped(view)
    z = [x.flatten(1) for x in images_of(f.embedding[..., None] if f.pooled is None else f.pooled, view, c)]
    return average([(x - average(z)) @ (x - average(z)).T for x in z])


def covariance_matching(real, syn):
    def of_class(c):
        return ((local_covariance(syn, c) - local_covariance(real, c)) ** 2).sum()

    return over_classes(real, syn, of_class)


def squared_distance(a, b):
    return ((a - b) ** 2).sum()


def mmd(x, s, kernel):
    """M3D, eq. 9: K_TT + K_SS - 2 K_TS, each the mean over all pairs."""

    def mean(a, b):
        return average([kernel(p, q) for p in a for q in b])

    return mean(x, x) + mean(s, s) - 2 * mean(x, s)


def bandwidth(x, s):
    """Mean squared distance of two different ones among all, a constant."""
    every = [e.detach() for e in (*x, *s)]
    pairs = [(i, j) for i in range(len(every)) for j in range(len(every)) if i != j]
    return average([squared_distance(every[i], every[j]) for i, j in pairs])


def gaussian_by_class(real, syn):
    """(MMD^2, bandwidth) of each class."""
    found = []
    for c in range(real.classes):
        x, s = (images_of(v.embedding.flatten(0, 1), v, c) for v in (real, syn))
        b = bandwidth(x, s)

        def kernel(p, q, b=b):
            return sum(torch.exp(-squared_distance(p, q) / (b * width)) for width in (1 / 4, 1 / 2, 1, 2, 4))

        found.append((mmd(x, s, kernel), b))
    return found


def gaussian_mmd(real, syn):
    return sum(value for value, _ in gaussian_by_class(real, syn))


def scaled_gaussian_mmd(real, syn):
    slope = sum(2 / q * math.exp(-1 / q) for q in (0.25, 0.5, 1, 2, 4))
    return sum(value * b / slope for value, b in gaussian_by_class(real, syn))


def linear_mmd(real, syn):
    def of_class(c):
        x, s = (images_of(v.embedding.flatten(0, 1), v, c) for v in (real, syn))
        return mmd(x, s, lambda p, q: (p * q).sum())

    return over_classes(real, syn, of_class)


def polynomial_mmd(real, syn):
    def of_class(c):
        x, s = (images_of(v.embedding.flatten(0, 1), v, c) for v in (real, syn))
        size = average([(e**2).sum() for e in x])
        return mmd(x, s, lambda p, q: ((p * q).sum() + 1) ** 2) / (4 * size)

    return over_classes(real, syn, of_class)


def class_gradients(view, c):
    """Of the class's mean cross-entropy, for every weight but biases and norms; through the plain network."""
    weights = [p for p in view.net.parameters() if p.ndim > 1]
    loss = average([cross_entropy(view.net(x[None])[0], view.targets[c]) for x in view.images[c]])
    return torch.autograd.grad(loss, weights, create_graph=view.images.requires_grad)


def cosine_distance(a, b):
    """1 - cos, summed over output units."""
    total = 0
    for g, h in zip(a.flatten(1), b.flatten(1), strict=True):
        total += 1 - (g * h).sum() / (torch.sqrt((g**2).sum()) * torch.sqrt((h**2).sum()) + 1e-6)
    return total


def gradient_matching(real, syn):
    def of_class(c):
        pairs = zip(class_gradients(real, c), class_gradients(syn, c), strict=True)
        return sum(cosine_distance(a, b) for a, b in pairs)

    return over_classes(real, syn, of_class)


def contrastive_gradient_matching(real, syn):
    both = ([class_gradients(v, c) for c in range(v.classes)] for v in (real, syn))
    means = ([average(of_classes) for of_classes in zip(*gradients, strict=True)] for gradients in both)
    return sum(cosine_distance(a, b) for a, b in zip(*means, strict=True))


def gradient_distance(real, syn):
    def of_class(c):
        pairs = zip(class_gradients(real, c), class_gradients(syn, c), strict=True)
        return sum(((a - b) ** 2).sum() for a, b in pairs if a.ndim == 4)

    return over_classes(real, syn, of_class)


def principal_spread(real, syn):
    def of_class(c):
        x, s = (images_of(v.embedding.flatten(0, 1), v, c) for v in (real, syn))
        rank = min(len(s) - 1, 16, len(x) - 1)  # m images span m - 1 directions
        if rank == 0:
            return 0 * s[0].sum()
        centre = average(x)
        covariance = sum(torch.outer(e - centre, e - centre) for e in x) / (len(x) - 1)
        variances, directions = torch.linalg.eigh(covariance.detach())
        gaps, squares = [], []
        for j in range(1, rank + 1):
            along = [(e * directions[:, -j]).sum() for e in s]
            spread = torch.sqrt(sum((a - average(along)) ** 2 for a in along) / (len(along) - 1))
            gaps.append((spread - variances[-j].sqrt()) ** 2)
            squares.append(variances[-j])
        return average(gaps) / (average(squares) + 1e-8)

    return over_classes(real, syn, of_class)


def instance_norm(image, weight, bias):
    planes = []
    for plane, w, b in zip(image, weight, bias, strict=True):
        mean = plane.sum() / plane.numel()
        var = ((plane - mean) ** 2).sum() / plane.numel()
        planes.append((plane - mean) / torch.sqrt(var + 1e-5) * w + b)
    return torch.stack(planes)


def pool(image):
    h, w = image.shape[1] // 2 * 2, image.shape[2] // 2 * 2
    return sum(image[:, i:h:2, j:w:2] for i in (0, 1) for j in (0, 1)) / 4


def convnet(net, x):
    """(embedding, logits, maps, convs, pooled) of a ConvNet, one image after the other."""
    rows = []
    for image in x:
        maps, convs, y = [], [], image
        for i, (conv, norm) in enumerate(zip(net.convs, net.norms, strict=True)):
            padding = 3 if i == 0 and tuple(x.shape[1:]) == (1, 28, 28) else 1
            convs.append(F.conv2d(y[None], conv.weight, conv.bias, padding=padding)[0])
            z = instance_norm(convs[-1], norm.weight, norm.bias)
            maps.append(torch.where(z > 0, z, 0.0))
            y = pool(maps[-1])
        e = y.flatten()
        rows.append((e, net.classifier.weight @ e + net.classifier.bias, maps, convs, y))
    embeddings, logits, maps, convs, pooled = zip(*rows, strict=True)
    stacked = [[torch.stack(layer) for layer in zip(*taps, strict=True)] for taps in (maps, convs)]
    return torch.stack(embeddings), torch.stack(logits), *stacked, torch.stack(pooled)


def train(net, images, labels, training, orders):
    """SGD on one network by hand; ``orders[epoch]`` is the order of the images."""
    parameters = list(net.parameters())
    lr, velocity = training.lr, None
    for epoch in range(training.epochs):
        if epoch == training.epochs // 2 + 1:
            lr, velocity = training.lr / 10, None
        for start in range(0, len(images), training.batch_size):
            batch = orders[epoch][start : start + training.batch_size]
            logits = net(images[batch])
            loss = average([-torch.log(softmax(row))[labels[i]] for row, i in zip(logits, batch, strict=True)])
            grads = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                grads = [g + training.weight_decay * p for g, p in zip(grads, parameters, strict=True)]
                if velocity is not None:
                    grads = [training.momentum * v + g for v, g in zip(velocity, grads, strict=True)]
                velocity = grads
                for p, v in zip(parameters, velocity, strict=True):
                    p.sub_(lr * v)


def mixed_with(x, probability, *keys, rows=None):
    """Images ``[r, m, c, h, w]`` mixed as their keys draw, the partners, and the shares of their own pixels."""
    numbers = torch.arange(len(x), device=x.device)[:, None] if rows is None else rows
    cut = cuts(x.shape[1], x.detach()[0, 0], probability, *keys, rows=numbers)
    return cutmix(x, cut), cut.partner, cut.share
