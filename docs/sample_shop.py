"""Writes a made-up web shop as three CSV files, with names of its own and a few flaws.

python docs/sample_shop.py shop
"""

from __future__ import annotations

import csv
import random
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
FIRST_DAY = datetime(2026, 1, 5, tzinfo=BERLIN)  # a Monday
WEEKS, CUSTOMERS, ARTICLES = 10, 300, 80
SHELVES = ("bread", "coffee", "fruit", "pasta", "snacks", "tea", "wine", "cheese")
HOURS = (8, 12, 18)


def write_shop(folder: Path) -> None:
    """Three CSV files in `folder`, the same ones every time."""
    chance = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    articles = [
        (f"A{n:02d}", f"{SHELVES[n % 8]} no. {n}", f"food > {SHELVES[n % 8]}") for n in range(ARTICLES)
    ]
    prices = [round(chance.uniform(0.8, 9.9), 2) for _ in articles]
    _write(
        folder / "articles.csv",
        ("sku", "name", "shelf", "price"),
        [(*article, price) for article, price in zip(articles, prices, strict=True)],
    )
    _write(
        folder / "customers.csv",
        ("id", "joined", "push_ok"),
        [(f"C{n:03d}", "2025-11-01", "yes" if n % 8 else "") for n in range(CUSTOMERS)],
    )
    lines = [line for customer in range(CUSTOMERS) for line in _orders(chance, customer, prices)]
    lines += [("R1", 1, "C001", "A01", "refund", "2026-02-01T10:00:00+01:00", 1, 2.5)]
    lines += [("R2", 1, "C002", "A02", "order", "last Monday", 1, 2.5)]
    lines += [("R3", 1, "C003", "A03", "order", "2026-02-01T10:00:00+01:00", 1, -2.5)]
    names = ("order_no", "line", "customer", "sku", "kind", "ordered_at", "pieces", "paid")
    _write(folder / "orders.csv", names, lines)


def _orders(chance: random.Random, customer: int, prices: list[float]) -> list[tuple]:
    """One customer's order lines: about two orders a week, at their hour, mostly of their favourites."""
    usual = chance.randrange(3)
    favourites = [chance.sample(range(part, ARTICLES, 3), 10) for part in range(3)]
    lines = []
    for day in range(WEEKS * 7):
        if chance.random() > 0.25:
            continue
        part = usual if chance.random() < 0.6 else chance.randrange(3)
        moment = FIRST_DAY + timedelta(days=day, hours=HOURS[part], minutes=chance.randrange(60))
        wanted = {
            chance.choice(favourites[part]) if chance.random() < 0.8 else chance.randrange(ARTICLES)
            for _ in range(6)
        }
        for line, article in enumerate(sorted(wanted), 1):
            order = f"{customer:03d}-{day:02d}"
            who, sku = f"C{customer:03d}", f"A{article:02d}"
            lines.append((order, line, who, sku, "order", moment.isoformat(), 1, prices[article]))
    return lines


def _write(path: Path, names: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)
    print(f"{path}: {len(rows):,} rows")


if __name__ == "__main__":
    write_shop(Path(sys.argv[1] if len(sys.argv) > 1 else "shop"))
