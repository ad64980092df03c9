"""Figures: one file for each, with one public class as `figure.FigureComponent` describes it."""
