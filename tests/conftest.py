"""How many examples Hypothesis draws: the same few in every run, or, with --hypothesis-profile=long, many new ones."""

from hypothesis import HealthCheck, settings

# A fit of many components takes long enough to be called slow on a busy machine.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", deadline=None, max_examples=5000, print_blob=True, suppress_health_check=list(HealthCheck))
settings.load_profile("suite")
