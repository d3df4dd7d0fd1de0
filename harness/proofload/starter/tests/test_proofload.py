"""A plain `pytest` runs this: the scenario from code, where a test wants to say more than its file does."""

from typing import Any


def test_it_holds_at_half_as_much_again(proofload: Any) -> None:
    result = proofload.run("steady", rate_rps=150, slo={"p95_ms": 250})
    result.assert_pass()  # fail, inconclusive and invalid are told apart
    assert result.check("ok_share").observed > 0.99
