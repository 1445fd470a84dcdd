"""The papers' figures of a condensed set beside its real images, as blocks of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cl_condense.common.lettering import drawable, families, label
from cl_condense.common.plain import Json
from cl_condense.reports.html import tsne
from cl_condense.reports.html.drift import MEASURES
from cl_condense.reports.html.measuring import Measured
from cl_condense.reports.html.parts import Beside, Block, Command, Facts, Grid, Section
from cl_condense.reports.html.pictures import Picture
from cl_condense.reports.html.plots import COLOURS, DPI, WIDTH, Line, plot, png
from cl_condense.reports.html.probe import SEED
from cl_condense.reports.html.words import cite, seconds_words, shell

_MORE = ("#882255", "#999933", "#44AA99")  # Tol's, where classes are more than curves have colours


def figure_section(measured: Measured, method: str, names: Sequence[str], where: Sequence[object]) -> Section:
    """t-SNE, style drift and consistency ratio of a set, with how they were made.

    Args:
        measured: the numbers.
        method: the name of its method.
        names: of the classes.
        where: words of the command that writes the report.
    """
    accuracy = f"{100 * measured.accuracy:.1f} % of the test images right"
    facts = Facts(
        {
            "seen through": f"{measured.network}: {accuracy}; the same for all sets of the data set",
            "seed": f"{SEED} (network, real images drawn, t-SNE)",
            "device": f"{measured.device}, {seconds_words(measured.seconds)} and the network's training",
        }
    )
    blocks: list[Block] = [
        _places(measured, names),
        Beside([_drift(measured, method), _drift_table(measured, method)]),
        _consistency({method: measured}),
        facts,
        Command([shell(["report", *where])]),
    ]
    return Section(4, "Beside the real images", blocks)


def comparison(dataset: str, sets: Mapping[str, Measured], where: Sequence[object]) -> Section:
    """The sets of a data set beside each other, as the papers compare methods.

    Args:
        dataset: its name.
        sets: the numbers of each set, by name.
        where: words of the command that writes the report.
    """
    rows = []
    for name, measured in sets.items():
        means = [sum(layers) / len(layers) for layers in measured.drift]
        rows.append([name, *(f"{mean:.3f}" for mean in means)])
    drift = Grid(
        ("set", *MEASURES), rows, "Style drift, the mean over blocks (relative distance from real images)"
    )
    blocks: list[Block] = [_consistency(sets), drift, Command([shell(["report", *where])])]
    return Section(3, f"Sets of {dataset} beside each other", blocks)


def _places(measured: Measured, names: Sequence[str]) -> Picture:
    figure = Figure(figsize=(WIDTH, 5.2), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    colours = (*COLOURS, *_MORE)
    real: Json = {"marker": "o", "s": 9, "alpha": 0.55, "lw": 0}
    syn: Json = {"marker": "*", "s": 50, "ec": "black", "lw": 0.5}
    for look, points, classes in (
        (real, measured.real, measured.real_classes),
        (syn, measured.syn, measured.syn_classes),
    ):
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, c=[colours[c % len(colours)] for c in classes], **look)
    axes.set(xticks=[], yticks=[])
    present = sorted(set(measured.real_classes))
    handles = [Line2D([], [], color=colours[c % len(colours)], marker="o", ls="", ms=5) for c in present]
    few = [label(name, 14, any_script=True) for name in drawable([names[c] for c in present], present)]
    look = {"prop": {"family": families(few), "size": 8}, "frameon": False, "handletextpad": 0}
    figure.legend(handles, few, loc="outside lower center", ncols=5, **look)
    caption = (
        f"t-SNE of embeddings, real images (dots) and those of the set (stars): at most {tsne.REAL} and "
        f"{tsne.SYN} of each of the first {len(present)} classes, perplexity {tsne.PERPLEXITY}. After DDM's "
        f"fig. 1b and 4a ({cite('ddm')}) and IID's fig. 1 ({cite('iid')}), which look through other networks."
    )
    alt = f"t-SNE: {len(measured.real)} real and {len(measured.syn)} condensed images of {len(present)} classes"
    return Picture(png(figure), alt, caption)


def _consistency(sets: Mapping[str, Measured]) -> Beside:
    """A line for each set, and one for real images; the numbers in a table."""
    first = next(iter(sets.values()))
    rows = {name: measured.consistency for name, measured in sets.items()}
    rows["real images"] = first.real_consistency
    lines = [Line(name, first.neighbours, [100 * r for r in ratios]) for name, ratios in rows.items()]
    caption = (
        "Consistency ratio: the share of an image's k nearest real training images (L2 of embeddings) that are "
        "of its class, the mean over images; real images without themselves. A selected image, or one that has "
        f"hardly left where it started, finds that one. After IDM's fig. 4 ({cite('idm')})."
    )
    drawn = plot(lines, ("nearest real images k", "of the same class (%)"))
    picture = Picture(drawn, "Consistency ratio against k; the numbers are in the table", caption)
    cells = [[name, *(f"{100 * r:.1f}" for r in ratios)] for name, ratios in rows.items()]
    return Beside([picture, Grid(["consistency (%) at k =", *map(str, first.neighbours)], cells)])


def _drift(measured: Measured, method: str) -> Picture:
    figure = Figure(figsize=(WIDTH, 2.9), dpi=DPI, layout="constrained")
    kinds = [(label(method), measured.drift, COLOURS[1]), ("as many real", measured.real_drift, COLOURS[0])]
    kinds = [kind for kind in kinds if kind[1]]
    panels = figure.subplots(1, len(MEASURES))
    for i, (axes, name) in enumerate(zip(panels, MEASURES, strict=True)):
        for j, (what, drift, colour) in enumerate(kinds):
            x = [layer + 1 + 0.4 * (j - (len(kinds) - 1) / 2) for layer in range(len(drift[i]))]
            axes.bar(x, drift[i], 0.38, color=colour, label=what)
        axes.set_title(name.replace("standard deviations", "std"), fontsize=9)
        axes.set_xticks(range(1, len(measured.drift[i]) + 1))
        axes.set_xlabel("block")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("relative distance")
    handles, words = panels[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    caption = (
        "Style drift: relative distance of a class's channel-wise means, standard deviations and Gram matrices "
        "(maps after ReLU) from those of real images, the mean over classes; beside it that of as many other "
        f"real images. After DDM's fig. 1a and eq. 4 to 6 ({cite('ddm')})."
    )
    return Picture(
        png(figure), "Style drift in each block of the network; the numbers are in the table", caption
    )


def _drift_table(measured: Measured, method: str) -> Grid:
    rows = []
    for i, name in enumerate(MEASURES):
        for layer, value in enumerate(measured.drift[i]):
            beside = f"{measured.real_drift[i][layer]:.3f}" if measured.real_drift else "-"
            rows.append([f"{name}, block {layer + 1}", f"{value:.3f}", beside])
    return Grid(("style drift", method, "as many real"), rows)
