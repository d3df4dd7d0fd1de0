"""What procedures of two versions share: both up and warm, a driver in charge, guards, the way back."""
