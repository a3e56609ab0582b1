"""The config file: what it can say, and what is refused with a word."""

from pathlib import Path

import pytest

from monitor.app.keymap import COMMANDS, is_key, key_named, sign
from monitor.app.terminal import Signals
from monitor.commands.settings import Settings, SettingsError, read


def settings(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return read(path)


def test_without_a_file_everything_is_as_it_comes(tmp_path):
    assert read(tmp_path / "config.toml") == Settings()


def test_keys_are_written_as_they_are_typed(tmp_path):
    found = settings(tmp_path, '[keys]\nlog = "y"\nfilter = ["/", "#"]\npage-down = "^f"\nquit = "Q"\n')
    assert found.keys == {"log": "y", "filter": "slash,number_sign", "page-down": "ctrl+f", "quit": "Q"}


def test_every_key_may_be_written_as_the_help_shows_it():
    for command in COMMANDS:
        for key in command.keys.split(","):
            assert is_key(key)
            assert key_named(sign(key)) == key


def test_the_screen_has_its_settings(tmp_path):
    found = settings(tmp_path, '[screen]\ntheme = "paper"\nfps = 2\nascii = true\nbell = false\n')
    assert (found.theme, found.fps, found.ascii) == ("paper", 2, True)
    assert found.signals == Signals(bell=False, notify=True, title=True)


def test_two_commands_may_change_their_keys(tmp_path):
    assert settings(tmp_path, '[keys]\nlog = "s"\nsmooth = "l"\n').keys == {"log": "s", "smooth": "l"}


@pytest.mark.parametrize(("text", "said"), [
    ('[key]\nlog = "y"', "unknown table 'key'; did you mean 'keys'?"),
    ('[keys]\nlogg = "y"', "unknown command of [keys] 'logg'; did you mean 'log'?"),
    ('[keys]\nlog = "page_down"', "log = 'page_down' is no key; did you mean 'pagedown'?"),
    ('[keys]\nlog = "win+x"', "log = 'win+x' is no key; write its character, ^f for ctrl+f, or its name: pagedown"),
    ('[screen]\nthem = "paper"', "unknown setting of [screen] 'them'; did you mean 'theme'?"),
    ('[screen]\ntheme = "papier"', "unknown theme 'papier'; did you mean 'paper'?"),
    ("[screen]\nascii = 1", "ascii is true or false, not 1"),
    ("[screen]\nfps = true", "fps is a number, not True"),
    ("[screen]\nfps = 100", "fps is a number from 0.5 to 30, not 100"),
    ("[keys]\nlog = 3", "log is a key or a list of keys, not 3"),
    ('[keys]\nlog = "s"', "the key 's' is of log and of smooth; give one of them another"),
    ("keys = 3", "keys is a table: [keys]"),
    ("[keys\n", "is no TOML"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(tmp_path, text, said):
    with pytest.raises(SettingsError) as refused:
        settings(tmp_path, text)
    assert said in str(refused.value)


def test_the_example_of_the_reference_is_one(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "reference" / "keys.md"
    example = page.read_text().partition("```toml\n")[2].partition("```")[0]
    found = settings(tmp_path, example)
    assert (found.theme, found.keys["filter"], found.keys["page-down"]) == ("paper", "slash,F", "ctrl+f")
