"""Many channels as one colour: principal components, each map for itself or several by a common measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.linalg import eigh
from skimage.color import lab2rgb

from explorer.features.places import on_photo
from explorer.types import FeatureMap, Floats, MapView, Pixels

Sharing = Literal["nothing", "channels", "places"]

_COMPONENTS = 3
_GRID = 64  # cells along the photo's longer side on which maps of different sizes are compared
_LIGHTNESS, _CHROMA = (12.0, 94.0), 62.0
_PERCENTILES = (1, 99)  # of each component: a few extreme cells would take the colour from all others


@dataclass(frozen=True, eq=False)
class Basis:
    """The first principal components of vectors of channels.

    Attributes:
        mean: `(channels,)`, what is subtracted.
        axes: `(components, channels)`, orthonormal, the strongest first; each axis' entry of the largest magnitude is
            positive, which settles its sign.
        variances: `(components,)`, of the vectors along each axis.
        explained: share of all variance that lies along the axes, 0 to 1.
    """

    mean: Floats
    axes: Floats
    variances: Floats
    explained: float

    def project(self, vectors: Floats) -> Floats:
        """Returns the `(n, components)` coordinates of `(n, channels)` vectors."""
        return (vectors - self.mean) @ self.axes.T


def principal_components(vectors: Floats, count: int = _COMPONENTS) -> Basis:
    """Finds the directions of most variance among `(n, channels)` vectors.

    Fewer than `count` where there are fewer channels. Variances are sums of squares over `n - 1`, as scikit-learn's
    `PCA` has them, whose signs are settled the same way.
    """
    vectors = np.asarray(vectors, np.float64)
    count, channels = min(count, vectors.shape[1]), vectors.shape[1]
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    covariance = centred.T @ centred / max(len(vectors) - 1, 1)
    variances, columns = eigh(covariance, subset_by_index=(channels - count, channels - 1))
    axes = columns.T[::-1]
    strongest = np.abs(axes).argmax(axis=1)
    axes = axes * np.where(axes[np.arange(count), strongest] < 0, -1, 1)[:, None]
    variances = np.maximum(variances[::-1], 0)
    total = np.trace(covariance)
    return Basis(mean, axes, variances, float(variances.sum() / total) if total > 0 else 1.0)


def pca_rgb(features: Sequence[FeatureMap], *, share: Sharing = "nothing") -> list[MapView]:
    """Renders each feature map as a picture whose colours are its first three principal components.

    The first component is lightness, so that it can be read without colour vision and in greyscale; the second runs
    from blue to yellow, the third from green to red. Cells in the padding are ignored.

    Channels of different layers and models are unrelated, even if their number is the same. `share` therefore selects
    what several maps have in common:

    - `nothing`: each map has its own components; colours of two maps cannot be compared.
    - `channels`: one set of components for all maps. For maps whose channel k has the same meaning: the levels of one
      FPN, or one layer on several photos. Equal colours are equal vectors.
    - `places`: each map has its own components, rotated or reflected to fit the first map's components at the same
      positions of the photo (least squares). For different models and layers of any width on one photo. Equal colours
      are positions that the maps distinguish from others in the same way.

    Args:
        features: the maps.
        share: see above.

    Raises:
        ValueError: there is no map, `share` is unknown, or the maps do not allow it.

    Source: the alignment is the orthogonal Procrustes problem (Schönemann, Psychometrika 31, 1966).
    """
    if share not in get_args(Sharing):
        raise ValueError(f"share is {share!r}; choose one of {', '.join(get_args(Sharing))}.")
    if not features:
        raise ValueError("There are no maps; give at least one.")
    _check_shareable(features, share)
    vectors = [_vectors(feature) for feature in features]
    if share == "channels":
        basis = principal_components(np.concatenate(vectors))
        bases = [basis] * len(features)
    else:
        bases = [principal_components(each) for each in vectors]
    scores = [
        _three(basis.project(each)).reshape(*feature.content.shape[1:], _COMPONENTS)
        for basis, each, feature in zip(bases, vectors, features, strict=True)
    ]
    if share == "places":
        scores = _aligned(features, scores)
    together = np.concatenate([each.reshape(-1, _COMPONENTS) for each in scores])
    return [
        MapView("pca", feature.layer, _colors(each, together if share == "channels" else each), feature.frame, says)
        for feature, each, says in zip(features, scores, (_says(basis, share) for basis in bases), strict=True)
    ]


def pca(feature: FeatureMap) -> MapView:
    """Turns one map into a picture of its first three principal components; see `pca_rgb`."""
    return pca_rgb([feature])[0]


def _check_shareable(features: Sequence[FeatureMap], share: Sharing) -> None:
    widths = [len(feature.values) for feature in features]
    if share == "channels" and len(set(widths)) > 1:
        named = ", ".join(f"{feature.layer} {width}" for feature, width in zip(features, widths, strict=True))
        raise ValueError(f"Maps with different numbers of channels ({named}) share none. Use share='places'.")
    sizes = {feature.frame.image_size for feature in features}
    if share == "places" and len(sizes) > 1:
        raise ValueError(f"share='places' compares maps of one photo; these are of photos of {sorted(sizes)} pixels.")


def _vectors(feature: FeatureMap) -> Floats:
    """One row of channels for each cell that sees the photo."""
    content = feature.content
    return content.reshape(len(content), -1).T.astype(np.float64)


def _three(scores: Floats) -> Floats:
    """Adds components of zeros where a map has fewer than three channels."""
    return np.pad(scores, ((0, 0), (0, _COMPONENTS - scores.shape[1])))


def _aligned(features: Sequence[FeatureMap], scores: Sequence[Floats]) -> list[Floats]:
    """Turns every map's whitened components towards the first map's, compared on one grid over the photo."""
    height, width = features[0].frame.image_size
    grid = (max(1, round(_GRID * min(1, height / width))), max(1, round(_GRID * min(1, width / height))))
    white = [_whitened(each) for each in scores]
    sampled = [
        on_photo(each.astype(np.float32), feature.frame, grid).reshape(-1, _COMPONENTS).astype(np.float64)
        for each, feature in zip(white, features, strict=True)
    ]
    turned = []
    for each, places in zip(white, sampled, strict=True):
        left, _, right = np.linalg.svd(places.T @ sampled[0])
        turned.append(each @ (left @ right))
    return turned


def _whitened(scores: Floats) -> Floats:
    spread = scores.std(axis=(0, 1))
    return scores / np.where(spread > 0, spread, 1)


def _colors(scores: Floats, measure: Floats) -> Pixels:
    """Components to colours, each component's range taken from the `(…, 3)` scores in `measure`."""
    low, high = np.percentile(measure.reshape(-1, _COMPONENTS), _PERCENTILES, axis=0)
    width = np.where(high > low, high - low, 1)
    unit = np.where(high > low, np.clip((scores - low) / width, 0, 1), 0.5)
    lightness = _LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * unit[..., 0]
    blue_yellow, green_red = _CHROMA * (2 * unit[..., 1] - 1), _CHROMA * (2 * unit[..., 2] - 1)
    rgb = _in_gamut(np.stack([lightness, green_red, blue_yellow], axis=-1))
    colors: Pixels = np.rint(255 * rgb).astype(np.uint8)
    return colors


def _in_gamut(lab: Floats) -> Floats:
    """CIELAB to RGB in 0..1; near black and white, where screens have little colour, chroma is reduced to fit."""
    room = 1 - np.abs(2 * (lab[..., :1] - 50) / 100) ** 3
    fitted = np.concatenate([lab[..., :1], lab[..., 1:] * room], axis=-1)
    return np.clip(np.asarray(lab2rgb(fitted), np.float64), 0, 1)


def _says(basis: Basis, share: Sharing) -> str:
    text = (
        "Positions of similar colour have similar features. Colours show the first three principal components of the "
        f"channels ({100 * basis.explained:.0f} % of the variance): lightness, blue to yellow, and green to red. "
        "Components have no predefined meaning. "
    )
    return (
        text
        + {
            "nothing": "Colours of different maps cannot be compared.",
            "channels": "The maps share their components: equal colours mean equal features.",
            "places": "Components are rotated towards those of the first map at the same positions.",
        }[share]
    )
