"""Results as a page of tables."""

from contest import CONTENDERS

MODES = {"forward": "Prediction", "step": "Training step (forward, backward, AdamW)"}


def page(results, facts):
    """The whole page as Markdown. `facts` tells of the machine and the versions."""
    notes = Notes()
    parts = ["# A race of Mingle and its peers", introduction(facts)]
    for mode, precision in groups(results):
        rows = [r for r in results if (r["mode"], r["precision"]) == (mode, precision)]
        parts.append(f"## {MODES[mode]}, {precision}")
        parts.append(ratio_table(rows, facts["contenders"], notes))
        parts.append(detail_table(rows, facts["contenders"]))
    if notes.lines:
        parts.append("## Notes\n\n" + "\n".join(notes.lines))
    return "\n\n".join(parts) + "\n"


def groups(results):
    """Mode and precision of each table, in order of appearance."""
    return list(dict.fromkeys((r["mode"], r["precision"]) for r in results))


class Notes:
    """Reasons and remarks, each with a number."""

    def __init__(self):
        self.numbers = {}

    def mark(self, text):
        number = self.numbers.setdefault(text, len(self.numbers) + 1)
        return f"<sup>{number}</sup>"

    @property
    def lines(self):
        return [f"{number}. {text}" for text, number in self.numbers.items()]


def introduction(facts):
    machine = facts["machine"]
    instructions = ", ".join(machine["instructions"]) or "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"{facts['date']}, commit {facts['commit']}. {machine['processor']}, {facts['threads']} "
        f"threads on {machine['cores']} cores ({instructions}), {machine['system']}. {versions}.",
        "",
        "A ratio is a contender's time over Mingle's: above 1 Mingle is faster. Each number is the "
        f"median of {facts['rounds']} rounds in which all took turns, in brackets the quartiles. "
        "The last column is the rate of Mingle's matrix products (a step counts three times a "
        "prediction's) beside the best rate that single products reached in the same rounds.",
        "",
        "![Ratios as bars](race.svg)",
    ]
    for remark in facts["remarks"]:
        lines += ["", f"**{remark}**"]
    if facts.get("unfinished"):
        lines += ["", "**The run was stopped before its end.**"]
    lines += ["", f"Repeat it: `{facts['command']}`"]
    return "\n".join(lines)


def ratio_table(rows, contenders, notes):
    peers = [name for name in contenders if name != "mingle"]
    titles = ["Model", "Batch", "Mingle, ms/image", *(CONTENDERS[name][0] for name in peers)]
    lines = [row_of([*titles, "Achieved / possible, GFLOP/s"]), "|---|" + "--:|" * (len(titles))]
    for row in rows:
        cells = [row["model"] + row_marks(row, notes), str(row["batch"]), own_cell(row, notes)]
        cells += [ratio_cell(row, name, notes) for name in peers]
        lines.append(row_of([*cells, products_cell(row)]))
    return "\n".join(lines)


def row_of(cells):
    return "| " + " | ".join(cells) + " |"


def row_marks(row, notes):
    marks = ""
    if row.get("failure"):
        marks += notes.mark(f"{row['model']}: {row['failure']}.")
    others = row.get("others")
    if others and not row["quiet"]:
        who = f" ({', '.join(others['busiest'])})" if others["busiest"] else ""
        marks += notes.mark(
            f"Others computed meanwhile: {others['cores']:.2f} cores{who}, {others['stolen']:.2f} "
            "cores stolen by the host. Do not trust these numbers.")
    return marks


def entry_of(row, name):
    return row["contenders"].get(name, {})


def absent(entry, name, notes):
    reason = entry.get("reason")
    return "-" + (notes.mark(f"{CONTENDERS[name][0]}: {reason}.") if reason else "")


def own_cell(row, notes):
    entry = entry_of(row, "mingle")
    if "seconds" not in entry:
        return absent(entry, "mingle", notes)
    middle, lower, upper = (milliseconds(row, entry, k) for k in ("median", "lower", "upper"))
    return f"{middle} ({lower}–{upper})"


def milliseconds(row, entry, key="median"):
    value = 1000 * entry["seconds"][key] / row["batch"]
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio_cell(row, name, notes):
    entry = entry_of(row, name)
    if "seconds" not in entry:
        return absent(entry, name, notes)
    if "ratio" not in entry:  # there is nothing to compare with
        return f"{milliseconds(row, entry)} ms"
    ratio = entry["ratio"]
    return f"{ratio['median']:.2f} ({ratio['lower']:.2f}–{ratio['upper']:.2f})"


def products_cell(row):
    possible = row.get("products", {}).get("operations_per_second")
    achieved = entry_of(row, "mingle").get("operations_per_second")
    if not possible or not achieved:
        return "-" if not possible else f"- / {possible / 1e9:.0f}"
    share = 100 * achieved / possible
    return f"{achieved / 1e9:.0f} / {possible / 1e9:.0f} ({share:.0f} %)"


def detail_table(rows, contenders):
    titles = ["Model", "Batch", *(CONTENDERS[name][0] for name in contenders)]
    lines = [
        "ms per image · peak memory of the process in MB · seconds from its start to its first "
        "result · how far its output is from PyTorch's in fp32:", "",
        row_of(titles), "|---|--:|" + "---|" * len(contenders)]
    for row in rows:
        cells = [row["model"], str(row["batch"])]
        cells += [detail_cell(row, entry_of(row, name)) for name in contenders]
        lines.append(row_of(cells))
    return "\n".join(lines)


def detail_cell(row, entry):
    if "seconds" not in entry:
        return "-"
    memory = f"{entry['peak_bytes'] / 1e6:.0f}"
    start = f"{entry['start_seconds']:.2f}"
    return f"{milliseconds(row, entry)} · {memory} · {start} · {entry['difference']:.0e}"
