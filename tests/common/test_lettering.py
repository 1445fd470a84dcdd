"""Names of every script in pictures."""

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw

from cl_condense.common import lettering
from cl_condense.common.lettering import label

BROUGHT = ["Flugzeug", "μόσχος", "собака", "e\u0301toile", "Ελλάδα 3", "中"]
ABSENT = "\U00013000"  # a hieroglyph


def drawn(text, font):
    page = Image.new("L", (200, 40), 255)
    ImageDraw.Draw(page).text((5, 20), text, 0, font, anchor="lm")
    return np.asarray(page)


@pytest.fixture
def only(monkeypatch):
    """Leaves fonts of some families."""

    def leave(*families):
        entries = [e for e in font_manager.fontManager.ttflist if e.name in (*families, "Last Resort")]
        monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
        lettering._faces.cache_clear()
        lettering._face.cache_clear()

    yield leave
    monkeypatch.undo()
    lettering._faces.cache_clear()
    lettering._face.cache_clear()


def test_scripts_that_matplotlib_has_are_drawn_and_others_are_numbers(only):
    only("DejaVu Sans")
    names = [*BROUGHT, ABSENT, "plain"]
    assert lettering.drawable(names, range(len(names))) == [*BROUGHT[:-1], "class 5", "class 6", "plain"]


def test_a_font_of_the_system_has_what_the_first_one_lacks(only):
    """STIX, in the place of a system's font for another script: it has letters that DejaVu has not."""
    only("DejaVu Sans", "STIXGeneral")
    dejavu, stix = (
        next(f for f in lettering._faces() if f.family == name) for name in ("DejaVu Sans", "STIXGeneral")
    )
    more = sorted(lettering._letters(stix) - lettering._letters(dejavu))
    letter = next(chr(code) for code in more if chr(code).isalpha())
    assert lettering.drawable([letter], [1]) == [letter]
    assert lettering.families([letter, "a"]) == ["DejaVu Sans", "STIXGeneral"]
    own, plain = lettering.fonts_for([letter, "ж"], 14)
    assert "STIX" in own.path
    assert "DejaVu" in plain.path
    box = drawn(letter, plain)
    assert not np.array_equal(drawn(letter, own), box)
    only("DejaVu Sans")
    assert lettering.drawable([letter], [1]) == ["class 1"]


def test_what_is_set_leftwards_needs_a_library_for_it(only, monkeypatch):
    only("DejaVu Sans")
    monkeypatch.setattr(lettering.features, "check", lambda name: False)
    assert lettering.drawable(["قطة", "собака"], [0, 1]) == ["class 0", "собака"]


def test_plain_letters_keep_the_font_of_pillow():
    (font,) = lettering.fonts_for(["cat"], 14)
    assert np.array_equal(drawn("cat", font), drawn("cat", lettering.ImageFont.load_default(14)))


def test_a_label_has_letters_of_its_font_alone_unless_others_are_given():
    assert label("dm+sm ± $5 é") == r"dm+sm ± \$5 é"
    assert label("_\x00\ud800中") == " _???"
    assert label("中文", any_script=True) == "中文"
    assert len(label("x" * 100)) == 60
