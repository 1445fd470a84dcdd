"""How cost grows with the number of classes: slopes and a plot of what speed.py measured."""

import math
import statistics


def slopes(records):
    """The power of the number of classes with which cost grows; least squares on logarithms."""
    found = {}
    if len({r["classes"] for r in records}) < 2:
        return found
    x = [math.log(r["classes"]) for r in records]
    for what in ("seconds", "peak_bytes"):
        for side in ("reference", "ours"):
            y = [math.log(r[side][what]) for r in records]
            found[f"{side}_{what}"] = statistics.linear_regression(x, y).slope
    return found


def plot(records, path):
    """Cost and memory against classes: seconds with a line of slope 1, memory with the images' own."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 # slow

    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    x = [r["classes"] for r in records]
    panels = (("seconds", "seconds an iteration", 1), ("peak_bytes", "peak memory, MiB", 2**-20))
    for ax, (what, label, unit) in zip(axes, panels, strict=True):
        for side in ("reference", "ours"):
            ax.plot(x, [r[side][what] * unit for r in records], marker="o", label=side)
        ax.set(xscale="log", yscale="log", xlabel="classes", ylabel=label)
    first = records[0]["ours"]["seconds"]
    axes[0].plot(x, [first * k / x[0] for k in x], color="0.6", linestyle=":", label="slope 1")
    images = [r["images_bytes"] for r in records]
    rest = [(r["ours"]["peak_bytes"] - i) / 2**20 for r, i in zip(records, images, strict=True)]
    axes[1].plot(x, rest, marker=".", linestyle="--", label="ours but for the images themselves")
    axes[1].plot(x, [i / 2**20 for i in images], color="0.6", linestyle=":", label="the images themselves")
    axes[0].legend()
    axes[1].legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)
