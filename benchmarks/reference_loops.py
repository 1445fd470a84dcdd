"""The papers' loops, one class and one network after another in float32, for benchmarks/speed.py.

Images lie on the device, nothing waits for it, and real images pass without a graph; otherwise as published.
"""

import random

import torch
import torch.nn.functional as F
from torch import nn

DSA = ("color", "crop", "cutout", "flip", "scale", "rotate")
DC_LOOPS = {1: (1, 1), 10: (10, 50), 50: (50, 10)}  # images per class: iterations and epochs of a network
KERNEL_WIDTHS = (0.25, 0.5, 1, 2, 4)


class ConvNet(nn.Module):
    """Blocks of convolution, instance norm, ReLU and pooling down to 4 pixels, in torch's initialisation."""

    def __init__(self, shape, classes, width):
        super().__init__()
        channels, side, _ = shape
        depth = max(1, side.bit_length() - 3)
        self.convs = nn.ModuleList(
            nn.Conv2d(width if i else channels, width, 3, padding=1) for i in range(depth)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(width, width) for _ in range(depth))
        self.relus = nn.ModuleList(nn.ReLU(inplace=True) for _ in range(depth))
        self.pools = nn.ModuleList(nn.AvgPool2d(2) for _ in range(depth))
        self.classifier = nn.Linear(width * (side >> depth) ** 2, classes)

    def embed(self, x, maps=None):
        """Embedding ``[n, d]``; the maps before pooling are put into the list ``maps``."""
        for conv, norm, relu, pool in zip(self.convs, self.norms, self.relus, self.pools, strict=True):
            x = relu(norm(conv(x)))
            if maps is not None:
                maps.append(x)
            x = pool(x)
        return x.flatten(1)

    def forward(self, x):
        return self.classifier(self.embed(x))


def color(x, u):
    x = x + (u[:, 0] - 0.5).view(-1, 1, 1, 1)
    mean = x.mean(1, keepdim=True)
    x = (x - mean) * (2 * u[:, 1]).view(-1, 1, 1, 1) + mean
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (u[:, 2] + 0.5).view(-1, 1, 1, 1) + mean


def places(x, rows, columns):
    """Image number, row and column of pixels at ``rows [n, a]`` and ``columns [n, b]``, to index with."""
    return torch.arange(len(x), device=x.device).view(-1, 1, 1), rows[:, :, None], columns[:, None, :]


def crop(x, u):
    shifts = [int(size * 0.125 + 0.5) for size in x.shape[2:]]
    moved = []
    for axis, shift in enumerate(shifts):
        by = (u[:, axis] * (2 * shift + 1)).long().expand(len(x))
        moved.append(torch.arange(x.shape[axis + 2], device=x.device) + by[:, None])
    padded = F.pad(x, (shifts[1], shifts[1], shifts[0], shifts[0])).permute(0, 2, 3, 1)
    return padded[places(x, *moved)].permute(0, 3, 1, 2).contiguous()  # channels-last is slow on a CPU


def cutout(x, u):
    hole = []
    for axis, size in enumerate(x.shape[2:]):
        side = int(size * 0.5 + 0.5)
        first = (u[:, axis] * (size + 1 - side % 2)).long().expand(len(x)) - side // 2
        hole.append((torch.arange(side, device=x.device) + first[:, None]).clamp(0, size - 1))
    mask = torch.ones(len(x), *x.shape[2:], device=x.device)
    mask[places(x, *hole)] = 0
    return x * mask[:, None]


def flip(x, u):
    return torch.where((u[:, 0] < 0.5).view(-1, 1, 1, 1), x.flip(3), x)


def affine(x, a, b, c, d):
    zero = torch.zeros_like(a)
    theta = torch.stack([torch.stack([a, b, zero], 1), torch.stack([c, d, zero], 1)], 1).expand(len(x), 2, 3)
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


