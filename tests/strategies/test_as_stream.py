"""Memory images augmented as the stream's: what the stream's transform makes of the pictures themselves."""

import pickle
import random

import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from memories import message
from PIL import Image
from streams import buffer, nc, noise
from torch import nn
from torch.utils.data import Dataset, TensorDataset
from torchvision import transforms as v1
from torchvision.transforms import v2

from cl_condense.strategies import as_stream

NORMALISE = v1.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
EVAL = v1.Compose([v1.ToTensor(), NORMALISE])


class Pictures(Dataset):
    """Random PIL images, or what ``inner`` makes of them."""

    def __init__(self, inner=None):
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (12, 12, 12, 3), dtype=torch.uint8, generator=generator)
        self.targets, self.inner = [i % 4 for i in range(12)], inner or (lambda image: image)

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return self.inner(Image.fromarray(self.pixels[index].numpy())), self.targets[index]


def stream_of(train, evaluate=EVAL, inner=None):
    data = Pictures(inner)
    return nc_benchmark(
        data, data, 2, False, seed=0, shuffle=False, train_transform=train, eval_transform=evaluate
    ).train_stream


TRAIN = {
    "crop and flip": v1.Compose([v1.RandomCrop(12, padding=3), v1.RandomHorizontalFlip(), EVAL]),
    "resized crop": v1.Compose([v1.RandomRotation(90, fill=7), EVAL]),
    "erasing": v1.Compose([EVAL, v1.RandomErasing(p=1)]),
    "v2": v2.Compose(
        [
            v2.RandomCrop(12, padding=3),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]),
        ]
    ),
    "nested": v1.Compose([v1.Compose([v1.RandomCrop(12, padding=2)]), v1.ToTensor(), nn.Sequential(NORMALISE)]),
    "another normalisation": v1.Compose([v1.ToTensor(), v1.Normalize((0.1, 0.1, 0.1), (0.9, 0.9, 0.9))]),
}


@pytest.mark.parametrize("train", TRAIN.values(), ids=TRAIN)
def test_an_image_that_is_real_is_augmented_as_the_stream_does_it(train):
    stream = stream_of(train)
    augment, data = as_stream(stream), Pictures()
    for index in range(8):
        picture, _ = data[index]
        torch.manual_seed(index)
        wanted = train(picture)
        torch.manual_seed(index)
        # a rotation of pictures rounds, and fills with 7 of 255, a tensor's with 7: only its inside is alike
        inside = torch.isclose(augment(EVAL(picture)), torch.as_tensor(wanted), atol=0.03).float().mean()
        assert inside > (0.2 if isinstance(train.transforms[0], v1.RandomRotation) else 0.999)


def test_a_look_at_the_stream_leaves_its_images():
    data = TensorDataset(torch.ones(12, 3, 8, 8), torch.arange(12) % 4)
    data.targets = data.tensors[1].tolist()
    stream = nc_benchmark(data, data, 2, False, seed=0, train_transform=v1.RandomErasing(p=1, inplace=True))
    as_stream(stream.train_stream)
    assert data.tensors[0].eq(1).all()


def test_tensors_inside_the_data_set_are_augmented_too():
    """As in SplitMNIST, whose data set holds ToTensor."""
    train = v1.Compose([v1.RandomCrop(12, padding=3), NORMALISE])
    augment, data = as_stream(stream_of(train, NORMALISE, v1.ToTensor())), Pictures()
    torch.manual_seed(3)
    wanted = train(v1.ToTensor()(data[0][0]))
    torch.manual_seed(3)
    assert torch.allclose(augment(EVAL(data[0][0])), wanted, atol=1e-6)


@pytest.mark.parametrize("given", [lambda s: s, lambda s: s[0], lambda s: s[0].dataset])
def test_a_stream_an_experience_or_a_data_set_is_given(given):
    stream = stream_of(TRAIN["crop and flip"])
    assert as_stream(given(stream)).normalisation == as_stream(stream).normalisation
    assert len(as_stream(given(stream)).steps) == 3


def test_making_it_draws_no_random_numbers():
    stream, before = stream_of(TRAIN["crop and flip"]), (torch.get_rng_state(), random.getstate())
    as_stream(stream)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_a_stream_without_transforms_leaves_images_as_they_are(digits):
    augment = as_stream(nc(*digits).train_stream)
    image = noise(0).dataset[0][0]
    assert torch.equal(augment(image), image)


def test_a_memory_is_augmented_in_training_and_pickled_with_it():
    stream = stream_of(TRAIN["crop and flip"])
    memory = buffer(8, network=None, transform=as_stream(stream), codec="float32")
    memory.post_adapt(None, stream[0])
    seen = torch.stack([pickle.loads(pickle.dumps(memory)).buffer.train()[0][0] for _ in range(8)])
    assert len(seen.unique(dim=0)) > 1, "random at each time"
    assert torch.equal(memory.buffer.eval()[0][0], memory.memory.pixels[0])


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (v1.Compose([lambda image: image.convert("RGB"), EVAL]), "takes no tensors .*convert"),
        (v1.Compose([v1.Resize(20), EVAL]), r"gives torch.float32 \(3, 20, 20\), its eval_transform .*12, 12"),
    ],
)
def test_what_does_not_augment_a_memory_is_refused_with_the_remedy(train, words):
    with pytest.raises(ValueError, match=words) as error:
        as_stream(stream_of(train))
    assert "give transform a function of an image tensor" in message(error)


def test_two_normalisations_are_refused():
    with pytest.raises(ValueError, match="eval_transform normalises twice: give a transform"):
        as_stream(stream_of(EVAL, v1.Compose([EVAL, NORMALISE])))


@pytest.mark.parametrize("given", [5, [], "stream"])
def test_what_is_no_stream_is_refused(given):
    with pytest.raises(ValueError, match=r"stream .*: give a training stream") as error:
        as_stream(given)
    message(error)
