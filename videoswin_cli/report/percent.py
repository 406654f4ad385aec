"""Probabilities in percent, one rule for all that shows them."""


def percent(prob: float, digits: int = 1) -> str:
    """`99.6`, without a sign; 100 is shown of a certain class alone, whatever the digits."""
    shown = f"{100 * prob:.{digits}f}"
    return f"{100 - 10.0**-digits:.{digits}f}" if prob < 1 and float(shown) >= 100 else shown