def scale(x, u):
    factor = 1 / 1.2 + (1.2 - 1 / 1.2) * u
    return affine(x, factor[:, 0], torch.zeros_like(u[:, 0]), torch.zeros_like(u[:, 0]), factor[:, 1])


def rotate(x, u):
    angle = torch.deg2rad(15 * (2 * u[:, 0] - 1))
    return affine(x, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


OPERATIONS = {"color": color, "crop": crop, "cutout": cutout, "flip": flip, "scale": scale, "rotate": rotate}


def decode(pixels):
    """The 2 x 2 smaller images in each of ``[n, c, h, w]``, enlarged."""
    h, w = (size // 2 for size in pixels.shape[2:])
    cells = [pixels[:, :, :h, :w], pixels[:, :, h:, :w], pixels[:, :, :h, w:], pixels[:, :, h:, w:]]
    return F.interpolate(torch.cat(cells), scale_factor=2, mode="bilinear", align_corners=False)


class Loop:
    """A condensation of uint8 images ``[n, c, h, w]``, sorted by class, into ``pixels [k, ipc, c, h, w]``."""

    lr, momentum, factor, unit = 1.0, 0.5, 1, False

    def __init__(self, images, targets, mean, std, *, ipc, width, real_per_class):
        device = images.device
        self.mean, self.std = (torch.tensor(x, device=device).view(-1, 1, 1) for x in (mean, std))
        images = images.float() / 255
        self.images = images if self.unit else (images - self.mean) / self.std
        self.targets, self.width, self.real_per_class = targets, width, real_per_class
        self.classes, self.iteration = int(targets.max()) + 1, 0
        self.of_class = targets.bincount().cumsum(0).tolist()
        self.pixels = torch.stack([self.start(c, ipc) for c in range(self.classes)]).requires_grad_()
        self.optimizer = torch.optim.SGD([self.pixels], self.lr, self.momentum)

    def start(self, c, ipc):
        """Real images of a class, or mosaics of 2 x 2 of them at half the size."""
        if self.factor == 1:
            return self.batch(c, ipc)
        small = F.interpolate(self.batch(c, 4 * ipc), scale_factor=0.5, mode="bilinear")
        top_left, below, right, across = small.split(ipc)
        return torch.cat([torch.cat([top_left, right], 3), torch.cat([below, across], 3)], 2)

    def shown(self):
        """What networks are trained on, ``[k, n, c, h, w]``, normalised."""
        x = self.pixels.detach()
        x = (x.clamp(0, 1) - self.mean) / self.std if self.unit else x
        return torch.stack([decode(each) for each in x]) if self.factor == 2 else x

    def new_net(self):
        shape = tuple(self.images.shape[1:])
        return ConvNet(shape, self.classes, self.width).to(self.images.device).requires_grad_(False)

    def batch(self, c, n):
        first, end = self.of_class[c - 1] if c else 0, self.of_class[c]
        return self.images[first + torch.randperm(end - first, device=self.images.device)[:n]]

    def augment(self, real, syn):
        """One operation, and one draw of its parameters, for both."""
        operation = OPERATIONS[random.choice(DSA)]
        u = torch.rand(1, 3, device=real.device)
        return operation(real, u), operation(syn, u)

    def update(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class DM(Loop):
    """A new network an iteration, the loss of all classes added up, one step."""

    def step(self):
        net, loss = self.new_net(), 0
        for c, pixels in enumerate(self.pixels.unbind()):  # slices would each have a gradient of full size
            real, syn = self.augment(self.batch(c, self.real_per_class), pixels)
            loss = loss + self.match(net, real, syn)
        self.iteration += 1
        return self.update(loss)

    def match(self, net, real, syn):
        with torch.no_grad():
            real = net.embed(real)
        return (real.mean(0) - net.embed(syn).mean(0)).square().sum()


class DDM(DM):
    """DM with style and diversity within a class."""

    def match(self, net, real, syn):
        real_maps, syn_maps = [], []
        with torch.no_grad():
            real = net.embed(real, real_maps)
        syn = net.embed(syn, syn_maps)
        loss = (real.mean(0) - syn.mean(0)).square().sum() + 10 * diversity(syn)
        for r, s in zip(real_maps, syn_maps, strict=True):
            loss = loss + 1e4 * style(r.flatten(2), s.flatten(2))
        return loss


def style(real, syn):
    """Gaps of moments and of Gram matrices of maps ``[m, channels, positions]``."""
    channels, positions = real.shape[1:]
    found = []
    for maps in (real, syn):
        deviation = (maps.var(2) + 1e-5).sqrt().mean(0)
        found.append((maps.mean(2).mean(0), deviation, (maps @ maps.mT).mean(0)))
    mean, deviation, gram = ((a - b).square() for a, b in zip(*found, strict=True))
    return mean.mean() + deviation.mean() + gram.sum() / (4 * channels**2 * positions**2)


def diversity(e):
    """Minus the divergence of each image's softmax from that of the mean of its neighbours."""
    ipc = len(e)
    if ipc == 1:
        return 0 * e.sum()
    with torch.no_grad():
        near = torch.cdist(e, e).fill_diagonal_(torch.inf).topk(max(1, round(0.2 * ipc)), largest=False).indices
    return -F.kl_div(e[near].mean(1).log_softmax(1), e.log_softmax(1), reduction="batchmean", log_target=True)


class IDM(Loop):
    """Networks from a queue, a step a class, two networks trained an iteration."""

    lr, factor = 0.2, 2

    def __init__(self, *args, push_every=30, size=100, train_steps=10, batch_size=256, weight=0.5, **options):
        super().__init__(*args, **options)
        self.push_every, self.size, self.weight = push_every, size, weight
        self.train_steps, self.batch_size = train_steps, batch_size
        self.queue = [self.member() for _ in range(3)]

    def member(self):
        """A network, its optimiser, and how many images it got right of how many."""
        net = self.new_net()
        sgd = torch.optim.SGD(net.parameters(), 0.01, 0.9, weight_decay=5e-4)
        return net, sgd, torch.zeros(2, device=self.images.device)

    def step(self):
        if self.iteration % self.push_every == 0:
            self.queue = [*self.queue[len(self.queue) == self.size :], self.member()]
        net, _, seen = random.choice(self.queue)
        total = 0
        for c in range(self.classes):
            real, syn = self.augment(self.batch(c, self.real_per_class), decode(self.pixels[c]))
            with torch.no_grad():
                real = net.embed(real)
            syn = net.embed(syn)
            own = torch.full((len(syn),), c, device=syn.device)
            ce = F.cross_entropy(net.classifier(syn), own) * 100 * seen[0] / seen[1].clamp_min(1)
            loss = (real.mean(0) - syn.mean(0)).square().sum() + self.weight * ce
            total = total + self.update(loss)
        for member in random.sample(self.queue, min(2, len(self.queue))):
            self.train(*member)
        self.iteration += 1
        return total

    def train(self, net, sgd, seen):
        net.requires_grad_(True)
        for _ in range(self.train_steps):
            index = torch.randint(len(self.images), (self.batch_size,), device=self.images.device)
            logits, targets = net(self.images[index]), self.targets[index]
            sgd.zero_grad()
            F.cross_entropy(logits, targets).backward()
            sgd.step()
            seen[0] += (logits.argmax(1) == targets).sum()
            seen[1] += len(index)
        net.requires_grad_(False)


class DC(Loop):
    """Gradients of the weights matched class by class, from noise, under networks that train in between."""

    lr = 0.1

    def __init__(self, *args, ipc, **options):
        super().__init__(*args, ipc=ipc, **options)
        self.outer, self.inner = DC_LOOPS[min(DC_LOOPS, key=lambda budget: abs(budget - ipc))]

    def start(self, c, ipc):
        return torch.randn(ipc, *self.images.shape[1:], device=self.images.device)

    def step(self):
        if self.iteration % self.outer == 0:
            self.net = self.new_net().requires_grad_(True)
        net, loss = self.net, 0
        weights = [p for p in net.parameters() if p.ndim > 1]
        for c, pixels in enumerate(self.pixels.unbind()):
            real = self.slopes(net, weights, self.batch(c, self.real_per_class), c)
            syn = self.slopes(net, weights, pixels, c, create_graph=True)
            loss = loss + sum(apart(r.flatten(1), s.flatten(1)) for r, s in zip(real, syn, strict=True))
        self.iteration += 1
        loss = self.update(loss)
        if self.iteration % self.outer:
            self.train(net)
        return loss

    def train(self, net):
        images, sgd = self.pixels.detach().flatten(0, 1), torch.optim.SGD(net.parameters(), 0.01)
        targets = torch.arange(self.classes, device=images.device).repeat_interleave(self.pixels.shape[1])
        for _ in range(self.inner):
            for batch in torch.randperm(len(images), device=images.device).split(256):
                sgd.zero_grad()
                F.cross_entropy(net(images[batch]), targets[batch]).backward()
                sgd.step()

    def slopes(self, net, weights, x, c, **options):
        own = torch.full((len(x),), c, device=x.device)
        return torch.autograd.grad(F.cross_entropy(net(x), own), weights, **options)


def apart(real, syn):
    """1 - cosine of each output unit ``[out, n]``, added up."""
    return (1 - (real * syn).sum(1) / (real.norm(dim=1) * syn.norm(dim=1) + 1e-6)).sum()


class M3D(Loop):
    """Kernel embeddings, a step a class, five iterations a network, pixels in 0 to 1."""

    factor, unit = 2, True

    def step(self):
        if self.iteration % 5 == 0:
            self.net = self.new_net()
        self.pixels.data.clamp_(0, 1)
        total = 0
        for c in range(self.classes):
            both = self.batch(c, self.real_per_class), decode(self.pixels[c])
            real, syn = self.augment(*((x - self.mean) / self.std for x in both))
            with torch.no_grad():
                real = self.net.embed(real)
            total = total + self.update(mmd(real, self.net.embed(syn)))
        self.iteration += 1
        return total

    def augment(self, real, syn):
        for operation in (color, crop, cutout):
            u = torch.rand(1, 3, device=real.device)
            real, syn = operation(real, u), operation(syn, u)
        return real, syn


def mmd(real, syn):
    """Squared maximum mean discrepancy under five Gaussian kernels."""
    n, e = len(real), torch.cat([real, syn])
    norms = e.square().sum(1)
    squares = (norms[:, None] + norms - 2 * e @ e.T).clamp_min(0)
    width = squares.detach().sum() / (len(e) ** 2 - len(e))
    kernel = sum(torch.exp(-squares / (width * q)) for q in KERNEL_WIDTHS)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


LOOPS = {"dm": DM, "ddm": DDM, "dc": DC, "idm": IDM, "m3d": M3D}


def train(network, images, targets, *, networks, epochs, batch_size=256):
    """Trains networks one after another; an operation a mini-batch, with parameters for each image."""
    nets = []
    for _ in range(networks):
        net, lr = network().to(images.device), 0.01
        sgd = torch.optim.SGD(net.parameters(), lr, 0.9, weight_decay=5e-4)
        for epoch in range(epochs):
            if epoch == epochs // 2 + 1:
                sgd = torch.optim.SGD(net.parameters(), lr / 10, 0.9, weight_decay=5e-4)
            for batch in torch.randperm(len(images), device=images.device).split(batch_size):
                u = torch.rand(len(batch), 3, device=images.device)
                x = OPERATIONS[random.choice(DSA)](images[batch], u)
                sgd.zero_grad()
                F.cross_entropy(net(x), targets[batch]).backward()
                sgd.step()
        nets.append(net)
    return nets
