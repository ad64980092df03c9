"""Synthetic eyes.

`canvas` draws, `vessels`, `lesions` and `fundus` draw a photograph, `ultrasound` draws a frame, and
`patients` decides what each patient has.
"""
