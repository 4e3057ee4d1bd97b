"""The method, in reading order: settings, adapter (1), direction (2), intervention (3b), loss and gradients (5), sampling and
rollouts (6), trainer, log and resume (6).
"""
