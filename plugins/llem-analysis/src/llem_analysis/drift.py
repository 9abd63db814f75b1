"""Drift over the place in a cycle or in the study: found, taken out where the order allows it, told where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llem_analysis.aliasing import MOST_CELLS
from llem_analysis.cell_means import CellMeans
from llem_analysis.contrasts import ratio_interval, ratio_of
from llem_analysis.effect_models import TOLD_AT
from llem_analysis.study_models import Trend
from llem_analysis.sums import Folded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST = 4
"""Fewer configurations than this always lie on some line over their places, drift or no drift."""

MOST = 0.25
"""A larger change than this share is no drift: machines do not drift so far between two runs of a study."""


def trend(means: CellMeans) -> Trend | None:
    """Effect of the place on a figure; None where cycles or positions do not tell."""
    if not means.varies:
        return None
    slope = means.slope()
    order = means.layout.timeline.order
    if slope is not None:
        return Trend(order, ratio_of(slope.value), ratio_interval(slope), taken_out=True, p=slope.p)
    if order not in ("fixed places", "one after another"):
        return None
    return _over_configurations(means)


def _over_configurations(means: CellMeans) -> Trend | None:
    """The line of the configurations' means over their places, where these never changed."""
    import numpy as np

    when = means.layout.timeline.when
    if when is None or means.size < FEWEST:
        return None
    places = np.bincount(means.layout.cell, weights=when, minlength=means.size) / means.counts
    centred = places - places.mean()
    wide = float(centred @ centred)
    if wide <= 0:
        return None
    row = centred / wide * float(np.ptp(places))
    found = means.estimate(row)
    told = found.p is not None and found.p <= TOLD_AT
    alone = False
    if told and abs(found.value) <= MOST and means.size <= MOST_CELLS:
        p = means.p_of_basis(Folded.of_rows(_beyond(centred)))
        alone = p is not None and p > TOLD_AT
    return Trend(
        means.layout.timeline.order,
        ratio_of(found.value),
        ratio_interval(found),
        taken_out=False,
        inseparable=alone,
        p=found.p,
    )


def _beyond(centred: Floats) -> Floats:
    """An orthonormal basis of what a mean and a line over the places leave of the configurations."""
    import numpy as np

    design = np.stack([np.ones_like(centred), centred], axis=1)
    whole = np.linalg.svd(design, full_matrices=True)[0]
    found: Floats = whole[:, 2:].T
    return found
