#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a fuzz target for a while, as a TAP test: run-target.py PROGRAM NAME.

FUZZ_SECONDS says how long [30]. FUZZ_CORPUS names a folder that keeps what is found to be new, one
for each target below it, for the next run; without it only the seeds of make-seeds.py are used. An
input that breaks the program is kept in the folder of the program, and named. A target for which
the host lacks something says so, in a line that begins with SKIP.
"""

import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_LEN = 20000


def run(program, name, directory):
    seconds = int(os.environ.get('FUZZ_SECONDS') or 30)
    seeds = os.path.join(directory, 'seeds')
    subprocess.run([sys.executable, os.path.join(HERE, 'make-seeds.py'), name, seeds], check=True)
    corpus = os.path.join(os.environ.get('FUZZ_CORPUS') or directory, name)
    os.makedirs(corpus, exist_ok=True)
    artifacts = os.path.join(os.path.dirname(os.path.abspath(program)), f'finding-{name}-')
    # A unit takes a millisecond: one that takes ten seconds hangs.
    return subprocess.run(
        [program, f'-max_total_time={seconds}', f'-max_len={MAX_LEN}', '-timeout=10',
         '-rss_limit_mb=1024', '-malloc_limit_mb=256', '-detect_leaks=0', '-print_final_stats=1',
         '-artifact_prefix=' + artifacts, corpus, seeds],
        env={**os.environ, 'ASAN_OPTIONS': 'detect_leaks=0:allocator_may_return_null=1'},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors='replace', timeout=seconds + 300, check=False)


def main():
    program, name = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='godwit-fuzz-') as directory:
        done = run(program, name, directory)
    units = re.search(r'stat::number_of_executed_units:\s*(\d+)', done.stdout)
    coverage = re.findall(r'\bcov: (\d+)', done.stdout)
    skipped = re.search(r'^SKIP: (.*)', done.stdout, re.M)
    if skipped and done.returncode == 0:
        print(f'ok 1 {name}: # SKIP {skipped[1]}')
        print('1..1')
        return
    ok = done.returncode == 0 and units and int(units[1]) > 100
    if not ok:
        for line in done.stdout.splitlines()[-60:]:
            print('# ' + line)
    print(f'# {units[1] if units else 0} inputs, coverage {coverage[-1] if coverage else 0}')
    print(f'{"ok" if ok else "not ok"} 1 {name}: no finding')
    print('1..1')
    sys.exit(0 if ok else 1)


if __name__ == '__main__':
    main()
