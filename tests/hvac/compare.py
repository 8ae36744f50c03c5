"""Compares what passed of hvac's test-suite with what must: compare.py <results.xml> <lists> <selected> <output>"""

import fnmatch
import pathlib
import sys
import xml.etree.ElementTree as xml


def lines(path):
    texts = (line.strip() for line in path.read_text().splitlines())
    return [text for text in texts if text and not text.startswith("#")]


def name(case):
    """`tests.integration_tests.v1.test_approle.TestApprole` and `test_x` become `v1/test_approle::test_x`."""
    module, _class = case.get("classname").removeprefix("tests.integration_tests.").rsplit(".", 1)
    return f"{module.replace('.', '/')}::{case.get('name')}"


def main(results, lists, selected, output):
    lists = pathlib.Path(lists)
    expected = set(lines(lists / "expected.txt"))
    reasons = dict(line.split(None, 1) for line in lines(lists / "not-applicable.txt"))
    cases = {name(case): case for case in xml.parse(results).iter("testcase")}
    passed = {key for key, case in cases.items() if not {child.tag for child in case} & {"failure", "error", "skipped"}}

    missing = {line.split(None, 1)[0] for line in lines(lists / "missing.txt")}
    found = sorted(missing & passed)
    expected -= missing

    wanted = expected & set(cases) if selected != "0" else expected
    failed = sorted(wanted - passed)
    unlisted = sorted(
        key for key in cases if key not in expected | missing and not any(fnmatch.fnmatchcase(key, like) for like in reasons)
    )
    for key in failed:
        print(f"FAILED: {key}: {why(cases.get(key))}")
    for key in unlisted:
        print(f"UNLISTED: {key}: neither expected nor said why it does not apply")
    for key in found:
        print(f"passes, and is still in missing.txt: {key}")
    extra = sorted(key for key in passed - expected if key in cases)
    for key in extra:
        print(f"more than expected: {key}")
    print(f"hvac: {len(wanted) - len(failed)} of {len(wanted)} expected tests passed, {len(extra)} more did, {len(missing)} are missing")
    if failed:
        print(f"the end of the suite's output:\n{pathlib.Path(output).read_text()[-3000:]}", file=sys.stderr)
    return 1 if failed or unlisted else 0


def why(case):
    if case is None:
        return "it was not run"
    return " | ".join((child.get("message") or "").splitlines()[0][:200] for child in case if child.get("message"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
