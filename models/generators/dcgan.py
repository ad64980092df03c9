"""DCGAN at 64 px: a generator of transposed convolutions against a convolutional discriminator.

Source: Radford, Metz and Chintala 2016, arXiv 1511.06434; used by SVK_MA (Tan et al. 2023) to make its data
set D3.
Differs: SVK_MA states no settings; these are the usual ones (Adam 2e-4, β₁ 0.5, N(0, 0.02) weights).
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.contracts import Generator

SMALLEST_BATCH = 2  # batch norm needs two samples


class Dcgan(Generator):
    """Generator G(z), z ~ N(0, 1), and discriminator D: min_G max_D of log D(x) + log(1 - D(G(z)))."""

    image_px = 64

    def __init__(self, *, latent: int = 100, width: int = 64, batch_size: int = 64) -> None:
        """Builds both networks.

        Args:
            latent: Length of the noise vector, at least 1.
            width: An eighth of the channels of the widest map, at least 1.
            batch_size: Largest number of real images in a training step, at least 2. With a hundred images,
                64 make two steps in an epoch.

        Raises:
            ValueError: An argument lies below its smallest value.
        """
        super().__init__()
        if min(latent, width) < 1:
            raise ValueError(
                f"`dcgan`: latent and width must be at least 1, got {latent} and {width}. "
                "The paper has 100 and 64."
            )
        if batch_size < SMALLEST_BATCH:
            raise ValueError(
                f"`dcgan.batch_size`: must be at least {SMALLEST_BATCH} for batch norm, got {batch_size}."
            )
        self.latent, self.batch_size = latent, batch_size
        self.generator = _generator(latent, width)
        self.discriminator = _discriminator(width)
        self.apply(_start)

    def forward(self, noise: Float[Tensor, "b n"]) -> Float[Tensor, "b 3 h w"]:
        """Images of 64 px in [-1, 1]."""
        y: Tensor = self.generator(noise[:, :, None, None])
        return y

    @torch.no_grad()
    def sample(self, num: int, image_px: int, seed: int) -> Float[Tensor, "b 3 h w"]:
        """Images in [-1, 1], resized to `image_px`; the same for the same seed and `num`."""
        device = next(self.parameters()).device
        noise = torch.randn(num, self.latent, generator=torch.Generator().manual_seed(seed)).to(device)
        training = self.training
        images = F.interpolate(self.eval()(noise), (image_px, image_px), mode="bilinear", antialias=True)
        self.train(training)
        return images

    def train_on(
        self, images: Float[Tensor, "n 3 h w"], *, epochs: int, lr: float = 2e-4, seed: int = 0
    ) -> Iterator[tuple[float, float]]:
        """Trains both networks on real images.

        Yields the mean losses of discriminator and generator after each epoch. An epoch leaves out one image
        where that image would be a batch by itself.

        Args:
            images: Images of one class of the training split, in [-1, 1]; they are resized to 64 px.
            epochs: Number of passes over the images; 500 to 2000 for a few hundred images.
            lr: Learning rate of both networks.
            seed: Seed of the order of the images and of the noise.

        Raises:
            ValueError: There are fewer than two images.
        """
        if len(images) < SMALLEST_BATCH:
            raise ValueError(
                f"`dcgan`: needs at least {SMALLEST_BATCH} images of the class, got {len(images)}. "
                "Leave this class out."
            )
        device = next(self.parameters()).device
        real = F.interpolate(images, (self.image_px, self.image_px), mode="bilinear", antialias=True)
        source = torch.Generator().manual_seed(seed)
        judge = torch.optim.Adam(self.discriminator.parameters(), lr, (0.5, 0.999))
        maker = torch.optim.Adam(self.generator.parameters(), lr, (0.5, 0.999))
        for _ in range(epochs):
            batches = torch.split(torch.randperm(len(real), generator=source), self.batch_size)
            losses = [
                self._step(real[rows].to(device), judge, maker, source)
                for rows in batches
                if len(rows) >= SMALLEST_BATCH
            ]
            of_judge, of_maker = torch.tensor(losses).mean(0).tolist()
            yield of_judge, of_maker

    def _step(
        self,
        real: Float[Tensor, "b 3 h w"],
        judge: torch.optim.Optimizer,
        maker: torch.optim.Optimizer,
        source: torch.Generator,
    ) -> tuple[float, float]:
        """One step of each network on a batch of real images: the losses of discriminator and generator."""
        fake = self(torch.randn(len(real), self.latent, generator=source).to(real.device))
        of_real, of_fake = self.discriminator(real), self.discriminator(fake.detach())
        judge_loss = F.softplus(-of_real).mean() + F.softplus(of_fake).mean()
        judge.zero_grad()
        judge_loss.backward()
        judge.step()
        maker_loss = F.softplus(-self.discriminator(fake)).mean()
        maker.zero_grad()
        maker_loss.backward()
        maker.step()
        return float(judge_loss.detach()), float(maker_loss.detach())


def _generator(latent: int, width: int) -> nn.Sequential:
    """Noise -> 4, 8, 16, 32, 64 px."""
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(latent, 8 * width, 4, bias=False),
        nn.BatchNorm2d(8 * width),
        nn.ReLU(inplace=True),
    ]
    for many in (8, 4, 2):
        layers += [
            nn.ConvTranspose2d(many * width, many * width // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(many * width // 2),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())


def _discriminator(width: int) -> nn.Sequential:
    """64, 32, 16, 8, 4 px -> one logit."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for many in (1, 2, 4):
        layers += [
            nn.Conv2d(many * width, 2 * many * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * many * width),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, bias=False), nn.Flatten(0))


def _start(module: nn.Module) -> None:
    """Draws the weights from N(0, 0.02), those of norms from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
