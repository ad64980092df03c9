"""DCGAN at 64 px: a generator of transposed convolutions against a convolutional discriminator.

Source: Radford, Metz and Chintala 2016, arXiv 1511.06434; used by SVK_MA (Tan et al. 2023) to make its data set D3.
Differs: SVK_MA states no settings; these are the usual ones (Adam 2e-4, β₁ 0.5, N(0, 0.02) weights).
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

IMAGE_PX = 64
SMALLEST_BATCH = 2  # batch norm needs two samples


class Dcgan(nn.Module):
    """Generator G(z), z ~ N(0, 1), and discriminator D: min_G max_D of log D(x) + log(1 - D(G(z)))."""

    def __init__(self, *, latent: int = 100, width: int = 64, batch_size: int = 64) -> None:
        """Builds both networks.

        Args:
            latent: length of the noise vector, at least 1.
            width: channels of the widest map's eighth, at least 1.
            batch_size: real images of a training step at most, at least 2; with a hundred images in all, 64 leave two steps an epoch.

        Raises:
            ValueError: an argument below its least.
        """
        super().__init__()
        if min(latent, width) < 1:
            raise ValueError(
                f"`dcgan`: latent and width must be at least 1, got {latent} and {width}. The paper has 100 and 64."
            )
        if batch_size < SMALLEST_BATCH:
            raise ValueError(
                f"`dcgan.batch_size`: must be at least {SMALLEST_BATCH} for batch norm, got {batch_size}."
            )
        self.latent, self.batch_size, self.image_px = latent, batch_size, IMAGE_PX
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
        """Trains both networks on real images; yields the mean losses of discriminator and generator after each epoch.

        A rest of one image is left out of an epoch.

        Args:
            images: of one class of the training split, in [-1, 1]; resized to 64 px.
            epochs: passes over the images; 500 to 2000 for a few hundred images.
            lr: learning rate of both.
            seed: of order and noise.

        Raises:
            ValueError: fewer than two images.
        """
        if len(images) < SMALLEST_BATCH:
            raise ValueError(
                f"`dcgan`: needs at least {SMALLEST_BATCH} images of the class, got {len(images)}. Leave this class out."
            )
        device = next(self.parameters()).device
        real = F.interpolate(images, (IMAGE_PX, IMAGE_PX), mode="bilinear", antialias=True)
        source = torch.Generator().manual_seed(seed)
        judge, maker = (
            torch.optim.Adam(net.parameters(), lr, (0.5, 0.999))
            for net in (self.discriminator, self.generator)
        )
        for _ in range(epochs):
            batches = [
                i
                for i in torch.split(torch.randperm(len(real), generator=source), self.batch_size)
                if len(i) >= SMALLEST_BATCH
            ]
            losses = [self._step(real[i].to(device), judge, maker, source) for i in batches]
            of_judge, of_maker = torch.tensor(losses).mean(0).tolist()
            yield of_judge, of_maker

    def _step(
        self,
        real: Float[Tensor, "b 3 h w"],
        judge: torch.optim.Optimizer,
        maker: torch.optim.Optimizer,
        source: torch.Generator,
    ) -> tuple[float, float]:
        fake = self(torch.randn(len(real), self.latent, generator=source).to(real.device))
        judge_loss = (
            F.softplus(-self.discriminator(real)).mean()
            + F.softplus(self.discriminator(fake.detach())).mean()
        )
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
        ]
        layers += [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh())


def _discriminator(width: int) -> nn.Sequential:
    """64, 32, 16, 8, 4 px -> one logit."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for many in (1, 2, 4):
        layers += [
            nn.Conv2d(many * width, 2 * many * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * many * width),
        ]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, bias=False), nn.Flatten(0))


def _start(module: nn.Module) -> None:
    """Weights from N(0, 0.02), those of norms from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
