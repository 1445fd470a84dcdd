"""Condense images of your own, look at them, and see what a network trained on them reaches.

    python examples/own_dataset.py

Here the "own" images are coloured shapes drawn on the spot; replace `shapes` by your tensors, or use
`load("folder", "path/to/images")` for image files.
"""

from pathlib import Path

import torch

from cl_condense import ImageSet, Initialiser, MakeConvNet, Training, condense, predict, train

NAMES = ["disc", "square", "cross"]


def shapes(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 images [n, 3, 16, 16] and labels [n]."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(len(NAMES), (n,), generator=g)
    centre = torch.randint(6, 10, (n, 2), generator=g)
    y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    dy, dx = (y - centre[:, 0, None, None]).abs(), (x - centre[:, 1, None, None]).abs()
    inside = torch.stack([dy**2 + dx**2 < 14, (dy < 4) & (dx < 4), ((dy < 2) | (dx < 2)) & (dy + dx < 6)])
    mask = inside[labels, torch.arange(n)][:, None]
    colour = torch.randint(80, 256, (n, 3, 1, 1), generator=g)
    noise = torch.randint(0, 90, (n, 3, 16, 16), generator=g)
    return torch.where(mask, colour, noise).to(torch.uint8), labels


def main(out: Path = Path("runs/own_dataset")) -> None:
    out.mkdir(parents=True, exist_ok=True)
    real = ImageSet.of(*shapes(600, seed=0), names=NAMES)
    test = ImageSet.of(*shapes(300, seed=1), names=NAMES, normalisation=(real.mean, real.std))
    network = MakeConvNet(real.shape, width=32)

    for method in ("random", "dm"):
        changes = {"iterations": 100, "real_per_class": 64} if method == "dm" else {}
        condensed = condense(real, method, **changes, ipc=1, network=network, seed=0)
        condensed.save(out / f"{method}.safetensors")
        condensed.save_png(out / f"{method}.png")

        nets = [network(len(NAMES)) for _ in range(3)]
        for i, net in enumerate(nets):
            Initialiser(net)(0, i)
        train(nets, *condensed.decode(), Training(epochs=200), keys=(0,))
        right = predict(nets, test.take(torch.arange(len(test)))).argmax(-1) == test.labels
        print(f"{method}: accuracy {right.float().mean():.3f} from {len(condensed)} images, in {out}")


if __name__ == "__main__":
    main()
