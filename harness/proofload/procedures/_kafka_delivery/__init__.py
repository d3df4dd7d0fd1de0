"""kafka-delivery's parts: a stream's workers stopped, killed and joined; what became of its messages."""
