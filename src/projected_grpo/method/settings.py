"""The experiment (method 7): arms and training as frozen dataclasses, built from the config and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

ROTATED = 0.2  # basis overlap under which a refreshed V has left the old one (method 3b)


KNOWS = {"detector": "M", "truth": "O"}  # what a kind of signal knows (method 2b); every other one the pairs, P
PROMPTS = {"ordinary": {}, "asked": {"elicit": True}, "unhinted": {"hint": False}}  # as `environment.prompts` says them


@dataclass(frozen=True)
class Intervention:
    """What is done to a step: an action on what a signal flags (method 3a), and a projection (method 3b).

    kind     none | erase | route | trusted: the projection
    gate     one_sided | no_gate | reverse
    project  gradient | update | both | purge
    ablated  of an arm with a quarantine: share of the live rollouts sampled and trained with it ablated
    signal   name of the signal
    action   penalise | discount | drop | route, or `module:function`
    strength         penalise: what a flagged rollout's reward is lowered by
    alpha            discount: weight of what it is multiplied down by
    quarantine_rank  action route: rank of the quarantine's own random basis
    """

    kind: str = "none"
    gate: str = "one_sided"
    project: str = "gradient"
    overshoot: float = 1.0
    preserve_magnitude: bool = False
    ablated: float = 0.0
    signal: str | None = None
    action: str | None = None
    strength: float = 0.0
    alpha: float = 0.0
    quarantine_rank: int = 0

    @property
    def routes_rollouts(self) -> bool:
        return self.action == "route"

    @property
    def has_quarantine(self) -> bool:
        return self.kind == "route" or self.routes_rollouts

    @property
    def projects_gradient(self) -> bool:
        return self.kind != "none" and self.project in ("gradient", "both", "purge")

    @property
    def projects_update(self) -> bool:
        return self.kind != "none" and self.project in ("update", "both")


@dataclass(frozen=True)
class TrainConfig:
    """The loop's settings (methods 5 and 6); lengths in tokens, warmup and clip as shares and norms."""

    steps: int
    prompts_per_step: int
    group_size: int
    max_new_tokens: int
    temperature: float
    lr: float
    betas: tuple[float, float]
    warmup: float
    max_grad_norm: float
    loss_type: str
    kl_coef: float
    token_budget: int
    gradient_checkpointing: bool
    checkpoint_every: int


@dataclass(frozen=True)
class Arm:
    """One row of a table.

    direction   name of the V that is projected, or only measured; None measures nothing
    k           rows of V in use, None for all
    mix         teacher's share of each group
    lr_scale    factor on the learning rate (the slow control)
    loopholes   False trains in mode `none` without hints (the honest ceiling)
    measures    names of further V, whose overlap with the live gradient is logged
    twin_of     name of the arm whose twin without information it is
    sample_prompt, update_prompt  ordinary | asked | unhinted: what live rollouts answer, and what all are trained under
    warmstart   steps on the log-likelihood of honest completions, before the first
    gradreg     weight of the gradient-norm penalty
    """

    name: str
    intervention: Intervention = field(default_factory=Intervention)
    direction: str | None = None
    k: int | None = None
    drop_bottom_frac: float = 0.0
    mix: float = 0.0
    lr_scale: float = 1.0
    loopholes: bool = True
    refresh_every: int = 0
    measures: tuple[str, ...] = ()
    twin_of: str | None = None
    sample_prompt: str = "ordinary"
    update_prompt: str = "ordinary"
    warmstart: int = 0
    gradreg: float = 0.0


_INTERVENTION = {f.name for f in fields(Intervention)} - {"kind"}
_ARM = {f.name for f in fields(Arm)} - {"name", "intervention"}


def build_arm(name: str, spec: Mapping) -> Arm:
    """Return the arm of a config entry; keys of Intervention and of Arm share one flat mapping."""
    how = {key: spec[key] for key in _INTERVENTION & spec.keys()}
    own = {key: spec[key] for key in _ARM & spec.keys()} | {"measures": tuple(spec.get("measures", ()))}
    return Arm(name, Intervention(spec.get("intervention", "none"), **how), **own)


def build_train_config(section: Mapping) -> TrainConfig:
    return TrainConfig(**{**section, "betas": tuple(section["betas"])})
