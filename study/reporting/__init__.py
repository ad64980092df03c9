"""What is shown: published numbers, tables, figures and the page."""
