"""Harm in rare events: complaints and opt-outs are judged one by one, exactly, long before a mean could be.

Among the units with an event, each is of the treatment with the chance of its share if the arms are alike.
The evidence is how much better a share drawn evenly from (share, 1) foretells what was seen; under no harm
it is at least 1 / alpha at any time with chance alpha at most, without any approximation.

Source: Robbins (1970); Ville (1939); Lindon and Malek (2022), Anytime-valid inference for multinomial count
data.
"""

from __future__ import annotations

from math import exp

from scipy.special import betaincc, betaln, log1p, xlogy

from features.errors import UsageError


def harm_evidence(in_treatment: int, in_control: int, share: float) -> float:
    """How many times likelier harm makes the units with an event than no difference does; 1 of none.

    Args:
        in_treatment, in_control: Units with at least one event.
        share: The treatment's part of the units of the two arms, as they were allocated.

    Examples:
        >>> harm_evidence(0, 0, 0.5)
        1.0
        >>> round(harm_evidence(15, 1, 0.5)), round(harm_evidence(8, 8, 0.5), 2)
        (482, 0.3)
    """
    if not 0.0 < share < 1.0:
        raise UsageError(f"share of the treatment == {share:g}, must be > 0 and < 1; correct the shares.")
    a, b = in_treatment + 1.0, in_control + 1.0
    above = float(betaincc(a, b, share))
    if above <= 0.0:
        return 0.0
    even = float(xlogy(in_treatment, share) + in_control * log1p(-share))
    return exp(min(float(betaln(a, b)) - even, 700.0)) * above / (1.0 - share)
