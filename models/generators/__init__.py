"""Generators make images of a class from noise; a study trains one for each class, on the training split only.

A generator is built from keyword arguments alone and has `image_px`, the side of the images that it makes and is trained on;
`train_on(images, *, epochs, seed)`, which takes images in [-1, 1] and yields its losses after each epoch; and
`sample(num, image_px, seed)`, images in [-1, 1] at any size.
"""
