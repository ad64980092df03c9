"""The study platform: what is asked (spec), the pairs (data), how it runs (engine), what came out (evidence), what is shown (reporting)."""
