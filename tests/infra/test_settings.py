"""Settings: where they come from, and what a person is told when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import UsageError
from infra.settings import load_settings

URL = "postgresql://kairos:s3cret@db:5432/shop"


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no KAIROS_ variables."""
    import os

    for name in [name for name in os.environ if name.startswith("KAIROS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_need_nothing(clean_place: Path):
    settings = load_settings()
    assert settings.home == clean_place / ".kairos"
    assert settings.source == "complete-journey"
    assert settings.database_url is None
    assert settings.models_dir == settings.home / "models"


def test_arguments_win_over_environment_over_file_over_default(
    clean_place: Path, monkeypatch: pytest.MonkeyPatch
):
    Path("kairos.toml").write_text(
        'max_quarantine_share = 0.2\ndefault_timezone = "Asia/Tokyo"\nkept_batches = 9\n'
    )
    monkeypatch.setenv("KAIROS_MAX_QUARANTINE_SHARE", "0.3")
    monkeypatch.setenv("KAIROS_SOURCE", "")
    settings = load_settings(kept_batches=5)
    rows = {row.name: (row.value, row.source) for row in settings.effective()}
    assert rows["max_quarantine_share"] == ("0.3", "KAIROS_MAX_QUARANTINE_SHARE")
    assert rows["default_timezone"] == ("Asia/Tokyo", "kairos.toml")
    assert rows["source"] == ("complete-journey", "default")
    assert settings.kept_batches == 5


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_a_postgres_url_is_understood(scheme: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAIROS_DATABASE_URL", URL.replace("postgresql", scheme))
    secret = load_settings().database_url
    assert secret is not None
    assert secret.get_secret_value() == URL.replace("postgresql", "postgresql+psycopg")


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAIROS_DATABASE_URL", URL)
    settings = load_settings(source="sql:postgresql://u:s3cret@h/d")
    dumped = (str(settings.model_dump()), settings.model_dump_json())
    for shown in (repr(settings), str(settings), str(settings.effective()), *dumped):
        assert "s3cret" not in shown
    rows = {row.name: row.value for row in settings.effective()}
    assert rows["database_url"] == "********"
    assert rows["source"] == "sql:postgresql://********"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "KAIROS_DATABASE_URL",
            "mysql://root:s3cret@h/d",
            "KAIROS_DATABASE_URL: has scheme mysql://, must be",
        ),
        ("KAIROS_DATABASE_URL", "s3cret", "KAIROS_DATABASE_URL: has no scheme, must be postgresql://"),
        (
            "KAIROS_MAX_QUARANTINE_SHARE",
            "5",
            "KAIROS_MAX_QUARANTINE_SHARE: input should be less than or equal to 1",
        ),
        (
            "KAIROS_MAX_QUARANTINE_SHARE",
            "lots",
            "KAIROS_MAX_QUARANTINE_SHARE: input should be a valid number",
        ),
        ("KAIROS_DEFAULT_TIMEZONE", "EST5", "'EST5' is no IANA time zone; write one such as"),
        ("KAIROS_RELEVANCE", "purchase=1", "must be like view=0.1,add_to_cart=0.4,purchase=1"),
        ("KAIROS_RELEVANCE", "view=x,add_to_cart=1,purchase=2", "must be like view=0.1,add_to_cart=0.4"),
        ("KAIROS_RELEVANCE", "view=nan,add_to_cart=1,purchase=2", "must be like view=0.1,add_to_cart=0.4"),
        (
            "KAIROS_RELEVANCE",
            "view=0.5,add_to_cart=0.4,purchase=1",
            "KAIROS_RELEVANCE: is 'view=0.5,add_to_cart=0.4,purchase=1', must be 0 <= view < add_to_cart",
        ),
        ("KAIROS_QUIET_HOURS_BY_COUNTRY", "DE=22-7", "has DE=22-7, must be like DE=22:00-07:00"),
        ("KAIROS_QUIET_HOURS_BY_COUNTRY", "DE", "is 'DE', must be like DE=22:00-07:00"),
        ("KAIROS_TIMEZONE_BY_REGION", "north=Mars", "'Mars' is no IANA time zone"),
        ("KAIROS_TIMEZONE_BY_REGION", "a=UTC,a=UTC", "each place once"),
        ("KAIROS_QUIET_ACTION", "wait", "KAIROS_QUIET_ACTION: input should be 'defer' or 'drop'"),
        ("KAIROS_EXPLORATION_SHARE", "0.9", "input should be less than or equal to 0.5"),
        ("KAIROS_SEARCH_MINUTES", "-1", "KAIROS_SEARCH_MINUTES: input should be greater than or equal to 0"),
        ("KAIROS_DATABSE_URL", URL, "KAIROS_DATABSE_URL is no setting; did you mean KAIROS_DATABASE_URL?"),
    ],
)
def test_a_bad_variable_is_one_line_that_names_it(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError) as error:
        load_settings()
    assert message in str(error.value)
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('databse_url = "x"', "kairos.toml: databse_url is no setting; did you mean database_url?"),
        ("[train]\nx = 1", "kairos.toml: train is no setting"),
        ("home =", "kairos.toml is not valid TOML"),
        ("max_quarantine_share = 7", "kairos.toml: max_quarantine_share: input should be less than"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_key(text: str, message: str):
    Path("kairos.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        load_settings()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_rules_by_place_are_read(monkeypatch: pytest.MonkeyPatch):
    Path("kairos.toml").write_text('quiet_hours_by_country = "US=21:00-08:00, DE=22:00-07:00"\n')
    monkeypatch.setenv("KAIROS_TIMEZONE_BY_REGION", "north=Europe/Oslo,AT=Europe/Vienna")
    settings = load_settings()
    assert settings.country_quiet == (("DE", "22:00", "07:00"), ("US", "21:00", "08:00"))
    assert settings.zones_by_place == {"north": "Europe/Oslo", "AT": "Europe/Vienna"}
    monkeypatch.delenv("KAIROS_TIMEZONE_BY_REGION")
    assert load_settings().zones_by_place == {}


def test_a_foreign_variable_is_no_typo(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAIROS_CI_RUNNER", "7")
    assert load_settings().source == "complete-journey"


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ("shadow=1", "has 'shadow=1', must be like shadow=1d,canary=3d@0.1"),
        ("canary=3d@0", "has 'canary=3d@0', must be like"),
        ("canary=3d@0.0", "must last and have users"),
        ("shadow=0d", "must last and have users"),
        ("canary=1d,shadow=1d", "must be shadow before canary"),
        ("shadow=1d,shadow=2d", "must be shadow before canary, each once"),
        ("canary=3d@1.0", "a canary of all has nobody to be compared with"),
        ("blue=1d", "has 'blue=1d'"),
    ],
)
def test_stages_that_make_no_sense_are_one_line(
    stages: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIROS_PROMOTION_STAGES", stages)
    with pytest.raises(UsageError, match="KAIROS_PROMOTION_STAGES: ") as raised:
        load_settings()
    assert problem in str(raised.value)


def test_a_secret_may_lie_in_a_file(clean_place: Path, monkeypatch: pytest.MonkeyPatch):
    secret = clean_place / "database_url"
    secret.write_text(f"{URL}\n")
    monkeypatch.setenv("KAIROS_DATABASE_URL_FILE", str(secret))
    settings = load_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == URL.replace("postgresql", "postgresql+psycopg")
    rows = {row.name: (row.value, row.source) for row in settings.effective()}
    assert rows["database_url"] == ("********", "KAIROS_DATABASE_URL_FILE")


@pytest.mark.parametrize(
    ("content", "also", "message"),
    [
        (None, {}, "cannot be read (No such file or directory); mount the secret there."),
        ("\n", {}, "is empty; write the secret into it."),
        ("mysql://root:s3cret@h/d", {}, "KAIROS_DATABASE_URL_FILE: has scheme mysql://, must be"),
        (URL, {"KAIROS_DATABASE_URL": URL}, "and KAIROS_DATABASE_URL are both set; unset one of them."),
    ],
)
def test_a_bad_secret_file_is_one_line_that_names_it(
    content: str | None,
    also: dict[str, str],
    message: str,
    clean_place: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    secret = clean_place / "secret"
    if content is not None:
        secret.write_text(content)
    for name, value in ({"KAIROS_DATABASE_URL_FILE": str(secret)} | also).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as error:
        load_settings()
    assert message in str(error.value) and "s3cret" not in str(error.value)
