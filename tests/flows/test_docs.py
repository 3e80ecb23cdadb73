"""The documents: their commands are ours, their settings exist, their example works."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from known_commands import unknown_part

from flows import cli
from infra.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "infra" / "deploy").glob("*.md")),
]


def _code(page: Path) -> Iterator[str]:
    """Every line of a shell block, and every `kairos ...` in the text."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()
    yield from re.findall(r"`(kairos [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def unknown_command(line: str) -> str | None:
    return unknown_part(shlex.split(line, comments=True))


def test_what_is_unknown_is_found() -> None:
    assert unknown_command("kairos statsu") == "statsu"
    assert unknown_command("kairos alert mute --hour 2") == "--hour"
    assert unknown_command("FOO=1 kairos alert mute --hours 2  # sleep") is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_setting_on_a_page_is_ours(page: Path) -> None:
    assert [line for line in _code(page) if unknown_command(line)] == []
    named = set(re.findall(r"\bKAIROS_([A-Z_]+)\b", page.read_text(encoding="utf-8")))
    known = {name.upper() for name in Settings.model_fields}
    assert {name.removesuffix("_FILE") for name in named - {"DEBUG", "NAME"}} - known == set()


def test_the_example_of_your_own_data_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "docs" / "sample_shop.py"))["write_shop"](Path("shop"))
    assert cli.run(["init", "--source", "parquet:shop", "--timezone", "Europe/Berlin"]) == 0
    page = (ROOT / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    mapping = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    with Path("kairos.toml").open("a") as file:
        file.write(mapping)
    capsys.readouterr()
    assert cli.run(["check-data"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    shown = re.findall(r"```text\n(table .*?)```", page, re.DOTALL)[0]
    assert [line for line in shown.splitlines() if line not in printed] == []
