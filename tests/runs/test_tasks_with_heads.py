"""Task-incremental runs: memories and networks as without tasks, which choose among the classes of a task."""

from itertools import chain

import torch
from small_runs import TINY, few
from torch import nn

from cl_condense.data import datasets
from cl_condense.data.imageset import ImageSet
from cl_condense.runs.incremental import Run
from cl_condense.training.evaluate import count_right


class Fixed(nn.Module):
    """Gives the pixels of an image as its logits."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x.flatten(1)


def test_outputs_of_other_classes_do_not_count_wherever_they_are():
    images = torch.tensor([[3.0, 2, 1, 0], [0, 3, 1, 2], [9, 0, 1, 2]]).view(3, 1, 2, 2)
    test, outputs = ImageSet.of(images, torch.tensor([5, 5, 7])), (2, 5, 9, 7)
    for among, right in ([(), 1], [(5, 7), 3], [(7, 2), 0], [(5, 2), 1]):
        found = count_right([Fixed()], test, torch.arange(3), outputs=outputs, among=among)
        assert int(found) == right, among


def test_a_task_s_head_is_right_wherever_all_classes_together_are(tmp_path):
    data = tuple(few(images.only(range(6)), 20) for images in datasets.load("digits"))
    own = TINY.changed(methods=("dm",), steps=3, orders=1, epochs=10, trainers=("gdumb", "idc"))
    usual, tasks = (Run(own.changed(scenario=name), *data, tmp_path / name)() for name in ("class", "task"))
    for one, other in zip(usual, tasks, strict=True):
        assert (other["scenario"], "scenario" in one) == ("task", False)
        assert len(other["by_step"]) == other["step"]
        for plain, headed in zip(*(chain(*record["by_step"]) for record in (one, other)), strict=True):
            assert headed >= plain
        assert (one["stored_bytes"], one["recipe"]) == (other["stored_bytes"], other["recipe"])
    last = tasks[-1]["accuracies"], usual[-1]["accuracies"]
    assert sum(last[0]) > sum(last[1])
