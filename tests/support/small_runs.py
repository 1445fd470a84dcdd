"""A class-incremental run of a second."""

from cl_condense.data.imageset import ImageSet
from cl_condense.runs.run_config import RunConfig

TINY = RunConfig.of(
    "digits",
    methods=("random", "dm"),
    steps=2,
    ipc=2,
    orders=2,
    networks=2,
    iterations=3,
    real_per_class=8,
    epochs=3,
    width=8,
    depth=1,
    augment="color_crop_cutout_scale_rotate",
    device="cpu",
)


def few(images, m):
    """The same number of images of each class, drawn."""
    index = images.draw(m, 0)
    return ImageSet.of(
        images.images[index.flatten()],
        images.labels[index.flatten()],
        names=[str(i) for i in range(10)],
        normalisation=(images.mean, images.std),
    )
