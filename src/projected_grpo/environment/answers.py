"""Answers (method 4): a program in a fenced block, written and read in one place."""


def write_answer(code: str) -> str:
    """Return the answer that holds a program and nothing else."""
    return f"```python\n{code}\n```"


def extract_code(completion: str) -> str | None:
    """Return the first complete fenced block, ```python or bare, or None; blocks of other languages are skipped."""
    opened, lines = None, []
    for line in completion.split("\n"):
        text = line.strip()
        if opened is None:
            if text.startswith("```"):
                opened = text[3:].strip().lower()
                lines = []
        elif text == "```":
            if opened in ("", "python"):
                return "\n".join(lines)
            opened = None
        else:
            lines.append(line)
    return None


def is_one_program(answer: str) -> bool:
    """Whether an answer is one fenced program, with nothing before or after it."""
    text = answer.strip()
    fenced = text.startswith("```") and text.endswith("```") and text.count("```") == 2
    return fenced and extract_code(text) is not None
