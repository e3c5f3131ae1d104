# A program that keeps 16 and 32 MiB and frees 16 MiB is recorded: what it kept lives, and nothing else.
agent record --event alloc --interval 16KiB --probe-budget 100000 --duration 50s --value inuse_space \
    --output /tmp/a.folded --report json -- objects kept 0 >/tmp/report.json

awk '{ n = $NF; sub(/ [0-9]+$/, ""); sub(/.*;/, ""); self[$0] += n } END { for (f in self) print self[f], f }' \
    /tmp/a.folded | sort -rn >/tmp/self
head -n 4 /tmp/self
for expected in "kept_1k 16" "kept_64k 32"; do
    set -- $expected
    bytes=$(awk -v f="$1" '$2 == f { print $1 }' /tmp/self)
    percent=$((${bytes:-0} / 10486 / $2))
    [ $percent -ge 90 ] && [ $percent -le 110 ] || { echo "$1: $percent % of $2 MiB live"; exit 1; }
done
grep -q freed_1k /tmp/self && { echo "what was freed lives"; exit 1; }
lost=$(tr -d ' \n' </tmp/report.json | grep -o '"lost":[0-9]*' | head -n 1)
[ "$lost" = '"lost":0' ] || { echo "samples were lost, or the report has no count"; exit 1; }
