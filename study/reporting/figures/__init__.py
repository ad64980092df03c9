"""Figures of the report: one file a figure, one public class with `data`, `draw` and `caption`."""
