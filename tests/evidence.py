"""Reads what the jobs of tests/ci.sh printed, and writes it down by topic: evidence.sh says how."""

import json
import re
import subprocess
import sys
from pathlib import Path

TABLE_ROW = re.compile(r"^\| `?([^|`]+)`? \| ([\d.]+) \|")


def main(target, *jobs):
    folder = Path(target)
    here = output("git", "describe", "--always", "--dirty", "--abbrev=40")
    evidence = {
        "commit": here,
        "toolchain": output("rustc", "-Vv").splitlines()[0],
        "peers": peers(),
    }
    missing = []
    for job in jobs:
        text = log_of(folder / "ci-logs" / job, here)
        if text is None:
            missing.append(job)
        else:
            evidence[job] = {"passed": text.rstrip().endswith("status 0"), **READERS[job](text)}
    long = folder / "fuzz" / "report.jsonl"
    if long.exists():
        evidence["fuzz-long"] = long_runs(long.read_text(), here)
    evidence["missing"] = missing
    (folder / "evidence.json").write_text(json.dumps(evidence, indent=2) + "\n")
    text = "\n".join(lines(evidence)) + "\n"
    (folder / "evidence.txt").write_text(text)
    print(text, end="")
    print(f"\nin {folder / 'evidence.txt'} and {folder / 'evidence.json'}")
    return 1 if missing or any(isinstance(part, dict) and part.get("passed") is False for part in evidence.values()) else 0


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()


def peers():
    """The programs that the tests are run against, as far as they are here."""
    asked = {
        "nginx": ["nginx", "-v"],
        "caddy": ["caddy", "version"],
        "lighttpd": ["lighttpd", "-v"],
        "libcoap": ["coap-server-notls", "--help"],
        "imgtool": ["imgtool", "version"],
        "qemu": ["qemu-system-arm", "--version"],
        "node": ["node", "--version"],
        "python": ["python3", "--version"],
        "openssl": ["openssl", "version"],
    }
    versions = {}
    for name, command in asked.items():
        found = re.search(r"\d+\.\d+(\.\d+)?", output(*command))
        if found:
            versions[name] = found[0]
    pinned = Path("tests/ci.sh").read_text()
    for name in ["aiocoap", "node_coap"]:
        versions[name.replace("_", "-")] = re.search(rf"^{name}=(\S+)", pinned, re.M)[1]
    return versions


def log_of(path, commit):
    """A job's output, if it is of this commit."""
    if not path.exists():
        return None
    first, _, rest = path.read_text(errors="replace").partition("\n")
    return rest if first == f"commit {commit}" else None


def tests(text):
    counts = [tuple(map(int, pair)) for pair in re.findall(r"(\d+) passed[;,] (\d+) failed", text)]
    return {"tests": sum(passed for passed, _ in counts), "failed": sum(failed for _, failed in counts)}


def fault_points(text):
    found = re.findall(r"^fault points: (\d+) in ([\d.]+) s(?: \([^)]* per s\))? \((.*)\)", text, re.M)
    suites = [{"what": what, "points": int(points), "seconds": float(seconds)} for points, seconds, what in found]
    dropped = sum(map(int, re.findall(r"^dropped futures: (\d+)", text, re.M)))
    return {**tests(text), "points": sum(suite["points"] for suite in suites), "dropped": dropped, "suites": suites}


def fuzz(text):
    found = re.findall(r"^(\w+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$", text, re.M)
    targets = {name: {"executions": int(runs), "seconds": int(seconds)} for name, runs, seconds, *_ in found}
    return {"executions": sum(target["executions"] for target in targets.values()), "targets": targets}


def long_runs(text, commit):
    runs = [json.loads(line) for line in text.splitlines() if line]
    return {
        "runs": len(runs),
        "of this commit": sum(run["commit"] == commit for run in runs),
        "executions": sum(run["executions"] for run in runs),
        "hours": round(sum(run["seconds"] for run in runs) / 3600, 2),
        "findings": sum(run["findings"] for run in runs),
    }


def coverage(text):
    found = re.findall(r"^(\S+) +([\d.]+) % +(\d+)/(\d+) +([\d.]+) %", text, re.M)
    return {"crates": {name: {"lines": float(lines), "regions": float(regions)} for name, lines, _, _, regions in found}}


def mutants(text):
    found = re.search(r"mutants: (\d+) noticed, (\d+) not, (\d+) that change nothing.*?: ([\d.]+) %", text)
    if not found:
        return {}
    noticed, not_noticed, equal = map(int, found.groups()[:3])
    return {"noticed": noticed, "not noticed": not_noticed, "change nothing": equal, "score": float(found[4])}


def sizes(_):
    """The committed table, which the job has compared with what it measured."""
    rows = (TABLE_ROW.match(line) for line in Path("tests/README.md").read_text().splitlines())
    return {"table": {row[1].strip(): float(row[2]) for row in rows if row}}


def verdict(_):
    return {}


READERS = {
    "readme": tests,
    "sweep": fault_points,
    "beside": tests,
    "no-panic": verdict,
    "size": sizes,
    "chip": tests,
    "miri": tests,
    "fuzz": fuzz,
    "coverage": coverage,
    "mutants": mutants,
}


def lines(evidence, depth=0):
    """Plain text: a line for each fact."""
    for key, value in evidence.items():
        indent = "  " * depth
        if isinstance(value, dict):
            yield f"{indent}{key}"
            yield from lines(value, depth + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{key}"
            for entry in value:
                yield f"{indent}  " + ", ".join(f"{name} {fact}" for name, fact in entry.items())
        elif isinstance(value, list):
            yield f"{indent}{key}: {', '.join(value) or 'nothing'}"
        elif isinstance(value, bool):
            yield f"{indent}{key}: {'yes' if value else 'NO'}"
        else:
            yield f"{indent}{key}: {value}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
