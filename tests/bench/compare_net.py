"""Our backend against PyTorch, the same work in turns: ours, theirs, ours, theirs, ...

Usage: compare_net.py BUILD_DIR [--cases "NAME..."] [--rounds N] [--pythons "PYTHON..."] [--variants "TEXT..."] [--quick]

Every variant of PyTorch (release, memory layout, malloc, form of the network) is a process of its own that runs nothing but its
case, and so is ours; a process that waits for its turn sleeps.  A first turn of one round finds PyTorch's fastest variants; these
and the first interpreter's network as it comes then take N rounds against ours.  Times are medians; a ratio is that of the medians
of the two processes that took turns.  Memory is the peak of a whole process (VmHWM).
--variants: only those with one of the texts in their name, like 1.13 or "channels_last fold".  --quick: the first turn is all.
"""
import argparse
import os
import platform
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PAUSE = 0.1  # seconds between turns: threads of the last one have gone to sleep
CONTENDERS, MARGIN = 3, 1.3  # variants for the long turn: so many, and not slower than the fastest times this
KEEP = str(8 << 30)  # glibc's malloc never gives memory back below this
THREADS = os.environ.get("FNR_BENCH_THREADS") or str(os.cpu_count())


class Failed(Exception):
    pass


class Worker:
    """A process of one case; see bench_net.c (serve) for the protocol."""

    def __init__(self, name, command, settings):
        self.name, self.times, self.peak, self.base = name, [], 0.0, 0.0
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "MALLOC_"))}
        # Threads spin for some milliseconds, then sleep: long enough between layers, short enough between turns.
        environment.update(OMP_NUM_THREADS=THREADS, MKL_NUM_THREADS=THREADS, GOMP_SPINCOUNT="1000000", **settings)
        environment["FNR_BENCH_THREADS"] = THREADS
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        _, self.version, self.parameters = self.answer("ready").split("\t")

    def answer(self, word):
        line = self.process.stdout.readline()
        if not line.startswith(word):
            self.process.kill()
            complaint = self.process.communicate()[1].strip().splitlines()
            raise Failed(complaint[-1] if complaint else "ended with status %s" % self.process.returncode)
        return line.rstrip("\n")

    def turn(self):
        time.sleep(PAUSE)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.times.append(float(self.answer("time").split()[1]))

    def end(self):
        self.process.stdin.close()
        self.peak, self.base = (float(x) for x in self.answer("peak").split()[1:])
        self.process.wait()

    def median(self):
        return statistics.median(self.times)

    def spread(self):
        return "%s..%s" % (seconds(min(self.times)), seconds(max(self.times)))


def seconds(t):
    return "%.3f" % t if t < 1 else "%.2f" % t if t < 100 else "%.0f" % t


class Variant:
    """One way to run PyTorch."""

    def __init__(self, python, version, work, layout, keep, form):
        self.command = [python, os.path.join(HERE, "pytorch_net.py"), work, layout, form]
        self.settings = {"MALLOC_MMAP_THRESHOLD_": KEEP, "MALLOC_TRIM_THRESHOLD_": KEEP} if keep else {}
        self.name = "PyTorch %s %s %s%s" % (version, layout, form, ", malloc keeps" if keep else "")

    def start(self):
        return Worker(self.name, self.command, self.settings)


def variants(pythons, work):
    """The first one is the network as it comes."""
    found = []
    for python, version in pythons:
        found.append(Variant(python, version, work, "contiguous", False, "plain"))
        forms = ["inplace", "fold", "jit"] if work.startswith("infer") else ["inplace"]
        if work.startswith("infer") and int(version.split(".")[0]) >= 2:
            forms.append("compile")
        for form in forms:
            for keep in (False, True):
                found += [Variant(python, version, work, layout, keep, form) for layout in ("contiguous", "channels_last")]
    return found


class Result:
    """What one of our cases gave against one variant."""

    def __init__(self, ours, theirs):
        self.name, self.ours, self.theirs = theirs.name, ours, theirs
        self.ratio = theirs.median() / ours.median()


def against(build, cases, variant, rounds):
    """Takes turns; a result for each of our cases. Nothing else is alive: memory is short."""
    theirs = variant.start()
    ours = []
    try:
        ours = [start_ours(build, c) for c in cases]
        for _ in range(rounds):
            for worker in ours + [theirs]:
                worker.turn()
    finally:
        for worker in ours + [theirs]:
            finish(worker)
    return {c: Result(o, theirs) for c, o in zip(cases, ours)}


def finish(worker):
    try:
        worker.end()
    except (Failed, BrokenPipeError):
        worker.process.kill()


def start_ours(build, case):
    return Worker(case, [os.path.join(build, "tests/bench/bench_net"), "--serve", case], {})


def show(result):
    ours, theirs = result.ours, result.theirs
    print("  %-62s %9s s (%s), peak %5.0f MiB; ours %s s (%s): %.2fx" % (result.name, seconds(theirs.median()), theirs.spread(),
          theirs.peak, seconds(ours.median()), ours.spread(), result.ratio), flush=True)


