"""What Locust's fastest user does with the same work. Environment: BODY, EXPECT, CHECK ("1": judge the answers)."""

from __future__ import annotations

import json
import os

from locust import FastHttpUser, task

BODY = os.environ["BODY"]
EXPECT = float(os.environ["EXPECT"])
HEADERS = {"Content-Type": "application/json"}


class Checking(FastHttpUser):
    """Decodes every answer and compares its prediction."""

    abstract = os.environ["CHECK"] != "1"

    @task
    def predict(self) -> None:
        with self.client.post("/v1/predict", data=BODY, headers=HEADERS, catch_response=True) as response:
            if abs(json.loads(response.content)["prediction"] - EXPECT) > 1e-4 * EXPECT:
                response.failure("another prediction")


class Plain(FastHttpUser):
    """Looks at the status alone."""

    abstract = os.environ["CHECK"] == "1"

    @task
    def predict(self) -> None:
        self.client.post("/v1/predict", data=BODY, headers=HEADERS)
