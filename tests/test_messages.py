"""The list of messages is complete, and all messages have the same style."""

import re

import pytest

from messages import SOURCE, messages

MESSAGES = messages()
# In scikit-learn's own words, which its users and its checks know, with its full stops.
THEIRS = re.compile(r"Found array with 0|Found array with \{data.n_rows\}|Invalid (value|parameter) |The feature names should match|"
                    r"Expected 2D array|This \{.*\} instance is not fitted|This method is only available|scikit-learn estimators should always|"
                    r"Best performing initialization|the covariance of component")


@pytest.mark.parametrize("path, kind, text", [
    ("mixture.py", "ValueError", "weights must sum to one, but they sum to {total}"),  # an f-string
    ("_core/linalg.pyx", "ValueError", "the matrices must be square, not of shape {upper.shape[1:]}"),  # a format of %
    ("_core/statistics.pyx", "ValueError", "statistics add only where their second moments are of the same kind"),  # of several parts
    ("cython_mixture.pyx", "BAD_LABEL", "a label is less than 0"),  # a text for C
    ("observations.py", "warn", "X has feature names, but {owner} was fitted without feature names"),
    ("outcome_warnings.py", "CollapseWarning", "Component {fit.collapsed} (weight {weight}) collapsed in iteration {fit.n_iter}"),
    ("attributes.py", "ValueError", "{name} must be an array of real numbers{ | , of shape {shape}}, not"),  # of a local name
    ("cli.py", "ArgumentTypeError", "must be different numbers, not {text}"),
    ("parameter_checks.py", "InvalidParameterError", "callback must be callable or None, not {model.callback}"),
    ("tables.py", "part fault", "the value is infinite")])
def test_a_message_that_is_there_is_found(path, kind, text):
    assert [one for one in MESSAGES if (one.path, one.kind) == (path, kind) and one.text.startswith(text)]


def test_every_text_that_is_raised_is_found():
    """Counted by the lines on which something is raised with a text that begins there or below."""
    for path in sorted(SOURCE.rglob("*.py*")):
        if path.suffix in (".py", ".pyx"):
            name, text = path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")
            raised = {text.count("\n", 0, match.start()) + 1
                      for match in re.finditer(r"""^ *raise [\w.]+(?:\(\w+\))?\(\s*(?:errno\.\w+, )?f?["']""", text, re.MULTILINE)}
            missed = raised - {message.line for message in MESSAGES if message.path == name}
            assert not missed, (name, missed)


def test_a_single_sentence_has_no_full_stop():
    """A message follows the name of a class, a file or a program. Several sentences have full stops, as do scikit-learn's."""
    for message in MESSAGES:
        if message.text.endswith(".") and not THEIRS.match(message.text):
            assert re.search(r"[.:}] [A-Z]", message.text) or message.kind == "UserWarning", message


def test_no_message_leaves_a_placeholder_unfilled():
    for message in MESSAGES:
        assert message.text.strip() and not re.search(r"%[srd]", re.sub("{.*}", "", message.text)), message
