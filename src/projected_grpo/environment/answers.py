"""Answers (method 4): a program in a fenced block, written and read in one place.

A fence stands on a line of its own. It may be indented, as under an item of a list, and then its lines are indented
as much: that much is removed from them (CommonMark 4.5).
"""


def write_answer(code: str) -> str:
    """Return the answer that holds a program and nothing else."""
    return f"```python\n{code}\n```"


def extract_code(completion: str) -> str | None:
    """Return the first complete fenced block, ```python or bare, or None; blocks of other languages are skipped."""
    opened, indent, lines = None, "", []
    for line in completion.split("\n"):
        text = line.strip()
        if opened is None:
            if text.startswith("```"):
                opened = text[3:].strip().lower()
                indent, lines = line[: len(line) - len(line.lstrip())], []
        elif text == "```":
            if opened in ("", "python"):
                return "\n".join(lines)
            opened = None
        else:
            lines.append(_without(indent, line))
    return None


def _without(indent: str, line: str) -> str:
    """Remove the fence's indentation from a line, or as much of it as the line has."""
    shared = 0
    while shared < min(len(indent), len(line)) and indent[shared] == line[shared]:
        shared += 1
    return line[shared:]


def is_one_program(answer: str) -> bool:
    """Whether an answer is one fenced program, with nothing before or after it."""
    text = answer.strip()
    fenced = text.startswith("```") and text.endswith("```") and text.count("```") == 2
    return fenced and extract_code(text) is not None
