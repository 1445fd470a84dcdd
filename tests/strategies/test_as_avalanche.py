"""CondensedBuffer beside Avalanche's ClassBalancedBuffer: what both have means the same."""

from collections import Counter

import pytest
import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.storage_policy import ClassBalancedBuffer
from hypothesis import given, settings
from hypothesis import strategies as st
from memories import message
from streams import buffer, ci, nc, noise

from cl_condense.data.parts import label_and_domain
from cl_condense.strategies import CondensedBuffer
from cl_condense.strategies.tensors import class_id


@pytest.mark.parametrize(
    "sharing", [{}, {"adaptive_size": False, "total_num_classes": 10}], ids=["seen", "all"]
)
@pytest.mark.parametrize("benchmark", [nc, ci])
def test_groups_sizes_and_classes_are_those_of_avalanche_s_buffer(digits, benchmark, sharing):
    ours, own = buffer(40, **sharing), ClassBalancedBuffer(40, **sharing)
    assert (ours.adaptive_size, ours.total_num_classes) == (own.adaptive_size, own.total_num_classes)
    for exp in benchmark(*digits).train_stream:
        ours.update_from_dataset(exp.dataset)
        own.update_from_dataset(exp.dataset)
        assert ours.seen_classes == own.seen_classes
        assert ours.buffer_groups.keys() == own.buffer_groups.keys()
        sizes = [
            Counter(len(group.buffer) for group in policy.buffer_groups.values()) for policy in (ours, own)
        ]
        assert sizes[0] == sizes[1], "which classes get what does not divide evenly is not said by Avalanche's"
        assert len(ours) == len(ours.buffer) == len(own.buffer) == sum(map(len, ours.buffer_datasets))
        for label, group in ours.buffer_groups.items():
            assert set(group.buffer.targets) == {label}
            assert group.max_size == len(group.buffer)
            assert type(group.buffer[0][1]) is type(own.buffer_groups[label].buffer[0][1])
            assert len(group.buffer[0]) == len(exp.dataset[0])


def test_a_resized_memory_gives_each_class_of_the_stream_its_new_part(digits):
    policies = [make(40, adaptive_size=False, total_num_classes=10) for make in (buffer, ClassBalancedBuffer)]
    for policy in policies:
        policy.update_from_dataset(nc(*digits).train_stream[0].dataset)
        policy.resize(None, 20)
        assert (policy.max_size, [len(part) for part in policy.buffer_datasets]) == (20, [2, 2])


def test_an_empty_memory_is_there_and_has_no_groups():
    memory = buffer(5)
    assert memory
    assert (len(memory), memory.buffer_groups, memory.buffer_datasets, memory.seen_classes) == (
        0,
        {},
        [],
        set(),
    )
    assert repr(memory) == "CondensedBuffer(max_size=5, method='random'): 0 images of 0 classes"


def test_a_dataset_without_images_changes_nothing():
    memory = buffer(5)
    memory.update_from_dataset(noise(0, 1).dataset.subset([]))
    assert (memory.memory, memory.experiences) == (None, 0)


def test_groups_are_made_once_for_a_state_of_the_memory(digits):
    memory = buffer(20)
    first, second = list(nc(*digits).train_stream)[:2]
    memory.post_adapt(None, first)
    groups = memory.buffer_groups
    assert memory.buffer_groups is groups
    memory.post_adapt(None, second)
    assert memory.buffer_groups is not groups


@pytest.mark.parametrize(
    ("sharing", "words"),
    [
        ({"adaptive_size": False}, "adaptive_size=False, total_num_classes=None: give total_num_classes"),
        (
            {"total_num_classes": 10},
            "adaptive_size=True, total_num_classes=10: give adaptive_size=False with it",
        ),
        ({"adaptive_size": "no"}, "adaptive_size 'no': give True or False"),
    ],
)
def test_sharing_that_contradicts_itself_is_refused(sharing, words):
    with pytest.raises(ValueError, match=words) as error:
        CondensedBuffer(20, **sharing)
    message(error)


# classes and tasks


@pytest.mark.parametrize("labels", [(7, 1000, 3), (0, 4_000_000_000), (2**32 - 1,)])
def test_labels_of_any_range_come_back_as_they_were(labels):
    memory = buffer(6)
    memory.post_adapt(None, noise(*labels))
    assert {int(y) for _, y, *_ in memory.buffer} == memory.seen_classes == set(labels)
    assert memory.buffer_groups.keys() == set(labels)
    assert memory.memory.names == ()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1))
def test_a_class_has_its_label_and_domain_back_and_an_id_that_files_hold(label, task):
    assert label_and_domain(class_id(label, task)) == (label, task)
    assert 0 <= class_id(label, task) < 2**63


class Labelled(torch.utils.data.Dataset):
    """One image of each label, whatever that is."""

    def __init__(self, labels):
        self.labels, self.targets = labels, [0] * len(labels)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return torch.zeros(1, 8, 8), self.labels[index]


@pytest.mark.parametrize("label", [-1, 2**32, 1.5, "cat", torch.tensor([0, 1])])
def test_labels_that_are_no_class_are_refused(label):
    with pytest.raises(ValueError, match=r"label .*: give a whole number from 0 to 4294967295") as error:
        buffer(6).update_from_dataset(AvalancheDataset([Labelled([label, label])]))
    message(error)


def test_tasks_are_named_with_their_labels_and_shown_nowhere_as_numbers(digits, tmp_path):
    memory = buffer(20)
    for exp in nc(*digits, task_labels=True, class_ids_from_zero_in_each_exp=True).train_stream:
        memory.post_adapt(None, exp)
    assert memory.memory.names == tuple(f"({task}, {label})" for task in range(5) for label in (0, 1))
    assert "4294967296" not in repr(memory)
    assert memory.seen_classes == {0, 1}
    assert {y: len(part.buffer) for y, part in memory.buffer_groups.items()} == {0: 10, 1: 10}
    memory.save(tmp_path / "memory.safetensors")
    again = buffer(20)
    again.load(tmp_path / "memory.safetensors")
    assert again.memory.names == memory.memory.names
    assert [item[1:] for item in again.buffer] == [item[1:] for item in memory.buffer]
