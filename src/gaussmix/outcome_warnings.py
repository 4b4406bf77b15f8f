"""The warnings that tell a user how a fit ended."""

from __future__ import annotations

from gaussmix.exceptions import CollapseWarning, ConvergenceWarning, SpuriousOptimumWarning, in_use
from gaussmix.fitting import Fit, Outcome, Request
from gaussmix.regularization import Regularization

__all__ = ["warnings_of"]


def warnings_of(fit: Fit, request: Request, columns: list[str] | None) -> list[Warning]:
    """
    The warnings that a fit deserves, in order.

    Parameters
    ----------
    fit : Fit
    request : Request
    columns : list of str or None
        The names of the features.

    Returns
    -------
    list of Warning
    """
    warnings = [_of_blur(fit.regularization, columns), _of_outcome(fit, request)]
    return [warning for warning in warnings if warning is not None]


def _of_blur(regularization: Regularization, columns: list[str] | None) -> Warning | None:
    feature = regularization.blurred_feature
    if feature is None:
        return None
    name = f"feature {feature}" if columns is None else f"feature {columns[feature]!r}"
    return UserWarning(
        f"reg_covar={regularization.added:g} is more than a thousandth of the variance of {name}, {regularization.least_variance:.3g}, "
        "and will blur the fit: give a smaller one, reg_covar='auto', which goes by each feature's variance, or data in larger units.")


def _of_outcome(fit: Fit, request: Request) -> Warning | None:
    if fit.outcome is Outcome.COLLAPSED:
        weight = fit.parameters.weights[fit.collapsed]
        return in_use(CollapseWarning)(
            f"Component {fit.collapsed} (weight {weight:.3g}) collapsed in iteration {fit.n_iter}: its covariance became singular, as its "
            "rows lie in a subspace (on a line, say, or with a constant feature) or are too few. The parameters are those of the iteration "
            "before. Increase reg_covar or n_init, use fewer components, or a simpler covariance_type.")
    if fit.outcome is Outcome.SPURIOUS:
        more = ", ".join(str(one.component) for one in fit.spurious[1:])
        others = f" The same is true of component{'s' if len(fit.spurious) > 2 else ''} {more}." if more else ""
        return in_use(SpuriousOptimumWarning)(
            f"A spurious optimum, as every start gave: {fit.spurious[0]}.{others} Such a fit describes a few rows rather than the data, however "
            "high its log-likelihood. "
            "Increase n_init, use fewer components, or a simpler covariance_type.")
    if fit.outcome is Outcome.UNFINISHED and request.max_iter > 0:
        return in_use(ConvergenceWarning)(
            "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or check for "
            f"degenerate data: {request.max_iter} iterations were not enough for the mean log-likelihood to change by less than "
            f"tol={request.tol:g}.")
    return None
