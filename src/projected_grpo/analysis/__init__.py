"""Numbers in, numbers out (methods 7 and 9): studies, statistics, tables, verdicts, threats and checks."""
