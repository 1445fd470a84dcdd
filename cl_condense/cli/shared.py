"""The options that several commands have, each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from cl_condense.cli import names, types
from cl_condense.common.ranks import ALONE, Ranks


def present() -> Ranks:
    """The ranks that the running command has, by torchrun."""
    return click.get_current_context().find_object(Ranks) or ALONE


Decorator = Callable[[Any], Any]
"""What click makes of a command, or of the function that is to be one."""

PATH = types.PATH


def together(*options: Decorator) -> Decorator:
    """Options as one decorator, in this order in the help."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


files = together(
    click.option(
        "--data",
        type=PATH,
        help="Folder of the data sets' files, or a CSV file that lists images (digits needs none).",
    ),
    click.option("--download", is_flag=True, help="Fetch a data set into --data if it is not there."),
)
_SETS = (
    "digits, mnist, fashion_mnist, svhn, cifar10, cifar100, folder, or of the ImageNet family: "
    "tinyimagenet, imagenette, imagewoof, imagenet10, imagenet100, imagenet1k; of MedMNIST: pathmnist, ... "
    "or npz, a file with train_images, train_labels, test_images, test_labels."
)
_prepared = together(
    files,
    click.option(
        "--size",
        type=types.SIZE,
        metavar="N or HxW",
        help="Scale images to cover N x N, or height x width, and cut out the middle.  [default: as they are]",
    ),
    click.option(
        "--channels", type=types.CHANNELS, metavar="1 or 3", help="Grey or colour.  [default: as they are]"
    ),
    click.option(
        "--classes",
        type=types.CLASSES,
        metavar="NAME,...",
        help="Take these classes alone (in double quotes where a name has a comma); or name a .txt file with a "
        "class a line.  [default: all]",
    ),
    click.option(
        "--test-share",
        type=types.SHARE,
        help="Of each class for testing, where a data set has no test part.  [default: 0.2]",
    ),
    click.option("--skip-damaged", is_flag=True, help="Leave files of a folder out that cannot be read."),
)
data = together(
    click.option("--dataset", type=names.DATASET, default="digits", show_default=True, help=_SETS), _prepared
)
stream = together(
    click.option(
        "--scenario",
        type=names.SCENARIO,
        help="What comes at each step: class, new classes; task, the same, and test images are told which "
        "step theirs came in; domain, all classes of another domain; online, new classes or domains in "
        "mini-batches.  [default: class]",
    ),
    click.option(
        "--dataset",
        type=names.STREAM,
        default="digits",
        show_default=True,
        help=f"{_SETS} With --scenario domain or online: rotated_mnist, permuted_mnist and the like; several "
        "with commas, digits,mnist; or, with domain, folder, a folder a domain.",
    ),
    _prepared,
)
arriving = together(
    click.option(
        "--blur",
        type=types.AMOUNT,
        help="Images come early or late by so many steps (standard deviation): classes come in several.  "
        "[default: 0]",
    ),
    click.option(
        "--batch",
        type=types.COUNT,
        help="Images of a mini-batch of an online stream.  [default: 10]",
    ),
    click.option(
        "--staging",
        type=types.SHARE,
        help="Share of an online memory for real images that wait to be condensed.  [default: 0.25]",
    ),
    click.option(
        "--enough",
        type=types.COUNT,
        help="Images that a class of an online stream shows until it is condensed.  [default: 500]",
    ),
    click.option(
        "--boundaries/--no-boundaries",
        default=None,
        help="Whether an online memory is told where steps end, and condenses what waits.  [default: it is]",
    ),
)
storing = click.option(
    "--codec", type=names.CODEC, help="How images are stored: uint8, float16, float32.  [default: uint8]"
)
compiling = click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="ConvNets through torch.compile: minutes at first, then half the time.",
)
training_precision = click.option(
    "--training-precision",
    type=names.PRECISION,
    help="Of networks that train on the images: float32 or bfloat16.  [default: float32]",
)
iterations = click.option(
    "--iterations",
    type=types.COUNT,
    help="Of condensation.  [default: digits 200, else economy's or the method's own]",
)
sweeps = click.option(
    "--sweep",
    "sweeps",
    type=types.SWEEP,
    multiple=True,
    metavar="SETTING=V1,V2,...",
    help="Repeat: methods with each of these values of a setting that they have, such as lr=0.1,1.",
)
checkpoints = click.option(
    "--checkpoints",
    type=types.MOMENTS,
    metavar="N1,N2,...",
    help="The sets after these iterations too, or after shares of them such as 50%.",
)
real_per_class = click.option(
    "--real-per-class",
    type=types.COUNT,
    help="Real images a class and iteration.  [default: digits 32, else economy's or the method's own]",
)
computing = together(
    click.option(
        "--economy/--papers",
        default=None,
        help="Condense in fewer iterations with fewer real images, where a method allows it, or as published.  "
        "[default: economy; digits has settings of its own]",
    ),
    click.option(
        "--precision", type=names.PRECISION, help="Of condensation: float32 or bfloat16.  [default: float32]"
    ),
    compiling,
    click.option(
        "--reuse",
        type=types.COUNT,
        help="Iterations that share a network and a real batch: less work.  [default: economy 10, else 1]",
    ),
)
width = click.option(
    "--width", type=types.COUNT, help="Filters of the ConvNets.  [default: digits 32, else 128]"
)
network = together(
    click.option(
        "--network",
        type=names.NETWORK,
        help="convnet, resnet18, vgg11, alexnet, ... or torchvision:resnet18 and the like.  [default: convnet]",
    ),
    width,
    click.option(
        "--depth", type=types.COUNT, help="Blocks of the ConvNets.  [default: digits 2, else by the image size]"
    ),
    click.option(
        "--augment",
        help="Augmentation that fits the data, such as crop_flip, or none.  [default: as the papers; no flips "
        "of digits]",
    ),
)
epochs = click.option(
    "--epochs",
    type=types.COUNT,
    help="Of each network.  [default: digits 200, else those of --evaluation: 1000, or 300 where plain]",
)
evaluation = click.option(
    "--evaluation",
    type=names.EVALUATION,
    help="How networks train: augmented, plain (DC's protocol), mixed (IDC's and M3D's), or as of a paper: "
    "dance, cafe, datadam, dc_mnist, idc_mnist.  [default: augmented]",
)
pools = click.option(
    "--pools",
    type=PATH,
    help="Folder of trained pools of networks, which what is condensed with one shares.  [default: pools/ "
    "beside the results]",
)
seed = click.option("--seed", type=types.SEED, default=0, show_default=True, help="Of all that is random.")
device = click.option(
    "--device", type=names.DEVICE, default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ..."
)

ray = together(
    click.option(
        "--ray",
        type=types.ADDRESS,
        metavar="auto or HOST:PORT",
        help="Do what does not wait for one another at a time, on a Ray cluster: auto, the one that runs here, "
        "or all cores and GPUs of this machine.",
    ),
    click.option("--gpu-share", type=types.SHARE, help="Of a GPU for each unit with --ray.  [default: 1]"),
)

logs = click.option(
    "--log",
    "logs",
    type=names.LOG,
    multiple=True,
    help="Repeat: loss curves, accuracies and pictures to csv:FILE, tensorboard:DIR, wandb:PROJECT.",
)


def swept(methods: Sequence[str], sweeps: Sequence[str]) -> tuple[list[str], list[str]]:
    """Methods with the values of sweeps, and lines on those that stay as they are.

    Raises:
        ValueError: for a setting that none has, and values that make no sense.
    """
    from cl_condense.methods.sweeps import Sweep, passed_over, swept  # noqa: PLC0415

    read = [Sweep.of(text) for text in sweeps]
    return swept(methods, read), passed_over(methods, read)


def out(help: str) -> Decorator:
    """Where results go."""
    return click.option("--out", type=PATH, help=help)
