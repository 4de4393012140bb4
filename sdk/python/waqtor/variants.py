"""How the variants of a campaign did, and one of them for everybody who is left."""

from waqtor.asking import Ask, C, Model, Resource, call, get, write
from waqtor.campaigns import Campaign, Progress, Variant


class Result(Variant):
    """What came of one variant. `opted_out` stopped us within a week of getting it, and have not come back."""

    progress: Progress
    opted_out: int


class Comparison(Model):
    """`metric` (read, replied, opted_out, failed) of a variant beside the first's, as shares. `verdict` is higher,
    lower, no_difference or too_few; `p_value` is None where there are too few people."""

    metric: str
    variant: str
    against: str
    share: float
    against_share: float
    p_value: float | None
    verdict: str


class Compared(Model):
    """The variants side by side."""

    results: list[Result]
    comparisons: list[Comparison]
    held_out: int


class Variants(Resource[C]):
    """Of a campaign each: `campaign_id` names it."""

    @call
    def compare(self, campaign_id: int, *, occurrence: int | str | None = None) -> Ask[Compared]:
        """In an occurrence by its number, in the `"latest"` (so where none is given), or in `"all"`."""
        return get(f"/campaigns/{campaign_id}/variants", Compared, occurrence=occurrence)

    @call
    def choose(self, campaign_id: int, variant: str | None, *, idempotency_key: str | None = None) -> Ask[Campaign]:
        """From now on everybody gets this one, also in later occurrences; None: by weight again. Who was handed one
        before keeps it."""
        path = f"/campaigns/{campaign_id}/choose-variant"
        return write("POST", path, Campaign, json={"variant": variant}, key=idempotency_key)
