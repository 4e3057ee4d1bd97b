"""Every figure by its file's name: whose runs it draws, and its title in the documents and in the HTML report.

The workflow imports this at every start, so it imports nothing.
"""

FIGURES = {  # {figure: (table, title)}, in the order of docs/results.md
    "hack_against_solve": ("table1", "Hack rate against solve rate along training"),
    "profile": ("table1", "The share of replicates that hack more than a rate"),
    "training_curves": ("table1", "Hack and solve rate along training"),
    "overlap": ("table1", "What the direction sees in the gradients"),
    "weak_detector": ("table2", "The loophole that V and the teacher pool do not know"),
    "signal_by_action": ("table3", "Signal x action, on modes that nothing told of"),
    "signal_plane": ("table3", "Hack against solve on these modes, every replicate a dot"),
    "horizon": ("horizon", "Hack and solve rate along three times the steps"),
    "doses": ("doses", "Hack and solve against the dose"),
}
