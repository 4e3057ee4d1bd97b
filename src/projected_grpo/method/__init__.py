"""The method, section by section of docs/method.md, in the order to read it.

1   adapter        SVD factors, the adapted Linear, merging
2   direction      D, V and its controls, what an arm uses of them, V's own test: linear algebra only
2b  signals        which rollouts are suspect: scores, flags, twins; own.py finds one's own
3a  actions        what is done with a suspect rollout: penalise, discount, drop, route
    suspicion      a step's rollouts before the arm's signal
    without_flags  warm start, gradient regularisation
3b  intervention   what is done to the gradient and the update: erase, route, trusted; KnobOptimizer
5   loss           advantages and the Dr.GRPO loss
    gradients      knob gradients by source or by rollout, of the loss and of plain NLL
    head           logits, as the architecture makes them
6   sampling       tokens only; draws: of one token; in_place: on a GPU
    rollouts       Rollout: sampled and graded
    groups         a step's groups, live and from the teacher
    trainer        the loop
    schedule, log, resume   the learning rate; rows of steps and rollouts; interrupted runs
7   settings       Intervention, Arm, TrainConfig
"""
