"""Input files, from the config: functions alone."""


def model_file():
    """Return the file that the base model is read from, if it is one."""
    model = config["model"]
    in_package = (model["id"] or "").startswith("package:")
    return model["id"] if model["kind"] == "gguf" and not in_package else []


def problem_file(split):
    """Return the file of LeetCode rows that a split is cut from: as given, or where it is fetched to."""
    file = config["problems"]["files"].get(split)
    if file is None:
        return []
    return f"{RESULTS}/sources/{file.rpartition('/')[2]}" if "://" in file else file


def recorded_sha256(source):
    text = Path(f"{RESULTS}/sources/{source}.json").read_text(encoding="utf-8")
    return json.loads(text)["sha256"]


def direction_file(arm):
    """Return the V of an arm in one replicate."""
    name = config["arms"][arm].get("direction")
    return f"{REPLICATE}/directions/{name}/V.safetensors" if name else []


def measured_files(arm):
    """Return every further V whose overlap an arm logs."""
    names = config["arms"][arm].get("measures", [])
    return [f"{REPLICATE}/directions/{name}/V.safetensors" for name in names]


def signal_file(arm):
    """Return what was fitted of an arm's signal, if anything is."""
    name = config["arms"][arm].get("signal")
    fitted = name and is_fitted(config, name)
    return f"{REPLICATE}/signals/{name}/weights.safetensors" if fitted else []


def signal_pairs(signal):
    spec = signal_spec(config, signal)
    return f"{REPLICATE}/pairs/{spec['body']}/{spec['subset']}.parquet"


def signal_direction(signal):
    """Return the V that a signal of kind overlap is of."""
    name = config["signals"][signal].get("direction")
    return f"{REPLICATE}/directions/{name}/V.safetensors" if name else []


def partner_file(arm):
    """Return the steps of the arm whose flags a twin follows, in the same replicate."""
    spec = config["arms"][arm]
    flags = "twin_of" in spec and "signal" in spec
    return f"{REPLICATE}/runs/{spec['twin_of']}/steps.parquet" if flags else []


def start_file(arm):
    """Return the trained knobs of the arm whose deployed model this one starts from, in the same replicate."""
    start = config["arms"][arm].get("start")
    return f"{REPLICATE}/runs/{start}/adapter.safetensors" if start else []


def run_files(arms, replicates, file):
    """Return one file of every run of some arms."""
    return expand(
        f"{REPLICATE}/runs/{{arm}}/{file}", arm=list(arms), replicate=replicates
    )


def runs(table, file):
    """Return one file of every run in a table."""
    return run_files(
        config["tables"].get(table, []), replicates_of(config, table), file
    )


def wanted(table, files):
    """Return the files that a table is made of; of a table without arms, a function that says so if it is asked for."""

    def missing(wildcards):
        raise WorkflowError(
            f"config: tables.{table}: it has no arms; list some there, or ask for another table"
        )

    return files or missing


def short_runs(file):
    return run_files(short_table_arms(config), replicates_of(config, "horizon"), file)


def fold_runs(file):
    """Return one file of every run in table 2; what several folds share is named once."""
    arms = [spec for fold in folds(PLAIN).values() for spec in fold.values()]
    return files_in_turn(arms, file)


def runs_in_folds(page):
    """Return {column: {arm: run}} of a page with a column per fold, and {arm: {replicate: run}} of one in turn."""
    columns = {
        mode: {arm: next(iter(spec["runs"].values())) for arm, spec in arms.items()}
        for mode, arms in (folds(PLAIN) if page == "table2" else {}).items()
    }
    turns = in_turn(PLAIN) if page == "table3" else {}
    return columns, {arm: spec["runs"] for arm, spec in turns.items()}


def files_in_turn(arms, file):
    """Return one file of every run of arms that have names of their own in each replicate."""
    runs = [(n, run) for spec in arms for n, run in spec["runs"].items()]
    return [
        f"{RESULTS}/replicate{n}/runs/{run}/{file}" for n, run in dict.fromkeys(runs)
    ]


def direction_summaries(table):
    """Return the summary of every direction that an arm of the table uses or measures."""
    return expand(
        f"{REPLICATE}/directions/{{direction}}/summary.parquet",
        direction=directions_of(table),
        replicate=config["replicates"],
    )


def directions_of(table):
    """Return the directions that the arms of a table use or measure."""
    specs = [config["arms"][arm] for arm in config["tables"][table]]
    names = [[spec.get("direction"), *spec.get("measures", ())] for spec in specs]
    return list(dict.fromkeys(filter(None, sum(names, []))))


def pairs_file(direction):
    spec = direction_spec(config, direction)
    return f"{REPLICATE}/pairs/{spec['body']}/{spec['subset']}.parquet"


def refresh_pairs(arm):
    """Return the pairs that an arm needs in training: none, unless it re-extracts V along the way."""
    spec = config["arms"][arm]
    return pairs_file(spec["direction"]) if spec.get("refresh_every") else []


def quarantine_rank(arm):
    return config["arms"][arm].get("quarantine_rank", 0)


def tried_directions():
    """Return the directions that the first arm's rollouts are tried on: all hack ones, and table 1's controls of them."""
    kinds = ("random", "shuffled", "nonhack")
    return hack_directions(config) + [
        name
        for name in directions_of("table1")
        if config["directions"][name]["kind"] in kinds
    ]


def tried_signals():
    """Return the fitted signals that they are tried on: all that an arm of a table uses, in a fold or not."""
    names = {config["arms"][arm].get("signal") for arm in in_tables(config)}
    return [
        name for name in config["signals"] if name in names and is_fitted(config, name)
    ]
