"""Reads what `readelf` says about a program: its size, and who can panic.

    elf.py size ELF      flash, RAM, and how much of the flash is memcpy and its like
    elf.py list ELF      every function's size and name, the largest first
    elf.py answers ELF P the numbers that functions named P... return
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


def symbols(elf):
    """Address, size and name of each function. The lowest bit only says Thumb; functions of the same code share one."""
    for line in readelf("-sW", elf):
        fields = line.split()
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] != "UND":
            yield int(fields[1], 16) & ~1, int(fields[2], 0), fields[7]


def functions(elf):
    """The same by address, each once."""
    found = {}
    for address, length, name in symbols(elf):
        found.setdefault(address, (length, name))
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


def answers(elf, prefix):
    """Name and answer of each function that does nothing but return a number."""
    where = {}
    for line in readelf("-SW", elf):
        found = re.match(r"\s*\[\s*\d+\]\s+\.text\s+\S+\s+(\S+)\s+(\S+)", line)
        if found:
            where = {"address": int(found[1], 16), "offset": int(found[2], 16)}
    with open(elf, "rb") as file:
        image = file.read()
    for address, _, name in sorted(symbols(elf), key=lambda symbol: symbol[2]):
        if name.startswith(prefix):
            at = address - where["address"] + where["offset"]
            if image[at : at + 4] == b"\x80\xb5\x6f\x46":  # push {r7, lr}; mov r7, sp
                at += 4
            first, second = (int.from_bytes(image[i : i + 2], "little") for i in (at, at + 2))
            yield name, immediate(first, second, name)


def immediate(first, second, name):
    """The number that a Thumb instruction puts into r0 (Arm ARM, MOV immediate)."""
    if first >> 8 == 0x20:  # movs r0, #imm8
        return first & 0xFF
    imm12 = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    if first & 0xFBF0 == 0xF240 and second & 0x0F00 == 0:  # movw r0, #imm16
        return (first & 0xF) << 12 | imm12
    if first & 0xFBFF == 0xF04F and second & 0x0F00 == 0 and imm12 >= 0x400:  # mov.w r0, #a rotated byte
        byte, by = 0x80 | imm12 & 0x7F, imm12 >> 7
        return (byte >> by | byte << 32 - by) & 0xFFFFFFFF
    sys.exit(f"{name}: not a plain number: {first:04x} {second:04x}")


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
    return sorted(" -> ".join(demangled([name_of.get(step, "(data)") for step in way])) for way in ways)


if __name__ == "__main__":
    what, elf = sys.argv[1:3]
    if what == "size":
        print(*size(elf))
    elif what == "answers":
        for name, answer in answers(elf, sys.argv[3]):
            print(name, answer)
    elif what == "list":
        largest = sorted(((length, name) for _, length, name in functions(elf)), reverse=True)
        for (length, _), name in zip(largest, demangled([name for _, name in largest])):
            print(f"{length:6} {name}")
    else:
        ways = panics(elf)
        print(*ways, sep="\n", end="\n" if ways else "")
        sys.exit(1 if ways else 0)
