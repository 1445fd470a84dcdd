"""Classes of a set among those of a data set: the right label, or a refusal; never another label."""

import unicodedata

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cl_condense.condensation.formats.class_match import match_folders, match_labels
from cl_condense.data.class_names import classes_of, safe
from cl_condense.data.imageset import ImageSet

PETS = {0: "Cat", 1: "Dog", 2: "red panda", 3: "été/x"}
POOL = [
    *("cat Cat dog red_panda a-b 1 2 10 03 1-cat 2-1-cat 001.Cat C+ C# ß straße".split()),
    *("red panda|a b|T-shirt/top|été|x: y|naïve owl|  |crane|Crane".split("|")),
]


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (["Cat", "Dog", "red panda"], (0, 1, 2)),
        (["Dog", "cat"], (1, 0)),
        (["RED_PANDA"], (2,)),
        (["0-Cat", "2-red_panda", "3-été_x"], (0, 2, 3)),
        (["00-cat", "01-dog"], (0, 1)),
        (["1-Dog", "Cat"], (1, 0)),
        ([unicodedata.normalize("NFD", "été_x")], (3,)),
    ],
)
def test_folders_called_like_classes_are_those(folders, labels):
    match = match_folders(folders, PETS)
    assert (match.labels, match.by) == (labels, "name")


def test_a_number_that_is_a_name_is_a_name_and_no_label():
    """Data set train/2, train/10: sorted by name, 10 is class 0."""
    assert match_folders(["10", "2"], {0: "10", 1: "2"}).labels == (0, 1)
    assert match_folders(["2"], {0: "10", 1: "2"}).labels == (1,)


@pytest.mark.parametrize("folders", [["0", "3", "1"], ["03", "01", "00"]])
def test_plain_numbers_are_labels_where_no_folder_has_a_name(folders):
    match = match_folders(folders, PETS)
    assert (match.labels, match.by) == (tuple(map(int, folders)), "number")


def test_names_that_the_data_set_has_not_leave_the_numbers():
    match = match_folders(["0-cat", "5"], {0: "", 5: ""})
    assert (match.labels, match.by) == ((0, 5), "number")
    match = match_labels([0, 5], ["cat", "dog"], {0: "", 5: ""})
    assert (match.labels, match.by) == ((0, 5), "number")


@pytest.mark.parametrize(
    ("folders", "classes", "said"),
    [
        (["001.Cat", "002.Dog"], PETS, "folder '001.Cat' .* did you mean 'Cat'[?] known are 0 'Cat', 1 'Dog'"),
        (["Cat", "Dgo"], PETS, "folder 'Dgo' .* did you mean 'Dog'[?]"),
        (["Cat", "Owl", "3"], PETS, "folder 'Owl' is no class"),
        (["0", "Dog"], PETS, "folder '0' is no class"),
        (["0", "1", "7"], PETS, "folder '7' is no class"),
        (["9" * 40], PETS, "folder '9{40}' is no class"),
        (["1-Cat", "0-Dog"], PETS, "folder '1-Cat' says 1, but 'Cat' is class 0 'Cat'"),
        (["Cat", "0-cat"], PETS, "folder 'Cat' and folder '0-cat' are both class 0 'Cat': keep one"),
        (["red panda", "red_panda"], PETS, "are both class 2 'red panda'"),
        (["0", "00"], PETS, "are both class 0 'Cat'"),
        (["1-cat"], {0: "1-cat", 1: "cat"}, "folder '1-cat' may be one of 0 '1-cat', 1 'cat'"),
        (["crane"], {0: "Crane", 1: "CRANE"}, "folder 'crane' may be one of 0 'Crane', 1 'CRANE'"),
        (["cat"], {0: "", 1: ""}, "folder 'cat' is no class of the data set: known are 0, 1"),
        (["4"], {0: "", 1: ""}, "folder '4' is no class"),
        (["x"], {i: f"n{i}" for i in range(1000)}, "11 'n11', ... [(]1000 in all[)]"),
    ],
)
def test_what_is_no_class_for_certain_is_refused_in_one_line(folders, classes, said):
    with pytest.raises(ValueError, match=said) as error:
        match_folders(folders, classes)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("labels", "names", "said"),
    [
        ([0, 1], ["Cat", "Owl"], "class 'Owl' is no class of the data set"),
        ([0, 1], ["Cat", "cat"], "class 'Cat' and class 'cat' are both class 0 'Cat'"),
        ([0, 1], ["0", "1"], "class '0' is no class"),
        ([0, 4], [], "class 4 is no class of the data set: known are 0 'Cat'"),
    ],
)
def test_names_and_labels_of_a_set_that_the_data_set_has_not_are_refused(labels, names, said):
    with pytest.raises(ValueError, match=said):
        match_labels(labels, names, PETS)


