"""Reads what `readelf` says about a program: its size, and who can panic.

    elf.py size ELF      flash, RAM, and how much of the flash is memcpy and its like
    elf.py list ELF      every function's size and name, the largest first
    elf.py panics ELF    the functions that can panic, one per line, by the shortest way; status 1 if there are any

A panic is an edge into the panic handler. In a program linked with --emit-relocs each call leaves a relocation, so
all that leads there is found, also a plain `panic!` beside an allowed one. One way in is allowed: to poll a future
that has finished, which the compiler guards in each async fn and no caller here does.
"""
import bisect
import re
import subprocess
import sys

ALLOWED = "4core9panicking11panic_const28panic_const_async_fn_resumed"
ENTRY = ("17rust_begin_unwind", "4core9panicking9panic_fmt")
MEM = re.compile(r"mem(cpy|move|set|clr|cmp)|bcmp")


def readelf(option, elf):
    return subprocess.run(["readelf", option, elf], check=True, capture_output=True, text=True).stdout.splitlines()


def sections(elf):
    """Name, size, flags of each section."""
    for line in readelf("-SW", elf):
        found = re.match(r"\s*\[\s*\d+\]\s+(\S+)\s+\S+\s+\S+\s+\S+\s+(\S+)\s+\S+\s+([A-Z]*)\s+\d+\s+\d+\s+\d+$", line)
        if found:
            yield found[1], int(found[2], 16), found[3]


def functions(elf):
    """Address, size and name of each function, by address. The lowest bit only says Thumb."""
    found = {}
    for line in readelf("-sW", elf):
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] != "UND":
            found.setdefault(int(fields[1], 16) & ~1, (int(fields[2], 0), fields[7]))
    return [(address, *rest) for address, rest in sorted(found.items())]


def references(elf):
    """Place and target of each relocation in what ends up in the device."""
    alive = False
    for line in readelf("-rW", elf):
        if line.startswith("Relocation section"):
            alive = re.search(r"'\.rela?\.(text|rodata|data)", line) is not None
        fields = line.split()
        if alive and len(fields) >= 4 and fields[2].startswith("R_ARM_"):
            yield int(fields[0], 16), int(fields[3], 16) & ~1


def size(elf):
    flash = ram = 0
    for name, length, flags in sections(elf):
        if "A" in flags and not name.startswith(".ARM.exidx"):
            flash += length if "W" not in flags or name.startswith(".data") else 0
            ram += length if "W" in flags else 0
    return flash, ram, sum(length for _, length, name in functions(elf) if MEM.search(name))


def demangled(names):
    plain = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True).stdout.splitlines()
    return [re.sub(r"::h[0-9a-f]{16}\b|\[[0-9a-f]{8,16}\]", "", name) for name in plain]


def panics(elf):
    """The ways into the panic handler, each as names from the outermost function that is not core's."""
    known = functions(elf)
    starts = [address for address, _, _ in known]
    name_of = {address: name for address, _, name in known}

    def holder(place):
        at = bisect.bisect_right(starts, place) - 1
        if at >= 0 and place < starts[at] + max(known[at][1], 1):
            return starts[at]
        return None

    callers = {}
    for place, target in references(elf):
        callers.setdefault(target, set()).add(holder(place))

    entry = {address for address, name in name_of.items() if any(part in name for part in ENTRY)}
    for address in entry:
        if not callers.get(address):
            sys.exit(f"{elf}: nothing refers to {name_of[address]}: no relocations?")
    ways = []
    pending = [[address] for address in entry]
    seen = set(entry)
    while pending:
        way = pending.pop(0)
        # From data: a function pointer, whose caller is anyone's guess.
        for caller in sorted(callers.get(way[0], ()), key=lambda c: -1 if c is None else c):
            name = name_of.get(caller, "(data)")
            if caller in seen or ALLOWED in name:
                continue
            seen.add(caller)
            if re.match(r"<*core::", demangled([name])[0]):
                pending.append([caller, *way])
            else:
                ways.append([caller, *way])
    return [" -> ".join(demangled([name_of.get(step, "(data)") for step in way])) for way in ways]


if __name__ == "__main__":
    what, elf = sys.argv[1:]
    if what == "size":
        print(*size(elf))
    elif what == "list":
        largest = sorted(((length, name) for _, length, name in functions(elf)), reverse=True)
        for (length, _), name in zip(largest, demangled([name for _, name in largest])):
            print(f"{length:6} {name}")
    else:
        ways = panics(elf)
        print(*ways, sep="\n", end="\n" if ways else "")
        sys.exit(1 if ways else 0)
