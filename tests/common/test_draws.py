"""Draws ahead of their use."""

import torch

from cl_condense.common.draws import Draws, how_many


def test_each_draw_is_what_it_is_alone_and_several_come_together():
    calls = []

    def draw(purpose, numbers):
        calls.append((purpose, numbers.tolist()))
        return 100 * purpose + numbers

    ahead = Draws(draw, 3)
    asked = [(1, 5), (1, 6), (1, 7), (1, 8), (2, 9), (1, 4), (1, 4)]
    assert [int(ahead(*keys)) for keys in asked] == [100 * purpose + number for purpose, number in asked]
    alone = Draws(draw, 1)
    assert [int(alone(1, n)) for n in (5, 5, 9)] == [105, 105, 109]
    assert calls[5:] == [(1, [5]), (1, [5]), (1, [9])]
    assert calls[:5] == [(1, [5, 6, 7]), (1, [8, 9, 10]), (2, [9, 10, 11]), (1, [4, 5, 6]), (1, [4, 5, 6])]


def test_few_numbers_are_drawn_for_more_calls_than_many_and_on_a_cpu_for_one():
    gpu = torch.device("cuda")
    assert [how_many(n, gpu) for n in (10, 2**20, 2**22, 2**30)] == [8, 4, 1, 1]
    assert how_many(10, torch.device("cpu")) == 1
