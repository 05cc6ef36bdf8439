"""The settings of a production set-up are those of settings.py: all of them, and no others."""

import re

from settings import Settings
from tests.deploy.compose_file import ENV_EXAMPLE, load_compose, read_env_file
from tests.deploy.test_compose import filled_in

FOR_CRASH_TESTS = {"SYNCLINE_FAILPOINT"}
SETTINGS = {f"SYNCLINE_{name.upper()}" for name in Settings.model_fields} - FOR_CRASH_TESTS


def test_env_example_explains_every_setting_once() -> None:
    named = re.findall(r"^(?:# )?(SYNCLINE_\w+)=", ENV_EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(SETTINGS)


def test_compose_passes_every_setting_on() -> None:
    everything = filled_in() | dict.fromkeys(SETTINGS, "given")
    for service in ("migrate", "api", "worker"):
        assert set(load_compose(everything)["services"][service]["environment"]) == SETTINGS


def test_the_values_of_env_example_are_valid_settings() -> None:
    """As they stand, and with every commented default switched on."""
    shown = re.sub(r"^# (?=SYNCLINE_\w+=.)", "", ENV_EXAMPLE.read_text(), flags=re.MULTILINE)
    for text in (ENV_EXAMPLE.read_text(), shown):
        variables = read_env_file(text, filled_in())
        given = {name.removeprefix("SYNCLINE_").lower(): variables[name] for name in SETTINGS & set(variables)}
        Settings(**given)


def test_commented_defaults_are_the_defaults() -> None:
    """But for what the image sets itself."""
    set_by_the_image = {"SYNCLINE_HOME", "SYNCLINE_API_HOST", "SYNCLINE_API_PORT"}
    examples = {
        "SYNCLINE_PUBLIC_URL",
        "SYNCLINE_TEMPORAL_API_KEY",
        "SYNCLINE_TEMPORAL_TLS_CERT",
        "SYNCLINE_TEMPORAL_TLS_KEY",
        "SYNCLINE_TEMPORAL_TLS_CA",
        "SYNCLINE_TEMPORAL_UI_PORT",
        "SYNCLINE_TEMPORAL_UI_URL",
        "SYNCLINE_OUTBOUND",
        "SYNCLINE_OUTBOUND_ALLOW",
        "SYNCLINE_SOURCE_FOLDERS",
        "SYNCLINE_SINGER_TAPS",
        "SYNCLINE_WORKER_READY_FILE",
        "SYNCLINE_WORKER_METRICS_ADDRESS",
    }
    commented = dict(re.findall(r"^# (SYNCLINE_\w+)=(.*)$", ENV_EXAMPLE.read_text(), re.MULTILINE))
    for name in set(commented) - set_by_the_image - examples:
        default = Settings.model_fields[name.removeprefix("SYNCLINE_").lower()].default
        assert commented[name] == (str(default).lower() if isinstance(default, bool) else str(default)), name
