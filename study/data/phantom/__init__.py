"""Drawn eyes: who has what (`patients`), and the pictures (`fundus`, `ultrasound`), the same for the same seed, patient and eye."""
