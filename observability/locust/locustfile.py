"""Card transactions for the servers, as Locust sends them: for a look by hand, not for a verdict.

A Locust user waits for its answer before it sends again: a server that stalls is asked less, and looks better than it
is. `proofload run` sends what is due, whether or not the server keeps up.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime

from locust import FastHttpUser, constant_throughput, task

CATEGORIES = ("grocery", "restaurant", "fuel", "transport", "clothing", "electronics", "travel")
CHANNELS = ("contactless", "chip", "online", "magstripe")


class Cardholder(FastHttpUser):
    """Pays ten times a second, if the server lets it."""

    wait_time = constant_throughput(10)

    def on_start(self) -> None:
        self.card = f"card-{random.randrange(100_000):05d}"

    @task
    def pay(self) -> None:
        headers = {"X-User-Id": self.card}
        self.client.post("/v1/predict", json={"transaction": _transaction(self.card)}, headers=headers)


def _transaction(card: str) -> dict[str, object]:
    """Nothing like the distribution of the payload files: expect the drift gauges to say so."""
    return {
        "card_id": card,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "amount": round(random.lognormvariate(3.3, 1.0), 2),
        "currency": "EUR",
        "channel": random.choice(CHANNELS),
        "merchant_category": random.choice(CATEGORIES),
        "merchant_country": "DE",
        "home_country": "DE",
        "mean_eur_30d": 35.0,
        "sd_eur_30d": 28.0,
        "count_30d": 12,
    }
