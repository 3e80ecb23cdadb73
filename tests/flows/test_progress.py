"""One line a step when nobody watches live."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flows.progress import say, showing_progress, step


def _lines(console: Console) -> list[str]:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100)


def test_steps_end_as_done_skipped_or_failed(console: Console) -> None:
    with showing_progress(console):
        with step("ingest"):
            say("7 events")
        with step("features") as current:
            current.skip()
        with pytest.raises(ValueError, match="bad"), step("train"):
            raise ValueError("bad")
    done, skipped, failed = _lines(console)
    assert done.startswith(" ✓ ingest") and done.endswith("7 events")
    assert skipped.startswith(" · features") and skipped.endswith("unchanged")
    assert failed.startswith(" ✗ train")


def test_a_live_terminal_ends_with_the_same_lines() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with showing_progress(console), step("train") as current:
        current.advance(1, 2)
        say("half way")
    assert any("✓ train" in line and line.rstrip().endswith("half way") for line in _lines(console))


def test_steps_are_silent_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with step("ingest") as current:
        current.advance(1, 2)
    assert capsys.readouterr() == ("", "")
