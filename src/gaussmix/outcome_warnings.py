"""The warnings that tell a user how a fit ended."""

from __future__ import annotations

from gaussmix.exceptions import CollapseWarning, ConvergenceWarning, SpuriousOptimumWarning, in_use
from gaussmix.fitting import Fit, Outcome, Request
from gaussmix.regularization import Regularization
from gaussmix.search import Search
from gaussmix.starts import STARTS
from gaussmix.starts.sampled import OnSample

__all__ = ["stream_warnings", "warnings_of"]


def warnings_of(fit: Fit, request: Request, columns: list[str] | None, search: Search | None = None) -> list[Warning]:
    """
    The warnings that a fit deserves, in order.

    Parameters
    ----------
    fit : Fit
    request : Request
    columns : list of str or None
        The names of the features.
    search : Search, optional
        The search that the fit is the result of.

    Returns
    -------
    list of Warning
    """
    warnings = [_of_blur(fit.regularization, columns), _of_outcome(fit, request, search)]
    return [warning for warning in warnings if warning is not None]


def stream_warnings(starving: list[tuple[int, float]], singular: int | None) -> list[Warning]:
    """
    The warnings that the state of a stream deserves.

    Parameters
    ----------
    starving : list of (int, float)
        Components with too few rows, and how many they have.
    singular : int or None
        The component whose covariance was singular in the last step.

    Returns
    -------
    list of Warning
    """
    if starving:
        component, rows = starving[0]
        more = f" The same is true of component{'s' if len(starving) > 2 else ''} {', '.join(str(k) for k, _ in starving[1:])}."
        return [in_use(CollapseWarning)(
            f"Component {component} starves: of the rows that are not forgotten it has {rows:.2g}, too few to tell a covariance."
            f"{more if len(starving) > 1 else ''} Use fewer components, a longer half_life, or fit anew.")]
    if singular is not None:
        return [in_use(CollapseWarning)(
            f"The parameters stay as they were, as the covariance of component {singular} became singular: its rows lie in a subspace, or "
            "some are so far away that the others do not count beside them. Leave out such rows and fit anew, or increase reg_covar.")]
    return []


def _of_blur(regularization: Regularization, columns: list[str] | None) -> Warning | None:
    feature = regularization.blurred_feature
    if feature is None:
        return None
    name = f"feature {feature}" if columns is None else f"feature {columns[feature]!r}"
    return UserWarning(
        f"reg_covar={regularization.added:g} is more than a thousandth of the variance of {name}, {regularization.least_variance:.3g}, "
        "and will blur the fit: give a smaller one, reg_covar='auto', which goes by each feature's variance, or data in larger units.")


def _other_starts(request: Request, search: Search | None) -> str:
    """Which parameter would give other starts, as advice begins with it; empty where none would, or more would hardly help."""
    if search is not None:
        return "" if search.ended_by == "chance" else "search_budget, "
    is_drawn = isinstance(request.start, OnSample) or any(request.start is start for start in STARTS.values())
    return "n_init, " if is_drawn else ""


def _of_outcome(fit: Fit, request: Request, search: Search | None) -> Warning | None:
    more = _other_starts(request, search)
    if fit.outcome is Outcome.COLLAPSED:
        weight = fit.parameters.weights[fit.collapsed]
        return in_use(CollapseWarning)(
            f"Component {fit.collapsed} (weight {weight:.3g}) collapsed in iteration {fit.n_iter}: its covariance became singular, as its "
            "rows lie in a subspace (on a line, say, or with a constant feature) or are too few. The parameters are those of the iteration "
            f"before. Increase {more}reg_covar, use fewer components, or a simpler covariance_type.")
    if fit.outcome is Outcome.SPURIOUS:
        rest = ", ".join(str(one.component) for one in fit.spurious[1:])
        others = f" The same is true of component{'s' if len(fit.spurious) > 2 else ''} {rest}." if rest else ""
        return in_use(SpuriousOptimumWarning)(
            f"A spurious optimum, as every {'start' if search is None else 'start and swap'} gave: {fit.spurious[0]}.{others} Such a fit "
            "describes a few rows rather than the data, however high its log-likelihood. "
            f"{f'Increase {more}use' if more else 'Use'} fewer components, or a simpler covariance_type.")
    if search is not None and search.ended_by == "time" and fit.stopped:
        return in_use(ConvergenceWarning)("the search_budget ended the search before its best fit had converged: give it more time")
    if fit.outcome is Outcome.UNFINISHED and search is not None:
        return in_use(ConvergenceWarning)(
            f"The best fit of the search did not converge: {request.max_iter} iterations were not enough for {_aim(request)}. Increase "
            "max_iter, or check for degenerate data.")
    if fit.outcome is Outcome.UNFINISHED and request.max_iter > 0:
        return in_use(ConvergenceWarning)(
            "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or check for "
            f"degenerate data: {request.max_iter} iterations were not enough for {_aim(request)}.")
    return None


def _aim(request: Request) -> str:
    if request.stopping == "distance":
        return f"the log-likelihood to be less than {request.tol:g} nats below its limit, by estimate"
    return f"the mean log-likelihood to change by less than tol={request.tol:g}"
