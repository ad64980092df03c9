"""What is asked: the study file, its holes, components and errors."""
