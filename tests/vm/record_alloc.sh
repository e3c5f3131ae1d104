# A program that allocates 32, 64, 128 and 256 MiB in four functions is recorded.
# Frees and returns are another case: in an emulator a trap takes its time.
agent record --event alloc --no-live-heap --interval 16KiB --probe-budget 100000 --duration 50s --output /tmp/a.folded --report json \
    -- allocate >/tmp/report.json

awk '{ n = $NF; sub(/ [0-9]+$/, ""); sub(/.*;/, ""); self[$0] += n } END { for (f in self) print self[f], f }' \
    /tmp/a.folded | sort -rn >/tmp/self
head -n 8 /tmp/self
for expected in "take_16 32" "take_1k 64" "take_64k 128" "take_16m 256" "zeroed_1k 64"; do
    set -- $expected
    bytes=$(awk -v f="$1" '$2 == f { print $1 }' /tmp/self)
    percent=$((${bytes:-0} / 10486 / $2))
    [ $percent -ge 90 ] && [ $percent -le 110 ] || { echo "$1: $percent % of $2 MiB"; exit 1; }
done
lost=$(tr -d ' \n' </tmp/report.json | grep -o '"lost":[0-9]*' | head -n 1)
[ "$lost" = '"lost":0' ] || { echo "samples were lost, or the report has no count"; exit 1; }
