"""Computed tables: one file for each, with one public class as `registry.TableComponent` describes it."""
