"""What a firmware takes, by the crates that its functions and statics are of.

    crates.py ELF [LIBRARY]    all of its flash and RAM; then for each group its functions and constants, and its statics

A function is of the crate that defines it, also where it is generic and made for another one; with it go its closures,
its async blocks and what the compiler has inlined into it. One exception: embassy's TaskStorage is the task that is in
it. LIBRARY is the modem's C library, whose functions have these names. What has no name, as most texts and tables, is
in no group.
"""
import re
import subprocess
import sys

from elf import demangled, readelf, size

GROUPS = {
    "ours": r"dfu_|fota_|(mcuboot_http|modem_delta|modem_full|blocking)$|httparse$",
    "modem": r"nrf_modem$|C library$",
    "platform": r"embassy_|nrf_pac$|cortex_m|critical_section$|smoltcp$",
}


def crate(name):
    """Of a symbol in Rust's v0 mangling: where its definition is."""
    if not name.startswith("_R"):
        return "C"
    at = 2
    while name[at] != "C":
        if name[at] == "N":  # a namespace, then the path
            at += 2
        elif name[at] == "I":  # a path, then its arguments
            at += 1
        elif name[at] in "MX":  # the path to an impl, then what it is for
            at = number(name, at + 2)[1] if name[at + 1] == "s" else at + 1
        elif name[at] == "B":  # a path that stands further left
            at = 2 + number(name, at + 1)[0]
        elif name[at] == "Y":  # what a trait provides for a type: the trait's path is behind that
            return re.match(r".* as (\w+)", demangled([name])[0])[1]
        else:
            sys.exit(f"{name}: no path at {at}")
    at = number(name, at + 2)[1] if name[at + 1] == "s" else at + 1
    length = re.match(r"\d+", name[at:])[0]
    return name[at + len(length) :].removeprefix("_")[: int(length)]


def number(name, at):
    """A number to the base of 62, and the place behind it."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    end, value = name.index("_", at), 0
    for digit in name[at:end]:
        value = value * 62 + digits.index(digit)
    return value + (end > at), end + 1


def group(name, library):
    if "16embassy_executor3raw" in name and "11TaskStorage" in name:
        return "ours"
    of = "C library" if name in library else crate(name)
    return next((group for group, crates in GROUPS.items() if re.match(crates, of)), None)


def objects(elf):
    """Size and name of each function and static, each place once; and whether it is in RAM."""
    found = {}
    for line in readelf("-sW", elf):
        fields = line.split()
        if len(fields) == 8 and fields[3] in ("FUNC", "OBJECT") and fields[6].isdigit():
            address = int(fields[1], 16) & (~1 if fields[3] == "FUNC" else ~0)
            found.setdefault(address, (int(fields[2], 0), fields[7], address >= 0x2000_0000))
    return found.values()


def names(library):
    lines = subprocess.run(["nm", "--defined-only", library], capture_output=True, text=True).stdout.splitlines()
    return {line.split()[2] for line in lines if len(line.split()) == 3}


if __name__ == "__main__":
    elf, *library = sys.argv[1:]
    library = names(*library) if library else set()
    sums = {group: [0, 0] for group in GROUPS}
    for length, name, in_ram in objects(elf):
        if (of := group(name, library)) is not None:
            sums[of][in_ram] += length
    flash, ram, _ = size(elf)
    print(flash, ram, *(count for group in GROUPS for count in sums[group]))
