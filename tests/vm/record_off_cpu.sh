# A program that is blocked for 200 ms and idle for 300 ms, in pieces, is recorded: all its time is found, by stack.
cd /tmp
agent record --wall --output /tmp/w.folded --report json -- waits 10 20 30 10 >/tmp/report.json

set -- $(head -n 1 /tmp/report.json)
blocked=$1 idle=$2
# A sample of CPU time stands for 10.1 ms and more, and may fall into a call that waits: two of them are no mistake.
awk -v blocked="$blocked" -v idle="$idle" -v slack=25000000 '
    { n = $NF }
    /;wait_for_data;/ { b += n }
    /;wait_for_events;.*\[idle\]/ { i += n }
    END {
        printf "blocked %d of %d ns, idle %d of %d ns\n", b, blocked, i, idle
        exit !(b > 0.8 * blocked && b <= blocked + slack && i > 0.8 * idle && i <= idle + slack)
    }' /tmp/w.folded || { sort -t ' ' -k 2 -n /tmp/w.folded; exit 1; }
grep -q ';wait_for_data;read;.*pipe_read' /tmp/w.folded || { echo "no kernel stack"; cat /tmp/w.folded; exit 1; }
lost=$(tr -d ' \n' </tmp/report.json | grep -o '"lost":[0-9]*' | head -n 1)
[ "$lost" = '"lost":0' ] || { echo "samples were lost, or the report has no count"; exit 1; }
