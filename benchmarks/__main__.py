"""python -m benchmarks: measure, print, and write the tables, the JSON and the plots."""

import argparse
import contextlib
import sys
from pathlib import Path

from benchmarks import machine, measure, peers, report
from benchmarks.sections import SECTIONS


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="gaussmix beside every peer that is installed, in one run.",
        epilog="Sections: " + " ".join(f"{name}: {section.__doc__}" for name, section in SECTIONS.items()) + measure.__doc__)
    parser.add_argument("section", nargs="*", metavar="SECTION", help=f"any of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer rows, fewer rounds and no large shapes, for trying")
    parser.add_argument("--threads", type=int, default=2, help="for every library (default: 2)")
    parser.add_argument("--without", nargs="+", default=[], metavar="PEER", help="leave out peers, by name")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"), metavar="FOLDER",
                        help="where tables.md, results.json and the plots go (default: build/benchmarks)")
    return parser


def _same_threads(n_threads):
    """Every BLAS and OpenMP pool limited to `n_threads`, as far as threadpoolctl is installed."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        print("threadpoolctl is not installed: the peers use as many threads as they like", file=sys.stderr)
        return contextlib.nullcontext()
    return threadpool_limits(n_threads)


def main(arguments=None):
    """
    Run the sections that were asked for.

    Parameters
    ----------
    arguments : list of str, optional
        The command line's by default.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.section) - set(SECTIONS):
        parser.error(f"no section named {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    libraries = {name: peer for name, peer in peers.installed(options.threads).items() if name not in options.without}
    if "gaussmix" not in libraries:
        parser.error("gaussmix is not installed, or left out")
    effort = measure.QUICK if options.quick else measure.Effort()
    measured = {}
    with _same_threads(options.threads):
        description = machine.describe(options.threads)
        print(report.machine_markdown(description), flush=True)
        for name in options.section or SECTIONS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            measured[name] = SECTIONS[name](libraries, effort)
            for table in measured[name]:
                print("\n" + report.table_markdown(table), flush=True)
    page = report.markdown(description, [table for tables in measured.values() for table in tables])
    options.output.mkdir(parents=True, exist_ok=True)
    report.write_whole(options.output / "results.json", report.as_json(description, measured))
    report.write_whole(options.output / "tables.md", page)
    if not report.plot(measured, options.output):
        print("no plots: matplotlib is not installed, or there is nothing to draw", file=sys.stderr)


if __name__ == "__main__":
    main()
