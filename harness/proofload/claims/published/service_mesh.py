"""A service mesh adds 5–10 % (Linkerd) or 25–35 % (Istio) to latency."""

from __future__ import annotations

from proofload.claims import Claim, Prediction


def create() -> Claim:
    return Claim(
        number=17,
        name="service-mesh",
        says="A service mesh adds 5–10 % (Linkerd) or 25–35 % (Istio) to latency",
        source="published comparisons of service meshes",
        predicts=Prediction("latency with a mesh ÷ without", "%", 105.0, 135.0),
        untried="it needs a cluster with a mesh",
    )
