import itertools
import re

import pytest

from labkit.graph import GLYPHS
from labkit.theme import THEMES, Look, Theme


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(pair, 16) / 255 for pair in re.findall("[0-9a-f]{2}", colour)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_can_be_read_on_what_lies_behind_it(theme: Theme) -> None:
    assert set(theme.looks) == set(GLYPHS)
    for state, look in theme.looks.items():
        assert contrast(look.text, look.fill) >= 4.5, state
        assert contrast(look.text, theme.looks["planned"].fill) >= 4.5, f"the count of {state} in a stack"
    for text in (theme.title, theme.ink, theme.red):
        assert contrast(text, theme.paper) >= 4.5


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_the_states_a_learner_must_tell_apart_differ_in_more_than_hue(theme: Theme) -> None:
    def border(look: Look) -> tuple[str, float]:
        return look.line, look.width

    told = ("planned", "running", "succeeded", "failed", "never ran")
    for one, other in itertools.combinations(told, 2):
        assert border(theme.looks[one]) != border(theme.looks[other]), (one, other)
    assert len(set(GLYPHS.values())) == len(GLYPHS)