def test_a_set_without_names_keeps_its_labels():
    match = match_labels([1, 3], (), PETS)
    assert (match.labels, match.by) == ((1, 3), "number")


def test_of_several_classes_of_one_name_the_label_chooses():
    cranes = {0: "crane", 1: "owl", 2: "crane"}
    assert match_labels([2, 1, 0], ["crane", "owl", "crane"], cranes).labels == (2, 1, 0)
    assert match_folders(["2-crane", "0-crane"], cranes).labels == (2, 0)
    with pytest.raises(ValueError, match="class 'crane' may be one of 0 'crane', 2 'crane'"):
        match_labels([1], ["crane"], cranes)


def test_characters_that_a_folder_cannot_have_are_no_wildcards():
    """C+ is written C_, and so is C#; but C+ itself is not C#."""
    with pytest.raises(ValueError, match=r"folder 'C\+' is no class"):
        match_folders(["C+"], {0: "C#", 1: "D"})
    assert match_folders(["C_"], {0: "C#", 1: "D"}).labels == (0,)


def test_without_a_data_set_numbers_or_else_places_are_labels():
    assert match_folders(["03-cat", "1-dog", "7"], None).labels == (3, 1, 7)
    match = match_folders(["001.cat", "002.dog"], None)
    assert (match.labels, match.by) == ((0, 1), "order")
    with pytest.raises(ValueError, match="folder '1' and folder '01' are both class 1"):
        match_folders(["1", "01"], None)
    with pytest.raises(ValueError, match="its number is too large for a label"):
        match_folders(["9" * 30], None)


def matched(folders, classes):
    """Labels, or None where they are refused because a folder may be one class or another."""
    try:
        return match_folders(folders, classes).labels
    except ValueError as error:
        return None if "may be one of" in str(error) else error


def some(values):
    """Some of the values, in any order."""
    return st.lists(st.sampled_from(values), min_size=1, unique=True)


@settings(max_examples=200)
@given(some(POOL), st.data())
def test_exported_folders_and_names_find_their_classes_among_any(names, data):
    numbers = st.lists(st.integers(0, 2000), min_size=len(names), max_size=len(names), unique=True)
    labels = sorted(data.draw(st.just(range(len(names))) | numbers))
    classes = dict(zip(labels, names, strict=True))
    digits = data.draw(st.sampled_from([1, 4]))
    exported = {f"{label:0{digits}d}-{safe(name)}": label for label, name in classes.items()}
    folders = data.draw(st.permutations(sorted(exported)))
    right = tuple(exported[folder] for folder in folders)
    assert match_folders(folders, classes).labels == right
    part = data.draw(st.integers(1, len(folders)))
    assert matched(folders[:part], classes) in (right[:part], None)
    order, own = (data.draw(st.permutations(list(each))) for each in (labels, range(len(labels))))
    assert match_labels(own, [classes[label] for label in order], classes).labels == tuple(order)


@settings(max_examples=100)
@given(some(POOL), st.data())
def test_bare_names_in_any_order_find_their_classes(names, data):
    order = data.draw(some(range(len(names))))
    match = match_folders([names[label] for label in order], dict(enumerate(names)))
    assert (match.labels, match.by) == (tuple(order), "name")


def test_classes_of_a_data_set_with_names_and_without():
    images = torch.zeros(2, 1, 2, 2)
    assert classes_of(ImageSet.of(images, [3, 1], names=list("abcd"))) == {1: "b", 3: "d"}
    assert classes_of(ImageSet.of(images, [3, 1])) == {1: "", 3: ""}
