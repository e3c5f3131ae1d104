"""Another engine over the collector's files: `other_engine.py STORE TENANT` answers as JSON what other_engine.rs asks ours.

Each question is asked four times; the first reads what the others find in memory.
"""

import json
import sys
import time

import chdb

STORE, TENANT = sys.argv[1:3]
N_TIMES = 4


def table(name, depth):
    return f"file('{STORE}/{name}/{TENANT}/{'*/' * depth}*.parquet', Parquet)"


SAMPLES, STACKS, FRAMES = table("samples", 2), table("stacks", 1), table("frames", 1)
QUESTIONS = {
    "sums": f"""select service, type, unit, sum(value), count() from {SAMPLES} group by 1, 2, 3 order by 1, 2, 3""",
    # A stack or a frame may be there more than once, and is the same each time.
    "functions": f"""
        with sums as (select stack, sum(value) as value from {SAMPLES} where type = 'cpu' group by stack),
            leaves as (select stack, any(frames)[1] as frame from {STACKS} group by stack),
            names as (select frame, any(function) as function from {FRAMES} group by frame)
        select names.function, sum(sums.value) from sums join leaves using (stack) join names using (frame)
        group by 1 order by 2 desc, 1""",
}


def answer(sql):
    return json.loads(str(chdb.query(sql, "JSONCompact")))["data"]


def main():
    answer("select 1")
    found = {"version": answer("select version()")[0][0]}
    for name, sql in QUESTIONS.items():
        seconds = []
        for _ in range(N_TIMES):
            start = time.perf_counter()
            rows = answer(sql)
            seconds.append(time.perf_counter() - start)
        # Numbers of 64 bits may be written as texts.
        rows = [[int(cell) if place and str(cell).lstrip("-").isdigit() else cell for place, cell in enumerate(row)]
                for row in rows]
        found[name] = {"rows": rows, "ms": [round(1000 * it, 1) for it in seconds]}
    print(json.dumps(found))


main()