def tournament(build, cases, work, options):
    """All results of the first turn and of the long one, each in the order of PyTorch's time, per case."""
    first, long = [], []
    entrants = variants(options.pythons, work)
    standard = entrants[0]
    if options.variants:
        entrants = [v for v in entrants if any(t in v.name for t in options.variants)]

    def turn(variant, rounds, into):
        try:
            results = against(build, cases, variant, rounds)
        except Failed as e:
            print("  %-62s does not run: %s" % (variant.name, e), flush=True)
            return
        into.append((variant, results))
        show(results[cases[0]])

    for variant in entrants:
        turn(variant, 1, first)
    speed = lambda entry: entry[1][cases[0]].theirs.median()
    first.sort(key=speed)
    if not options.quick and first:
        fastest = [v for v, r in first if speed((v, r)) <= MARGIN * speed(first[0])][:CONTENDERS]
        print("  the fastest again, and the network as it comes, %d rounds:" % options.rounds)
        for variant in fastest + [v for v, _ in first if v is standard and v not in fastest]:
            turn(variant, options.rounds, long)
        long.sort(key=speed)
    return standard, first, long or first


def summary(case, text, standard, first, long):
    """The lines of the table for one of our cases."""
    results = [r[case] for _, r in long]
    best = results[0]
    usual = [r[case] for v, r in long if v is standard]
    peak = max(r.ours.peak for r in results)
    leanest = min((r[case].theirs for _, r in first + long), key=lambda w: w.peak)
    lines = ["%s: ours %s s (%s), peak %.0f MiB" % (text, seconds(best.ours.median()), best.ours.spread(), peak),
             "    %5.2fx the speed of the best, %s: %s s (%s); memory %.2fx of its %.0f MiB" % (
                 best.ratio, best.name, seconds(best.theirs.median()), best.theirs.spread(), peak / best.theirs.peak, best.theirs.peak)]
    for r in usual:
        lines.append("    %5.2fx the speed of PyTorch as it comes, %s: %s s (%s); memory %.2fx of its %.0f MiB" % (
            r.ratio, r.name, seconds(r.theirs.median()), r.theirs.spread(), peak / r.theirs.peak, r.theirs.peak))
    lines.append("    memory %.2fx of the leanest, %s: %.0f MiB, %.0f of them Python and libraries" % (
        peak / leanest.peak, leanest.name, leanest.peak, leanest.base))
    return lines


def alone(build, cases, rounds):
    """No PyTorch here."""
    lines = []
    for case, text in cases:
        ours = start_ours(build, case)
        for _ in range(rounds):
            ours.turn()
        ours.end()
        lines.append("%s: ours %s s (%s), peak %.0f MiB" % (text, seconds(ours.median()), ours.spread(), ours.peak))
        print(lines[-1], flush=True)
    return lines


def processor():
    with open("/proc/cpuinfo") as f:
        lines = [line.split(":", 1) for line in f if ":" in line]
    info = {k.strip(): v.strip() for k, v in lines}
    flags = info.get("flags", "").split()
    isa = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile") if f in flags]
    return "%s, %s; %s threads of %d" % (info.get("model name", platform.machine()), " ".join(isa), THREADS, os.cpu_count())


def versions(pythons):
    """(interpreter, version of its PyTorch), those without one left out aloud."""
    found = []
    for python in pythons:
        try:
            done = subprocess.run([python, os.path.join(HERE, "pytorch_net.py"), "--version"], capture_output=True, text=True)
            if done.returncode == 0:
                found.append((python, done.stdout.strip()))
                continue
        except OSError:
            pass
        print("no PyTorch in %s" % python)
    return found


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--cases", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pythons", default="/usr/bin/python3")
    parser.add_argument("--variants", default="")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.variants = [t.strip() for t in options.variants.split(",") if t.strip()]
    options.pythons = versions(options.pythons.split())
    return options


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    options = parse()
    listed = subprocess.run([options.build + "/tests/bench/bench_net", "--list"], capture_output=True, text=True, check=True).stdout
    table = [line.split("\t") for line in listed.splitlines()]
    names = options.cases.split() or [name for name, _, _ in table]
    unknown = set(names) - {name for name, _, _ in table}
    if unknown:
        sys.exit("no case %s; there are: %s" % (" ".join(unknown), " ".join(name for name, _, _ in table)))
    table = [row for row in table if row[0] in names]
    print("make bench-net, %s" % time.strftime("%Y-%m-%d"))
    print("processor: " + processor())
    print("PyTorch: " + (", ".join(v for _, v in options.pythons) or "none"), flush=True)
    lines = []
    if not options.pythons:
        print("no PyTorch: our own times only")
        alone(options.build, [(name, text) for name, _, text in table], options.rounds)
        return
    for work in dict.fromkeys(work for _, work, _ in table):
        cases = {name: text for name, w, text in table if w == work}
        print("== " + "; ".join(cases.values()))
        standard, first, long = tournament(options.build, list(cases), work, options)
        for case, text in cases.items():
            lines += summary(case, text, standard, first, long) if long else [text + ": PyTorch did not run"]
    print("\n== summary, medians of %d rounds (least..most)" % (1 if options.quick else options.rounds))
    print("\n".join(lines))


main()
