"""How single settings are read: text in, its meaning or a ValueError that says what to write instead."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from pydantic import BeforeValidator, SecretStr

from features.errors import UsageError
from infra.alert_routes import parse_routes
from infra.promotion_stages import parse_stages

CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"
_RELEVANCE_KINDS = ("view", "add_to_cart", "purchase")
_POSTGRES_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")


def normalised_postgres_url(url: str) -> str:
    """`url` spelled `postgresql+psycopg://...`, the one spelling SQLAlchemy, Feast and psycopg 3 agree on.

    Raises:
        ValueError: Another scheme. The text never contains the URL, which may hold a password.

    Examples:
        >>> normalised_postgres_url("postgres://kairos@db:5432/shop")
        'postgresql+psycopg://kairos@db:5432/shop'
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.lower() not in _POSTGRES_SCHEMES:
        found = f"scheme {scheme}://" if separator else "no scheme"
        raise ValueError(
            f"has {found}, must be postgresql://; write postgresql://USER:PASSWORD@HOST:5432/NAME"
        )
    return f"postgresql+psycopg://{rest}"


def postgres_secret(value: Any) -> Any:
    """A URL as `normalised_postgres_url` spells it, whether it came as a secret or as text."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return normalised_postgres_url(value) if isinstance(value, str) else value


def absolute(path: Path) -> Path:
    """The path from the root on, `~` resolved."""
    # A flow may run with another working directory than the command that configured it.
    return path.expanduser().absolute()


def known_timezone(name: str) -> str:
    """The name, if it is an IANA time zone."""
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no IANA time zone; write one such as America/New_York or UTC")
    return name


def relevance_weights(text: str) -> dict[str, float]:
    """The worth of each kind of event in `text`, weakest first.

    Raises:
        ValueError: It does not give all three kinds a number, or they do not rise.

    Examples:
        >>> relevance_weights("purchase=1, add_to_cart=0.3, view=0")
        {'view': 0.0, 'add_to_cart': 0.3, 'purchase': 1.0}
    """
    try:
        told = {name.strip(): float(worth) for name, worth in (part.split("=") for part in text.split(","))}
    except ValueError:
        told = {}
    if set(told) != set(_RELEVANCE_KINDS) or not all(map(math.isfinite, told.values())):
        raise ValueError(f"is {text!r}, must be like view=0.1,add_to_cart=0.4,purchase=1")
    rising = [told[kind] for kind in _RELEVANCE_KINDS]
    if rising[0] < 0 or any(weak >= strong for weak, strong in pairwise(rising)):
        raise ValueError(f"is {text!r}, must be 0 <= view < add_to_cart < purchase")
    return dict(zip(_RELEVANCE_KINDS, rising, strict=True))


def pairs_by_place(text: str, example: str) -> dict[str, str]:
    """{place: value} of 'PLACE=VALUE,...'; none of an empty text.

    Raises:
        ValueError: It reads otherwise, or names a place twice.

    Examples:
        >>> pairs_by_place("DE=Europe/Berlin, AT=Europe/Vienna", "")
        {'DE': 'Europe/Berlin', 'AT': 'Europe/Vienna'}
    """
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    found = {place.strip(): value.strip() for place, _, value in parts}
    if len(found) < len(parts) or not all(place and value for place, value in found.items()):
        raise ValueError(f"is {text!r}, must be like {example}, each place once")
    return found


def quiet_hours_by_country(text: str) -> dict[str, tuple[str, str]]:
    """{ISO country: (start, end)} of 'DE=22:00-07:00,...'.

    Raises:
        ValueError: It reads otherwise.

    Examples:
        >>> quiet_hours_by_country("DE=22:00-07:00")
        {'DE': ('22:00', '07:00')}
    """
    example = "DE=22:00-07:00,US=21:00-08:00"
    found = {}
    for country, hours in pairs_by_place(text, example).items():
        start, _, end = hours.partition("-")
        if not re.fullmatch(r"[A-Z]{2}", country) or not (re.match(CLOCK, start) and re.match(CLOCK, end)):
            raise ValueError(f"has {country}={hours}, must be like {example}")
        found[country] = (start, end)
    return found


def known_quiet_hours(text: str) -> str:
    """The text, if `quiet_hours_by_country` can read it."""
    quiet_hours_by_country(text)
    return text


def known_regional_zones(text: str) -> str:
    """The text, if it names an IANA zone for each place, 'DE=Europe/Berlin,...'."""
    for zone in pairs_by_place(text, "DE=Europe/Berlin,CA=America/Toronto").values():
        known_timezone(zone)
    return text


def known_routes(routes: SecretStr | None) -> SecretStr | None:
    """The routes, if they can be read; no part of them stands in the error."""
    if routes is not None:
        try:
            parse_routes(routes.get_secret_value())
        except UsageError as error:
            raise ValueError(str(error).rstrip(".")) from None
    return routes


def known_stages(text: str) -> str:
    """The text, if it lists stages of a promotion."""
    parse_stages(text)
    return text


def mapping_reader(name: str) -> BeforeValidator:
    """What reads one part of a source's mapping; the environment gives it as JSON."""

    def read(told: Any) -> Any:
        from features import mapping_words  # only who maps anything waits for pandas

        if isinstance(told, str):
            try:
                told = json.loads(told)
            except ValueError:
                raise ValueError("is no JSON; write it as tables in kairos.toml") from None
        return told if isinstance(told, tuple) else getattr(mapping_words, f"as_{name}")(told)

    return BeforeValidator(read)


def rising_relevance(text: str) -> str:
    """The text, if `relevance_weights` can read it."""
    relevance_weights(text)
    return text
